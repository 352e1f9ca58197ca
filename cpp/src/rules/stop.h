// Detects the end of speech in a stack of codes (NeMo's `find_eos_frame_index`, `detect_eos`).
#pragma once

#include <cstdint>

#include "rules/inline.h"
#include "rules/sampling.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

TTSRT_RULE bool is_end(const SlotRules& rules, std::int32_t code) {
  bool found = code == rules.eos_id;
  for (std::int32_t i = 0; i < rules.num_stop_ids; ++i) found = found || code == rules.stop_ids[i];
  return found;
}

TTSRT_RULE bool frame_ends(const SlotRules& rules, const std::int32_t* frame) {
  std::int32_t found = 0;
  for (std::int32_t c = 0; c < rules.codebooks; ++c) found += is_end(rules, frame[c]) ? 1 : 0;
  if (rules.eos_codebooks == EosCodebooks::zero) return is_end(rules, frame[0]);
  return rules.eos_codebooks == EosCodebooks::all ? found == rules.codebooks : found > 0;
}

// Returns the first frame of a stack [S, C] that has the end of speech, or -1.
TTSRT_RULE std::int32_t first_end(const SlotRules& rules, const std::int32_t* stack) {
  for (std::int32_t f = 0; f < rules.frame_stacking; ++f) {
    if (frame_ends(rules, stack + f * rules.codebooks)) return f;
  }
  return -1;
}

// Counts how many of the last stacks [count] are equal, up to the one that was drawn now; `last` is
// the one before it.
TTSRT_RULE void count_equal(const SlotRules& rules, SlotState& state, const std::int32_t* last,
                            const std::int32_t* drawn, std::int32_t count) {
  bool is_equal = state.step > rules.first_step;
  for (std::int32_t i = 0; i < count; ++i) is_equal = is_equal && last[i] == drawn[i];
  state.equal_stacks = is_equal ? state.equal_stacks + 1 : 1;
}

// Returns the number of frames of this stack that are kept, or -1 if speech goes on: the frames
// before the one that ends it, and that one too if the rules keep it. A prior that stayed at the
// end of the text for long enough ends speech, or a round that is not the last, after this stack;
// so do enough equal stacks, unless a minimum of frames forbids an end.
TTSRT_RULE std::int32_t end_frame(const SlotRules& rules, const SlotState& state,
                                  const std::int32_t* sampled, const std::int32_t* likeliest) {
  if (state.step < rules.first_end_step) return -1;
  const std::int32_t by_sampled =
      rules.eos_streams == EosStreams::argmax ? -1 : first_end(rules, sampled);
  const std::int32_t by_likeliest =
      rules.eos_streams == EosStreams::sampled ? -1 : first_end(rules, likeliest);
  const std::int32_t kept = rules.keeps_end ? 1 : 0;
  if (by_sampled >= 0 && by_likeliest >= 0)
    return (by_sampled < by_likeliest ? by_sampled : by_likeliest) + kept;
  if (by_sampled >= 0 || by_likeliest >= 0)
    return (by_sampled >= 0 ? by_sampled : by_likeliest) + kept;
  const bool has_lingered =
      (rules.prior.end_after > 0 && state.near_end >= rules.prior.end_after) ||
      (rules.prior.round_end_after > 0 && state.finish_count >= rules.prior.round_end_after);
  const bool is_stuck = rules.stop_after_equal > 0 &&
                        state.equal_stacks >= rules.stop_after_equal &&
                        !is_below_minimum(rules, state);
  return has_lingered || is_stuck ? rules.frame_stacking : -1;
}

}  // namespace ttsrt::rules
