// The rules of tokens (rules/token_scores.h) by all threads of a block: what penalties and biases
// do to a row of scores, and the logarithms of probabilities that a draw tells.
//
// Decided: ids are counted in an array over the vocabulary, so that each score is changed by one
// thread, in the order of the rules and with their bits. Exponentials are summed in fixed point
// (cooperate.cuh), so that logarithms don't depend on the number of threads.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/cooperate.cuh"
#include "rules/token_scores.h"

namespace ttsrt::cuda {

struct TokenRow {
  float* scores = nullptr;          // [vocab], after masks
  std::uint32_t* counts = nullptr;  // [vocab] scratch memory of any contents, like
  std::uint16_t* marks = nullptr;   // [vocab]
  std::int32_t vocab = 0;
};

// The score of an id that is counted so often. On the device nothing is fused, as nothing is on the
// host.
TTSRT_DEVICE float lessened(const rules::TokenScores& of, float score, std::uint32_t count) {
#ifdef __CUDA_ARCH__
  const float all = __fmul_rn(static_cast<float>(count), of.frequency_penalty);
  return __fsub_rn(__fsub_rn(score, all), of.presence_penalty);
#else
  return score - static_cast<float>(count) * of.frequency_penalty - of.presence_penalty;
#endif
}

// Marks the ids of the prompt and counts those that were drawn.
template <typename Block>
TTSRT_DEVICE void count_ids(Block& block, const rules::TokenScores& of, const TokenRow& row) {
  for (std::int32_t id = block.rank(); id < row.vocab; id += block.size()) {
    row.counts[id] = 0;
    row.marks[id] = 0;
  }
  block.sync();
  for (std::int32_t i = block.rank(); i < of.num_seen; i += block.size()) row.marks[of.seen[i]] = 1;
  const std::int32_t num_counted = of.num_drawn + of.num_ahead;
  for (std::int32_t i = block.rank(); i < num_counted; i += block.size())
    block.count(row.counts[rules::counted_id(of, i)]);
  block.sync();
}

// As rules::change_scores, for all threads to read the row afterwards; `counts_ids` tells whether
// there is a penalty. Returns whether every score that this thread changed stayed finite.
template <typename Block>
TTSRT_DEVICE bool change_scores(Block& block, const rules::TokenScores& of, bool counts_ids,
                                const TokenRow& row) {
  bool is_sound = true;
  if (counts_ids) count_ids(block, of, row);
  for (std::int32_t id = block.rank(); id < row.vocab && counts_ids; id += block.size()) {
    const std::uint32_t count = row.counts[id];
    if (count == 0 && row.marks[id] == 0) continue;
    float score = row.scores[id];
    if (of.repetition_penalty != 1.0F) {
      const float before = score;
      score = rules::penalise(before, of.repetition_penalty);
      is_sound = is_sound && rules::stays_finite(before, score);
    }
    row.scores[id] = count == 0 ? score : lessened(of, score, count);
  }
  block.sync();
  for (std::int32_t i = block.rank(); i < of.num_biases; i += block.size())
    row.scores[of.biases[i].id] += of.biases[i].bias;
  block.sync();
  return is_sound;
}

// Returns the largest of this thread's values [count] that is packed below `limit`, or 0.
template <typename Block>
TTSRT_DEVICE std::uint64_t largest_below(const Block& block, const float* values,
                                         std::int32_t count, std::uint64_t limit) {
  std::uint64_t best = 0;
  for (std::int32_t i = block.rank(); i < count; i += block.size()) {
    const std::uint64_t packed = pack_best(values[i], i);
    best = packed > best && packed < limit ? packed : best;
  }
  return best;
}

// Tells the logarithms of the probabilities of `code` and of the `count` likeliest ids, from the
// scores before masks and penalties [vocab]. The first thread writes them.
template <typename Block>
TTSRT_DEVICE void tell_logprobs(Block& block, const float* raw, std::int32_t vocab,
                                std::int32_t count, std::int32_t code, float* drawn,
                                std::int32_t* ids, float* likeliest) {
  constexpr std::uint64_t kAny = ~std::uint64_t{0};
  std::uint64_t own = largest_below(block, raw, vocab, kAny);
  std::uint64_t next = block.max(own);
  const float largest = best_value(next);
  std::uint64_t own_sum = 0;
  for (std::int32_t i = block.rank(); i < vocab; i += block.size())
    own_sum += to_fixed(expf(raw[i] - largest));
  const std::uint64_t fixed_sum = block.sum(own_sum);
  const double sum = static_cast<double>(fixed_sum) / static_cast<double>(kFixedOne);
  const double log_of_sum = static_cast<double>(largest) + log(sum);
  const bool tells = block.rank() == 0;
  if (tells) *drawn = static_cast<float>(static_cast<double>(raw[code]) - log_of_sum);
  for (std::int32_t i = 0; i < count && next != 0; ++i) {
    if (tells) {
      ids[i] = best_index(next);
      likeliest[i] = static_cast<float>(static_cast<double>(best_value(next)) - log_of_sum);
    }
    if (own == next) own = largest_below(block, raw, vocab, next);
    next = block.max(own);
  }
}

}  // namespace ttsrt::cuda
