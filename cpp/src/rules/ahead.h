// Draws that verify drafts (speculative decoding with an exact check: Leviathan et al., "Fast
// Inference from Transformers via Speculative Decoding", 2023, for drafts without probabilities).
//
// A launch then has several draws of one slot. Each one but the first takes the draws before it to
// give the drafts. It draws in the state in which the slot would be after them: by the random
// number of its own step, under the minimum of its own step, with the drafts among the seen ids. So
// it gives the code that a launch of its own would give, if they did draw the drafts; else it gives
// none. Models have one code in a stack here.
#pragma once

#include <cstdint>

#include "rules/inline.h"
#include "rules/seen.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

// Returns the state of a slot, as far as masks and draws read it, once `ahead` more steps are done.
TTSRT_RULE SlotState state_ahead(const SlotState& state, std::int32_t ahead) {
  SlotState later = state;
  later.step += ahead;
  return later;
}

// Writes to `later` [seen_words] what a seen set becomes when the next steps draw `drafts` [count].
TTSRT_RULE void see_drafts(const SamplerRules& sampler, std::int32_t step,
                           const std::int32_t* drafts, std::int32_t count,
                           const std::uint32_t* seen, std::int32_t vocab, std::uint32_t* later) {
  for (std::int32_t i = 0; i < seen_words(vocab); ++i) later[i] = seen[i];
  for (std::int32_t i = 0; i < count; ++i) add_seen(sampler, step + i, drafts[i], later, vocab);
}

// Whether a draw counts: the one before it did, drew the draft, and did not end what is generated.
TTSRT_RULE bool goes_on(bool before_counts, std::int32_t before_end, std::int32_t before_code,
                        std::int32_t draft) {
  return before_counts && before_end < 0 && before_code == draft;
}

}  // namespace ttsrt::rules
