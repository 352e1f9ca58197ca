// The tensors of a Magpie model (docs/format.md).
#pragma once

#include "model/magpie/config.h"
#include "model/manifest.h"

namespace ttsrt::model::magpie {

Manifest declare_tensors(const Config& config);

}  // namespace ttsrt::model::magpie
