// What runs next: a pure function from counts to a plan. It knows no tensor, no device, no request.
//
// Policy: every sequence that can decode decodes. Encoders and prefill take what is left of the
// rows, oldest first, and, while others decode, about a slice of time: an encoder stops between two
// layers, prefill between two rows, and both go on with the next step. An encoder's batch is whole
// from its first layer to its last: who arrives meanwhile waits for the next one.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "step/plan.h"

namespace ttsrt::executor {

// One running sequence as counts.
struct SequenceView {
  std::int32_t text_rows = 0;             // still to encode or project, 0: done
  bool is_encoder_output = false;         // they only need projecting
  std::int32_t context_encoder_rows = 0;  // still to encode, 0: done or none
  std::int32_t conditional_done =
      0;  // decoder rows before the next decode row that are in the cache
  std::int32_t conditional_target = 0;
  std::int32_t unconditional_done = 0;  // the same of a private unconditional branch
  std::int32_t unconditional_target = 0;
  std::int32_t prefix = -1;  // shared prefix it waits for (an id), -1: none
  std::int32_t prefix_done = 0;
  std::int32_t prefix_target = 0;
  bool is_guided = false;

  // Whether its next row may be decoded at once.
  bool can_decode() const {
    return text_rows == 0 && context_encoder_rows == 0 && conditional_done == conditional_target &&
           unconditional_done == unconditional_target &&
           (prefix < 0 || prefix_done == prefix_target);
  }
};

// An encoder's batch that stopped between two layers.
struct PausedBatch {
  struct Member {
    std::int32_t sequence = 0;  // index among the running, or kNobody
    std::int32_t rows = 0;
  };
  std::vector<Member> members;  // in the order of their rows
  std::int32_t next_part = 0;

  bool is_empty() const { return members.empty(); }
};
using PausedBatches = std::array<PausedBatch, step::kRowClasses>;

// What one step may take.
struct StepBudget {
  std::int32_t max_rows = 0;  // of one class
  double seconds = 0.0;       // for encoders and prefill while others decode; 0: no limit
  std::array<double, step::kRowClasses> row_seconds = {};  // of a row in one part; 0: not known yet
  std::array<std::int32_t, step::kRowClasses> num_parts = {};  // of each class's Program
};

step::StepPlan plan_step(const std::vector<SequenceView>& sequences, const PausedBatches& paused,
                         const StepBudget& budget);

}  // namespace ttsrt::executor
