// Draws that verify drafts (speculative decoding with an exact check: Leviathan et al., "Fast
// Inference from Transformers via Speculative Decoding", 2023, for drafts without probabilities).
//
// A launch then has several draws of one slot. Each one but the first takes the draws before it to
// give the drafts. It draws in the state in which the slot would be after them: by the random
// number of its own step, under the minimum of its own step, with the drafts among the ids that
// penalties count (TokenScores::ahead). So it gives the code that a launch of its own would give,
// if they did draw the drafts; else it gives none. Models have one code in a stack here, and no
// seen sets.
#pragma once

#include <cstdint>

#include "rules/inline.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

// Returns the state of a slot, as far as masks and draws read it, once `ahead` more steps are done.
TTSRT_RULE SlotState state_ahead(const SlotState& state, std::int32_t ahead) {
  SlotState later = state;
  later.step += ahead;
  return later;
}

// Whether a draw counts: the one before it did, drew the draft, and did not end what is generated.
TTSRT_RULE bool goes_on(bool before_counts, std::int32_t before_end, std::int32_t before_code,
                        std::int32_t draft) {
  return before_counts && before_end < 0 && before_code == draft;
}

}  // namespace ttsrt::rules
