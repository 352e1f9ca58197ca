// An opened engine's insides: its family, the limits it was built for, the weights by name and
// the stored voices. Opening reads headers and voices; weights are read by those that use them.
// Nothing here depends on which family it is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/input_file.h"
#include "core/json.h"
#include "model/family.h"
#include "model/limits.h"
#include "model/manifest.h"
#include "model/weights.h"
#include "ttsrt/engine.h"
#include "ttsrt/text.h"

namespace ttsrt {

constexpr std::int64_t kEngineVersion = 2;  // "format_version" of engine.json

// The codec as the checkpoint tells it; a file that doesn't leaves `info` as it is, and so does one
// whose model knows the rate of its samples. Throws FormatError.
void read_codec(const JsonReader& reader, EngineInfo& info);

struct EngineData {
  explicit EngineData(const std::string& folder);

  std::string path;
  std::string description;  // engine.json
  std::unique_ptr<const model::Family> family;
  model::Manifest manifest;
  model::Limits limits;
  model::Weights weights;
  model::StoredVoices voices;
  EngineInfo info;
  std::shared_ptr<const TextFrontEnd> front_end;  // null: there is none

 private:
  EngineData(const std::string& folder, const InputFile& description_file);
};

}  // namespace ttsrt
