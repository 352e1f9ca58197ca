// The maxima an engine is built for, resolved against what the model can do.
#pragma once

#include <cstdint>

#include "core/json.h"
#include "ttsrt/options.h"

namespace ttsrt::model {

constexpr std::int32_t kMaxBatch = 4096;
constexpr std::int32_t kMaxRows = 1 << 20;  // of a launch

struct Limits {
  std::int32_t max_batch_size = 0;         // requests in flight
  std::int32_t max_seq_len = 0;            // decoder positions, context included
  std::int32_t max_input_len = 0;          // context rows
  std::int32_t max_encoder_input_len = 0;  // text tokens
  std::int32_t max_num_tokens = 0;         // rows of one launch of a Program
  std::int32_t max_paused =
      0;  // requests that keep their slot and their cache while they are paused

  std::int32_t max_draft_rows = 0;  // of a launch of steps, beside one row for each request

  std::int32_t num_slots() const { return max_batch_size + max_paused; }
};

// What a model's position tables and stored voices allow. A maximum of 0 means that the model has
// nothing of the kind: its limit is 0.
struct LimitBounds {
  std::int32_t most_positions = 1;     // of max_seq_len
  std::int32_t most_input = 1;         // of max_input_len
  std::int32_t most_text = 0;          // of max_encoder_input_len
  std::int32_t least_input = 1;        // rows of the longest stored voice
  std::int32_t usual_input = 0;        // context rows of the usual longest context; 0: 256
  bool input_takes_positions = false;  // context rows stand in front of what is generated
  std::int32_t usual_text = 0;         // text tokens of the usual longest text; 0: 512
  std::int32_t usual_steps = 1;        // decoder positions of a request of the usual length
  std::int32_t item_branches = 0;      // whole items: branches of max_seq_len rows in one launch
};

// Rows that a launch must hold for one request: its text, its context, a whole item of it.
std::int32_t longest_launch(const Limits& limits, const LimitBounds& bounds);
// Those, and two rows per request.
std::int32_t least_tokens(const Limits& limits, const LimitBounds& bounds);

// Zeros become defaults. Throws ConfigError for what the bounds don't allow.
Limits resolve_limits(const BuildOptions& options, const LimitBounds& bounds);

// Throws FormatError, also for limits beyond the bounds.
Limits read_limits(const JsonReader& limits, const LimitBounds& bounds);

}  // namespace ttsrt::model
