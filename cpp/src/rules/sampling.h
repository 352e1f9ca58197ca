// Samples a code from the raw logits of one codebook, a row of V values: guidance, masks, filters
// and the draw.
//
// The order is that of NeMo's magpietts.py: guidance on raw logits; masks; top-k on the masked
// logits (ties with the k-th survive); temperature; softmax. Top-p and min-p, which NeMo does not
// have, come next, then one draw by inverse CDF in index order. Temperature 0 means argmax.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "rules/inline.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

constexpr float kNever = -INFINITY;

// Classifier-free guidance (Ho and Salimans, 2022) as NeMo writes it.
TTSRT_RULE float guide(float conditional, float unconditional, float scale) {
  return scale * conditional + (1.0F - scale) * unconditional;
}

TTSRT_RULE bool forbids_end(const SlotRules& rules, const SlotState& state) {
  return state.step * rules.frame_stacking < rules.min_frames;
}

TTSRT_RULE bool forces_end(const SlotRules& rules, const SlotState& state) {
  const bool is_due = rules.prior.track_finish && state.finish_count >= rules.prior.force_after;
  return is_due && !forbids_end(rules, state);  // min_frames takes precedence
}

// Masks one row of logits [vocab] in place.
TTSRT_RULE void mask_logits(const SlotRules& rules, const SlotState& state, float* logits,
                            std::int32_t vocab) {
  if (rules.prior.track_finish && state.is_unfinished) logits[rules.eos_id] = kNever;
  if (forces_end(rules, state)) {
    for (std::int32_t i = 0; i < vocab; ++i) logits[i] = kNever;
    logits[rules.eos_id] = 0.0F;
  }
  for (std::int32_t i = 0; i < rules.num_forbidden; ++i) logits[rules.forbidden[i]] = kNever;
  if (forbids_end(rules, state)) logits[rules.eos_id] = kNever;
}

TTSRT_RULE std::int32_t argmax(const float* values, std::int32_t count) {
  std::int32_t best = 0;
  for (std::int32_t i = 1; i < count; ++i) {
    if (values[i] > values[best]) best = i;
  }
  return best;
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

struct DrawOutcome {
  std::int32_t code = 0;
  float probability = 1.0F;      // of the drawn code, after filters and temperature
  float max_probability = 1.0F;  // of the most likely code
};

// Turns masked logits [vocab] into unnormalised probabilities in place, given the top-k threshold;
// returns their sum. The largest is 1.
TTSRT_RULE float filter_to_weights(const SamplerRules& sampler, float* logits, std::int32_t vocab,
                                   float threshold) {
  const float largest = logits[argmax(logits, vocab)];
  const float inverse_temperature = 1.0F / sampler.temperature;
  float sum = 0.0F;
  for (std::int32_t i = 0; i < vocab; ++i) {
    const float weight =
        logits[i] >= threshold ? expf((logits[i] - largest) * inverse_temperature) : 0.0F;
    logits[i] = weight;
    sum += weight;
  }
  float least = sampler.min_p;  // the largest weight is 1
  if (sampler.top_p < 1.0F) {
    const float nucleus = nucleus_threshold(logits, vocab, sampler.top_p * sum);
    least = nucleus > least ? nucleus : least;
  }
  if (least > 0.0F) {
    sum = 0.0F;
    for (std::int32_t i = 0; i < vocab; ++i) {
      logits[i] = logits[i] >= least ? logits[i] : 0.0F;
      sum += logits[i];
    }
  }
  return sum;
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

// Draws a code from masked logits [vocab], which it overwrites.
TTSRT_RULE DrawOutcome draw_code(const SamplerRules& sampler, float* logits, std::int32_t vocab,
                                 float uniform_number) {
  DrawOutcome outcome;
  if (sampler.temperature <= 0.0F) {
    outcome.code = argmax(logits, vocab);
    return outcome;
  }
  const bool keeps_all = sampler.top_k <= 0 || sampler.top_k >= vocab;
  const float threshold = keeps_all ? kNever : kth_largest(logits, vocab, sampler.top_k);
  const float sum = filter_to_weights(sampler, logits, vocab, threshold);
  outcome.code = draw_index(logits, vocab, sum, uniform_number);
  outcome.probability = logits[outcome.code] / sum;
  outcome.max_probability = 1.0F / sum;
  return outcome;
}

}  // namespace ttsrt::rules
