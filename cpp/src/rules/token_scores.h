// How the scores of a language model's tokens change before the draw: penalties for ids that were
// there before, then biases. Ids that masks forbid stay forbidden, as -inf stays -inf; so it makes
// no difference that masks come first here and last in the definition.
#pragma once

#include <cstdint>

#include "rules/filter_chain.h"
#include "rules/inline.h"

namespace ttsrt::rules {

struct TokenBias {
  std::int32_t id = 0;
  float bias = 0.0F;  // -inf forbids the id
};

struct TokenScores {
  float repetition_penalty = 1.0F;     // above 0; of ids in `seen` and `drawn`, once for each id
  float presence_penalty = 0.0F;       // of ids in `drawn`, once for each id
  float frequency_penalty = 0.0F;      // of ids in `drawn`, as often as they are there
  const std::int32_t* seen = nullptr;  // [num_seen], ids of the prompt
  std::int32_t num_seen = 0;
  const std::int32_t* drawn = nullptr;  // [num_drawn]
  std::int32_t num_drawn = 0;
  const TokenBias* biases = nullptr;  // [num_biases], no id twice
  std::int32_t num_biases = 0;
};

// Changes the scores [vocab]; `marks` [vocab] is scratch memory of any contents. Returns whether
// every score that it changed stayed finite.
TTSRT_RULE bool change_scores(const TokenScores& of, float* scores, std::int32_t* marks) {
  bool is_sound = true;
  if (of.repetition_penalty != 1.0F) {
    for (std::int32_t i = 0; i < of.num_seen; ++i) marks[of.seen[i]] = 0;
    for (std::int32_t i = 0; i < of.num_drawn; ++i) marks[of.drawn[i]] = 0;
    for (std::int32_t i = 0; i < of.num_seen + of.num_drawn; ++i) {
      const std::int32_t id = i < of.num_seen ? of.seen[i] : of.drawn[i - of.num_seen];
      if (marks[id]++ > 0) continue;
      const float before = scores[id];
      scores[id] = penalise(before, of.repetition_penalty);
      is_sound = is_sound && stays_finite(before, scores[id]);
    }
  }
  if (of.presence_penalty != 0.0F || of.frequency_penalty != 0.0F) {
    for (std::int32_t i = 0; i < of.num_drawn; ++i) marks[of.drawn[i]] = 0;
    for (std::int32_t i = 0; i < of.num_drawn; ++i) ++marks[of.drawn[i]];
    for (std::int32_t i = 0; i < of.num_drawn; ++i) {
      const std::int32_t id = of.drawn[i];
      if (marks[id] == 0) continue;
      const auto count = static_cast<float>(marks[id]);
      scores[id] = scores[id] - count * of.frequency_penalty - of.presence_penalty;
      marks[id] = 0;
    }
  }
  for (std::int32_t i = 0; i < of.num_biases; ++i) scores[of.biases[i].id] += of.biases[i].bias;
  return is_sound;
}

constexpr std::int32_t kMaxLogprobs = 20;

// Finds the `count` largest values in falling order, of equals those with the lowest ids first.
// Values must be finite.
TTSRT_RULE void find_largest(const float* values, std::int32_t vocab, std::int32_t count,
                             std::int32_t* ids, float* largest) {
  std::int32_t found = 0;
  for (std::int32_t id = 0; id < vocab; ++id) {
    const float value = values[id];
    if (found == count && (count == 0 || !(value > largest[found - 1]))) continue;
    std::int32_t at = found < count ? found++ : found - 1;
    for (; at > 0 && value > largest[at - 1]; --at) {
      largest[at] = largest[at - 1];
      ids[at] = ids[at - 1];
    }
    largest[at] = value;
    ids[at] = id;
  }
}

// The logarithm of the sum of exponentials of scores whose largest is known, of finite scores.
TTSRT_RULE double log_of_sum(const float* scores, std::int32_t count, float largest) {
  double sum = 0.0;
  for (std::int32_t i = 0; i < count; ++i) sum += static_cast<double>(expf(scores[i] - largest));
  return static_cast<double>(largest) + log(sum);
}

}  // namespace ttsrt::rules
