// An opened checkpoint.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/json.h"
#include "core/safetensors.h"
#include "model/family.h"
#include "model/manifest.h"
#include "model/quantize.h"
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
  std::unique_ptr<const Checkpoint> codec;  // that has the tensors of the manifest with its prefix

  // Makes the decoder of a codec's checkpoint a part of this model. Throws ConfigError for models
  // that take none, and for a codec that has other codes; FormatError as the constructor.
  void add_codec(const std::string& folder);

  // The grid that a matrix of the manifest was made with, where its scales and zero points are
  // beside it ("NAME.scales" as float16, "NAME.zeros" as uint8). Throws FormatError where these
  // don't fit the matrix.
  std::optional<Grid> grid_of(const TensorSpec& spec) const;

  // Where a tensor of the manifest is, and its name there.
  struct Place {
    const SafetensorsFile& file;
    std::string name;
  };
  Place place_of(const std::string& name) const;

 private:
  Checkpoint(const std::string& folder, const InputFile& config);
};

}  // namespace ttsrt::model
