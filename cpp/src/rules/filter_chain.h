// The filter chain turns one row of masked logits into a code: it runs the processors of a request
// in the request's order, and then draws.
//
// All backends use this chain and pass it their primitives; PlainPrimitives below serve the
// reference and single threads. Scores are scaled and filtered lazily: before the first filter of
// probabilities, the chain stores only a threshold and a factor. It then gathers the survivors in
// index order with unnormalised probabilities, of which the largest is 1. Sums are in index order,
// so that equal logits give equal draws.
//
// Temperature 0 means argmax after the penalty, with ties to the lowest id; filters are ignored.
//
// Masked logits are finite, or -inf where an id is forbidden. A row without any id left, and a
// penalty that makes a score infinite, are faults of the draw: its code is then some id below
// vocab.
#pragma once

#include <cmath>
#include <cstdint>

#include "rules/inline.h"
#include "rules/sampling.h"
#include "rules/seen.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

// One row to draw from, and memory for the survivors of its filters. Primitives may need more
// memory than vocab; their documentation says how much.
struct DrawRow {
  float* logits = nullptr;  // [vocab], after masks; the penalty changes them
  std::int32_t vocab = 0;
  float* weights = nullptr;             // [vocab]
  std::int32_t* indices = nullptr;      // [vocab]
  const std::uint32_t* seen = nullptr;  // ids that the penalty counts, or null
};

enum class DrawFault : std::int32_t { none, not_finite, no_choice };

struct DrawOutcome {
  DrawFault fault = DrawFault::none;
  std::int32_t code = 0;
  float probability = 1.0F;      // of the drawn code, after filters and temperature
  float max_probability = 1.0F;  // of the most likely code
};

// Plain versions of the primitives, in which the chain spends most of its time.
struct PlainPrimitives {
  // Returns the first index of the largest value.
  TTSRT_RULE std::int32_t argmax(const float* values, std::int32_t count) const {
    return rules::argmax(values, count);
  }
  // Returns the k-th largest value, 1 <= k <= count.
  TTSRT_RULE float kth_largest(const float* values, std::int32_t count, std::int32_t k) const {
    return rules::kth_largest(values, count, k);
  }
  // Computes exp((x - largest) * inverse_temperature) of the values >= threshold, in index order,
  // and their indices; returns their number.
  TTSRT_RULE std::int32_t survivors(const float* values, std::int32_t count, float threshold,
                                    float largest, float inverse_temperature, float* weights,
                                    std::int32_t* indices) const {
    std::int32_t found = 0;
    for (std::int32_t i = 0; i < count; ++i) {
      if (!(values[i] >= threshold)) continue;
      weights[found] = expf((values[i] - largest) * inverse_temperature);
      indices[found++] = i;
    }
    return found;
  }
  // Replaces each value by its exponential.
  TTSRT_RULE void exponentials(float* values, std::int32_t count) const {
    for (std::int32_t i = 0; i < count; ++i) values[i] = expf(values[i]);
  }
  TTSRT_RULE float nucleus_threshold(const float* weights, std::int32_t count, float mass) const {
    return rules::nucleus_threshold(weights, count, mass);
  }
};

// What is wrong with a row whose largest score is this.
TTSRT_RULE DrawFault fault_of_largest(float largest) {
  if (largest - largest == 0.0F) return DrawFault::none;
  return largest == kNever ? DrawFault::no_choice : DrawFault::not_finite;
}

// Applies the penalty to a score, once per id of the set.
TTSRT_RULE float penalise(float score, float penalty) {
  return score < 0.0F ? score * penalty : score / penalty;
}

// Whether a score stayed finite, or was forbidden before.
TTSRT_RULE bool stays_finite(float before, float after) {
  return after - after == 0.0F || before == kNever;
}

// Returns whether every score that it changed stayed finite.
TTSRT_RULE bool penalise_row(const SamplerRules& sampler, const DrawRow& row) {
  bool is_sound = true;
  for (std::int32_t w = 0; w < seen_words(row.vocab); ++w) {
    if (row.seen[w] == 0) continue;
    const std::int32_t end = w * 32 + 32 < row.vocab ? w * 32 + 32 : row.vocab;
    for (std::int32_t id = w * 32; id < end; ++id) {
      if (!is_seen(row.seen, id)) continue;
      const float score = row.logits[id];
      row.logits[id] = penalise(score, sampler.repetition_penalty);
      is_sound = is_sound && stays_finite(score, row.logits[id]);
    }
  }
  return is_sound;
}

TTSRT_RULE bool penalises(const SamplerRules& sampler, const DrawRow& row) {
  return row.seen != nullptr && counts_seen(sampler);
}

// The state of a chain while it runs.
template <typename Primitives>
struct FilterChain {
  const Primitives& primitives;
  const SamplerRules& sampler;
  DrawRow row;
  float threshold = kNever;  // of logits that will be gathered
  float inverse_temperature = 1.0F;
  std::int32_t count = -1;  // survivors; -1: not gathered yet
  float sum = 0.0F;         // of their weights
  DrawFault fault = DrawFault::none;

  TTSRT_RULE void add_up() {
    sum = 0.0F;
    for (std::int32_t i = 0; i < count; ++i) sum += row.weights[i];
  }

  TTSRT_RULE void find_fault(float largest) {
    if (fault == DrawFault::none) fault = fault_of_largest(largest);
  }

  TTSRT_RULE void gather() {
    if (count >= 0) return;
    const float largest = row.logits[primitives.argmax(row.logits, row.vocab)];
    find_fault(largest);
    count = primitives.survivors(row.logits, row.vocab, threshold, largest, inverse_temperature,
                                 row.weights, row.indices);
    add_up();
  }

  // Computes the weights of the survivors again, after their logits or the temperature changed.
  TTSRT_RULE void weigh() {
    float largest = kNever;
    for (std::int32_t i = 0; i < count; ++i) {
      const float logit = row.logits[row.indices[i]];
      largest = logit > largest ? logit : largest;
    }
    find_fault(largest);
    for (std::int32_t i = 0; i < count; ++i)
      row.weights[i] = (row.logits[row.indices[i]] - largest) * inverse_temperature;
    primitives.exponentials(row.weights, count);
    add_up();
  }

  // Drops survivors below `least`. Of the survivors equal to it, keeps the first `num_equal`.
  TTSRT_RULE void drop_below(float least, std::int32_t num_equal) {
    std::int32_t kept = 0;
    for (std::int32_t i = 0; i < count; ++i) {
      const float weight = row.weights[i];
      if (weight < least || (weight == least && num_equal-- <= 0)) continue;
      row.weights[kept] = weight;
      row.indices[kept++] = row.indices[i];
    }
    count = kept;
    add_up();
  }

  TTSRT_RULE void keep_top_k() {
    const std::int32_t candidates = count >= 0 ? count : row.vocab;
    if (sampler.top_k <= 0 || sampler.top_k >= candidates) return;
    if (count >= 0) {  // ties with the k-th survive
      drop_below(primitives.kth_largest(row.weights, count, sampler.top_k), count);
    } else {
      const float kth = primitives.kth_largest(row.logits, row.vocab, sampler.top_k);
      threshold = kth > threshold ? kth : threshold;
    }
  }

  // Keeps the smallest set of the most likely codes with at least the mass; among codes with the
  // smallest kept probability, those with the lowest ids.
  TTSRT_RULE void keep_top_p() {
    if (sampler.top_p >= 1.0F) return;
    gather();
    const float mass = sampler.top_p * sum;
    const float least = primitives.nucleus_threshold(row.weights, count, mass);
    float held = 0.0F;
    for (std::int32_t i = 0; i < count; ++i) held += row.weights[i] > least ? row.weights[i] : 0.0F;
    std::int32_t num_equal = 1;
    for (held += least; held < mass && num_equal < count; ++num_equal) held += least;
    drop_below(least, num_equal);
  }

  TTSRT_RULE void keep_min_p() {
    if (sampler.min_p <= 0.0F) return;
    gather();
    drop_below(sampler.min_p, row.vocab);  // the largest weight is 1
  }

  TTSRT_RULE void penalise_seen() {
    if (!penalises(sampler, row)) return;
    // A penalty commutes with scaling by a positive number, so it may apply to logits before or
    // after the temperature. A threshold must be compared with the scores before the penalty.
    if (count < 0 && threshold > kNever) gather();
    if (count < 0) {
      if (!penalise_row(sampler, row)) fault = DrawFault::not_finite;
      return;
    }
    for (std::int32_t i = 0; i < count; ++i) {
      float& logit = row.logits[row.indices[i]];
      if (!is_seen(row.seen, row.indices[i])) continue;
      const float score = logit;
      logit = penalise(score, sampler.repetition_penalty);
      if (!stays_finite(score, logit)) fault = DrawFault::not_finite;
    }
    weigh();
  }

  TTSRT_RULE void heat() {
    inverse_temperature = 1.0F / sampler.temperature;
    if (count >= 0) weigh();
  }

  TTSRT_RULE void run() {
    for (std::int32_t i = 0; i < kMaxProcessors; ++i) {
      const Processor processor = sampler.order[i];
      if (processor == Processor::repetition_penalty) penalise_seen();
      if (processor == Processor::temperature) heat();
      if (processor == Processor::top_k) keep_top_k();
      if (processor == Processor::top_p) keep_top_p();
      if (processor == Processor::min_p) keep_min_p();
    }
    gather();
  }
};

// Draws at a temperature above 0.
template <typename Primitives>
TTSRT_RULE DrawOutcome draw_warm(const Primitives& primitives, const SamplerRules& sampler,
                                 const DrawRow& row, float uniform_number) {
  FilterChain<Primitives> chain{primitives, sampler, row};
  chain.run();
  DrawOutcome outcome;
  outcome.fault = chain.fault;
  if (chain.count == 0) return outcome;  // every logit is NaN
  const std::int32_t index = draw_index(row.weights, chain.count, chain.sum, uniform_number);
  outcome.code = row.indices[index];
  outcome.probability = row.weights[index] / chain.sum;
  outcome.max_probability = 1.0F / chain.sum;
  return outcome;
}

// Draws a code from masked logits with a uniform number in [0, 1).
template <typename Primitives>
TTSRT_RULE DrawOutcome draw_code(const Primitives& primitives, const SamplerRules& sampler,
                                 const DrawRow& row, float uniform_number) {
  if (sampler.temperature > 0.0F) return draw_warm(primitives, sampler, row, uniform_number);
  const bool is_sound = !penalises(sampler, row) || penalise_row(sampler, row);
  DrawOutcome outcome;
  outcome.code = primitives.argmax(row.logits, row.vocab);
  outcome.fault = is_sound ? fault_of_largest(row.logits[outcome.code]) : DrawFault::not_finite;
  return outcome;
}

// Returns the probability of a code at the temperature of `sampler`: 0 if a filter drops it.
template <typename Primitives>
TTSRT_RULE DrawOutcome weigh_code(const Primitives& primitives, const SamplerRules& sampler,
                                  const DrawRow& row, std::int32_t code) {
  FilterChain<Primitives> chain{primitives, sampler, row};
  chain.run();
  DrawOutcome outcome;
  outcome.fault = chain.fault;
  outcome.code = code;
  outcome.probability = 0.0F;
  for (std::int32_t i = 0; i < chain.count; ++i) {
    if (row.indices[i] == code) outcome.probability = row.weights[i] / chain.sum;
  }
  if (chain.count > 0) outcome.max_probability = 1.0F / chain.sum;
  return outcome;
}

// Does the same, with probabilities that serve as MaskGit's confidences (rules/maskgit.h): those of
// the draw, or those at the confidence temperature if the rules rank codes apart from the draw. At
// temperature 0, it is the probability of the argmax at the confidence temperature. A guess has no
// repetition penalty: its ids are drawn again in every pass, and a row may be weighed twice here.
template <typename Primitives>
TTSRT_RULE DrawOutcome draw_guess(const Primitives& primitives, const SamplerRules& sampler,
                                  DrawRow row, float uniform_number) {
  row.seen = nullptr;
  SamplerRules warm = sampler;
  warm.temperature = sampler.confidence_temperature;
  if (sampler.temperature > 0.0F) {
    const DrawOutcome drawn = draw_warm(primitives, sampler, row, uniform_number);
    const bool is_final = !sampler.ranks_apart || drawn.fault != DrawFault::none;
    return is_final ? drawn : weigh_code(primitives, warm, row, drawn.code);
  }
  DrawOutcome outcome = draw_warm(primitives, warm, row, 0.0F);
  outcome.code = primitives.argmax(row.logits, row.vocab);
  outcome.probability = outcome.max_probability;
  return outcome;
}

}  // namespace ttsrt::rules
