// Steps from the raw logits of one codebook, a row of V values, to a code: guidance on raw logits,
// masks, and the searches that filters need. rules/filter_chain.h combines filters and the draw.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "rules/inline.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

constexpr float kNever = -INFINITY;

// Classifier-free guidance (Ho and Salimans, 2022). There are two forms, because originals use
// different formulas, which round differently.
TTSRT_RULE float guide(Guidance form, float conditional, float unconditional, float scale) {
  if (form == Guidance::extrapolate) return conditional + scale * (conditional - unconditional);
  return scale * conditional + (1.0F - scale) * unconditional;
}

TTSRT_RULE bool is_below_minimum(const SlotRules& rules, const SlotState& state) {
  return (state.step - rules.first_step) * rules.frame_stacking < rules.min_frames;
}

TTSRT_RULE bool forces_end(const SlotRules& rules, const SlotState& state) {
  const bool is_due = rules.prior.track_finish && state.finish_count >= rules.prior.force_after;
  // A minimum that forbids the end takes precedence.
  return is_due && (rules.minimum_id >= 0 || !is_below_minimum(rules, state));
}

TTSRT_RULE void mask_ends(const SlotRules& rules, float* logits) {
  logits[rules.eos_id] = kNever;
  for (std::int32_t i = 0; i < rules.num_stop_ids; ++i) logits[rules.stop_ids[i]] = kNever;
}

// Masks one row of logits [vocab] in place. A forced end holds also where the end is a forbidden
// id; the original then has nothing to draw and fails.
TTSRT_RULE void mask_logits(const SlotRules& rules, const SlotState& state, float* logits,
                            std::int32_t vocab) {
  if (rules.prior.track_finish && state.is_unfinished) mask_ends(rules, logits);
  if (forces_end(rules, state)) {
    for (std::int32_t i = 0; i < vocab; ++i) logits[i] = kNever;
    logits[rules.eos_id] = 0.0F;
    return;
  }
  for (std::int32_t i = 0; i < rules.num_forbidden; ++i) logits[rules.forbidden[i]] = kNever;
  for (std::int32_t i = rules.first_invalid; i < vocab && rules.first_invalid > 0; ++i)
    logits[i] = kNever;
  if (!is_below_minimum(rules, state)) return;
  if (rules.minimum_id >= 0) {
    logits[rules.minimum_id] = kNever;
  } else {
    mask_ends(rules, logits);
  }
}

TTSRT_RULE std::int32_t argmax(const float* values, std::int32_t count) {
  std::int32_t best = 0;
  for (std::int32_t i = 1; i < count; ++i) {
    if (values[i] > values[best]) best = i;
  }
  return best;
}

// Whether values[index] is among the `num` largest of values [count]. Ties go to the lower index.
TTSRT_RULE bool is_among_largest(const float* values, std::int32_t count, std::int32_t num,
                                 std::int32_t index) {
  std::int32_t ahead = 0;
  for (std::int32_t i = 0; i < count; ++i)
    ahead += values[i] > values[index] || (values[i] == values[index] && i < index) ? 1 : 0;
  return ahead < num;
}

// Returns an unsigned number with the same order as the float.
TTSRT_RULE std::uint32_t order_key(float value) {
  std::uint32_t bits = 0;
  memcpy(&bits, &value, sizeof(bits));
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

TTSRT_RULE float from_order_key(std::uint32_t key) {
  const std::uint32_t bits = (key & 0x80000000U) != 0 ? key & 0x7FFFFFFFU : ~key;
  float value = 0.0F;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// Returns the k-th largest of values [count], 1 <= k <= count, by bisection over the bits of
// floats. The result is exact and needs no scratch memory.
TTSRT_RULE float kth_largest(const float* values, std::int32_t count, std::int32_t k) {
  std::uint32_t low = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const std::uint32_t candidate = low | (1U << bit);
    std::int32_t at_least = 0;
    for (std::int32_t i = 0; i < count; ++i) at_least += order_key(values[i]) >= candidate ? 1 : 0;
    if (at_least >= k) low = candidate;
  }
  return from_order_key(low);
}

// Returns the smallest probability that top-p keeps: the largest threshold for which the values at
// or above it sum to at least `mass`.
TTSRT_RULE float nucleus_threshold(const float* probabilities, std::int32_t count, float mass) {
  std::uint32_t low = 0;
  for (int bit = 30; bit >= 0; --bit) {
    const std::uint32_t candidate = low | (1U << bit);
    float threshold = 0.0F;
    memcpy(&threshold, &candidate, sizeof(threshold));
    float sum = 0.0F;
    for (std::int32_t i = 0; i < count; ++i)
      sum += probabilities[i] >= threshold ? probabilities[i] : 0.0F;
    if (sum >= mass) low = candidate;
  }
  float threshold = 0.0F;
  memcpy(&threshold, &low, sizeof(threshold));
  return threshold;
}

// Draws an index from unnormalised weights [vocab] with a uniform number in [0, 1).
TTSRT_RULE std::int32_t draw_index(const float* weights, std::int32_t vocab, float sum,
                                   float uniform_number) {
  const float target = uniform_number * sum;
  float reached = 0.0F;
  std::int32_t last = 0;
  for (std::int32_t i = 0; i < vocab; ++i) {
    if (weights[i] <= 0.0F) continue;
    reached += weights[i];
    last = i;
    if (reached > target) return i;
  }
  return last;  // due to rounding, the target exceeds the sum
}

}  // namespace ttsrt::rules
