// The maxima an engine is built for, resolved against what the model can do.
#pragma once

#include <cstdint>

#include "core/json.h"
#include "model/config.h"
#include "ttsrt/options.h"

namespace ttsrt::model {

struct Limits {
  std::int32_t max_batch_size = 0;         // requests in flight
  std::int32_t max_seq_len = 0;            // decoder positions, context included
  std::int32_t max_input_len = 0;          // context rows
  std::int32_t max_encoder_input_len = 0;  // text tokens
  std::int32_t max_num_tokens = 0;         // rows of one launch and class
};

// Zeros become defaults. `voice_rows`: rows of the longest stored voice; `max_frames`: the
// checkpoint's default length. Throws ConfigError for what the model's position tables can't hold.
Limits resolve_limits(const BuildOptions& options, const ModelConfig& config,
                      std::int32_t voice_rows, std::int32_t max_frames);

// Throws FormatError, also for limits beyond what the model can do.
Limits read_limits(const JsonReader& limits, const ModelConfig& config);

}  // namespace ttsrt::model
