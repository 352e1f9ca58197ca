// What a request gets where it asks for nothing: the "defaults" block that checkpoints and engines
// share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/json.h"
#include "ttsrt/options.h"

namespace ttsrt::model::magpie {

struct Defaults {
  float cfg_scale = 1.0F;
  float temperature = 0.7F;
  std::int32_t top_k = 80;
  std::int32_t max_frames = 500;
  std::int32_t min_frames = 0;
  std::string eos_method = "argmax_or_multinomial_any";
  bool use_local_transformer = false;
  std::string prior_mode = "nemo";  // of the checkpoint's generation
  std::optional<AttentionPrior> prior;
};

// Throws FormatError naming the field. Names and layers are checked against the model when a
// request's rules are compiled.
Defaults read_defaults(const JsonReader& defaults);

}  // namespace ttsrt::model::magpie
