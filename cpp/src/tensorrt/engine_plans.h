// Which Programs an engine has plans for, and the hash of its weights that the plans say.
#pragma once

#include <string>

#include "model/engine_data.h"

namespace ttsrt::tensorrt {

// Of the names and hashes of all tensors.
std::string weights_hash(const EngineData& engine);

}  // namespace ttsrt::tensorrt
