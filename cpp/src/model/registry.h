// Families of models by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/family.h"

namespace ttsrt::model {

std::vector<std::string> known_families();

// The family that a checkpoint's or an engine's description names, made from its "model" and
// "defaults". Throws FormatError: an unknown family lists the known ones and nothing else is read.
std::unique_ptr<const Family> read_family(const JsonReader& description);

}  // namespace ttsrt::model
