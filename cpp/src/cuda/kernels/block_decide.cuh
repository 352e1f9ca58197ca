// Decides the codes of a block by all threads of a block of the device: rules/block_diffusion.h,
// with its results. Apart from the rounding of sums of probabilities, which are in fixed point
// (cooperate.cuh), both compute the same.
#pragma once

#include <cstdint>

#include "cuda/kernels/cooperate.cuh"
#include "rules/block_diffusion.h"

namespace ttsrt::cuda {

// Returns the logarithm of a code's probability by raw logits [vocab], as rules::log_probability.
// `is_finite` becomes false where a thread meets a logit that is not.
template <typename Block>
TTSRT_DEVICE float log_probability(Block& block, const float* logits, std::int32_t vocab,
                                   std::int32_t code, bool& is_finite) {
  float own_largest = rules::kNever;
  for (std::int32_t id = block.rank(); id < vocab; id += block.size()) {
    const float logit = logits[id];
    is_finite = is_finite && logit - logit == 0.0F;
    own_largest = logit > own_largest ? logit : own_largest;
  }
  const float largest = best_value(block.max(pack_best(own_largest, 0)));
  std::uint64_t own_sum = 0;
  for (std::int32_t id = block.rank(); id < vocab; id += block.size())
    own_sum += to_fixed(expf(logits[id] - largest));
  return logits[code] - largest - logf(from_fixed(block.sum(own_sum)));
}

// Memory that the threads share while they decide.
struct DecideRoom {
  std::int32_t places[rules::kMaxBlockRows];  // those that are masked, in order
  float noisy[rules::kMaxBlockRows];          // their scores
  float sorted[rules::kMaxBlockRows];         // the same from the smallest on
};

// One step of a block of `count` places, as rules::decide_block. The codes [count] are shared; they
// may be read behind the next barrier.
template <typename Block>
TTSRT_DEVICE void decide_block(Block& block, DecideRoom& room, const rules::SlotRules& rules,
                               const rules::SlotState& state, std::int32_t count,
                               const std::int32_t* guesses, const float* scores,
                               std::int32_t* codes) {
  // Returns the number of masked places before `place`.
  const auto masked_before = [&](std::int32_t place) {
    std::int32_t masked = 0;
    for (std::int32_t i = 0; i < place; ++i) masked += codes[i] == rules.block.mask_id ? 1 : 0;
    return masked;
  };
  const std::int32_t masked = masked_before(count);
  for (std::int32_t place = block.rank(); place < count; place += block.size()) {
    if (codes[place] != rules.block.mask_id) continue;
    const std::int32_t i = masked_before(place);
    room.places[i] = place;
    room.noisy[i] = scores[place] + rules::block_noise(rules, state, place);
  }
  block.sync();
  for (std::int32_t i = block.rank(); i < masked; i += block.size()) {
    const std::uint32_t key = rules::order_key(room.noisy[i]);  // has an order for NaN, too
    std::int32_t smaller = 0;
    for (std::int32_t j = 0; j < masked; ++j) {
      const std::uint32_t other = rules::order_key(room.noisy[j]);
      smaller += other < key || (other == key && j < i) ? 1 : 0;
    }
    room.sorted[smaller] = room.noisy[i];
  }
  block.sync();
  std::uint64_t decided = 0;
  if (block.rank() == 0) {
    decided = static_cast<std::uint64_t>(
        rules::block_decided(rules.block, state.pass, count, masked, room.sorted));
  }
  const auto num_decided = static_cast<std::int32_t>(block.max(decided));
  for (std::int32_t i = block.rank(); i < masked; i += block.size()) {
    const std::int32_t place = room.places[i];
    if (rules::is_among_largest(room.noisy, masked, num_decided, i)) codes[place] = guesses[place];
  }
}

}  // namespace ttsrt::cuda
