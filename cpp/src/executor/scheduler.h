// What runs next: a pure function from counts to a plan. It knows no tensor, no device, no request.
//
// Policy of this first form: every sequence that can decode decodes; then encoders and prefill,
// oldest first, until the rows of a class are spent. Encoders see whole inputs; prefill may be cut
// anywhere.
#pragma once

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
};

step::StepPlan plan_step(const std::vector<SequenceView>& sequences, std::int32_t max_rows);

}  // namespace ttsrt::executor
