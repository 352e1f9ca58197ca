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
  float repetition_penalty = 1.0F;     // above 0; of `seen` and drawn ids, once for each id
  float presence_penalty = 0.0F;       // of drawn ids, once for each id
  float frequency_penalty = 0.0F;      // of drawn ids, as often as they are there
  const std::int32_t* seen = nullptr;  // [num_seen], ids of the prompt
  std::int32_t num_seen = 0;
  const std::int32_t* drawn = nullptr;  // [num_drawn]
  std::int32_t num_drawn = 0;
  const std::int32_t* ahead = nullptr;  // [num_ahead], drafts that count as drawn behind those
  std::int32_t num_ahead = 0;
  const TokenBias* biases = nullptr;  // [num_biases], no id twice
  std::int32_t num_biases = 0;
};

// Returns a drawn id, or the draft that counts as one, of `num_drawn + num_ahead`.
TTSRT_RULE std::int32_t counted_id(const TokenScores& of, std::int32_t index) {
  return index < of.num_drawn ? of.drawn[index] : of.ahead[index - of.num_drawn];
}

// Changes the scores [vocab]; `marks` [vocab] is scratch memory of any contents. Returns whether
// every score that it changed stayed finite.
TTSRT_RULE bool change_scores(const TokenScores& of, float* scores, std::int32_t* marks) {
  bool is_sound = true;
  const std::int32_t num_counted = of.num_drawn + of.num_ahead;
  if (of.repetition_penalty != 1.0F) {
    for (std::int32_t i = 0; i < of.num_seen; ++i) marks[of.seen[i]] = 0;
    for (std::int32_t i = 0; i < num_counted; ++i) marks[counted_id(of, i)] = 0;
    for (std::int32_t i = 0; i < of.num_seen + num_counted; ++i) {
      const std::int32_t id = i < of.num_seen ? of.seen[i] : counted_id(of, i - of.num_seen);
      if (marks[id]++ > 0) continue;
      const float before = scores[id];
      scores[id] = penalise(before, of.repetition_penalty);
      is_sound = is_sound && stays_finite(before, scores[id]);
    }
  }
  if (of.presence_penalty != 0.0F || of.frequency_penalty != 0.0F) {
    for (std::int32_t i = 0; i < num_counted; ++i) marks[counted_id(of, i)] = 0;
    for (std::int32_t i = 0; i < num_counted; ++i) ++marks[counted_id(of, i)];
    for (std::int32_t i = 0; i < num_counted; ++i) {
      const std::int32_t id = counted_id(of, i);
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
