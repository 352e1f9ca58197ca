// An opened checkpoint.
#pragma once

#include <memory>
#include <string>

#include "core/json.h"
#include "core/safetensors.h"
#include "model/family.h"
#include "model/manifest.h"
#include "model/weights.h"

namespace ttsrt::model {

struct Checkpoint {
  // Reads config.json and the header of model.safetensors, and compares the two. Throws
  // FormatError.
  explicit Checkpoint(const std::string& folder);

  std::string where;  // of config.json
  Json json;
  const JsonGuard json_guard{json};
  SafetensorsFile weights;
  std::unique_ptr<const Family> family;
  Manifest manifest;

 private:
  Checkpoint(const std::string& folder, const InputFile& config);
};

}  // namespace ttsrt::model
