// The searches of a draw by all threads of a block: the k-th largest value, and the smallest weight
// that top-p keeps. Each thread brings `count` values of its own, in any order.
#pragma once

#include <cstdint>

#include "cuda/kernels/cooperate.cuh"
#include "rules/sampling.h"

namespace ttsrt::cuda {

// Returns the k-th largest of the values of all threads, of which there are at least k. It is
// exact: each pass counts the values by the next bits of their order.
template <typename Block>
TTSRT_DEVICE float kth_largest(Block& block, const float* values, std::int32_t count,
                               std::uint32_t k) {
  constexpr std::int32_t kDigitBits = 11;
  const std::int32_t chunk = (kBins + block.size() - 1) / block.size();
  const std::int32_t top = kBins - 1 - block.rank() * chunk;  // this thread's largest digit
  std::uint32_t* bins = block.bins();
  std::uint32_t prefix = 0;
  std::uint32_t known = 0;  // mask of the bits that prefix has
  for (std::int32_t shift = 21; shift > -kDigitBits; shift -= kDigitBits) {
    const std::int32_t low = shift > 0 ? shift : 0;
    const std::int32_t width = shift > 0 ? kDigitBits : kDigitBits + shift;
    const std::uint32_t mask = (1U << width) - 1U;
    for (std::int32_t b = block.rank(); b < kBins; b += block.size()) bins[b] = 0;
    block.sync();
    for (std::int32_t i = 0; i < count; ++i) {
      const std::uint32_t key = rules::order_key(values[i]);
      if ((key & known) == prefix) block.count(bins[(key >> low) & mask]);
    }
    block.sync();
    std::uint32_t own = 0;
    for (std::int32_t digit = top; digit > top - chunk && digit >= 0; --digit) own += bins[digit];
    auto above = static_cast<std::uint32_t>(block.before(own).before);
    std::uint64_t found = 0;
    for (std::int32_t digit = top; digit > top - chunk && digit >= 0 && above < k; --digit) {
      if (above + bins[digit] >= k) found = (static_cast<std::uint64_t>(digit) << 32) | (k - above);
      above += bins[digit];
    }
    found = block.max(found);
    prefix |= static_cast<std::uint32_t>(found >> 32) << low;
    known |= mask << low;
    k = static_cast<std::uint32_t>(found);
  }
  return rules::from_order_key(prefix);
}

// Returns the largest threshold for which the weights at or above it, of all threads, sum to at
// least `mass`. It bisects the bits of the threshold; every fourth pass narrows the range to the
// weights that are in it, and equal weights end the search.
template <typename Block>
TTSRT_DEVICE float nucleus_threshold(Block& block, const float* weights, std::int32_t count,
                                     float mass) {
  std::uint32_t low = 0;            // the weights from here on have the mass
  std::uint32_t high = 0x3F800001;  // those from here on, above 1 at first, don't have it
  std::uint64_t above = 0;          // their sum
  for (std::int32_t pass = 0; high - low > 1; ++pass) {
    if (pass % 4 == 0) {
      std::uint32_t largest = 0;
      std::uint32_t not_smallest = 0;
      for (std::int32_t i = 0; i < count; ++i) {
        const std::uint32_t bits = bits_of(weights[i]);
        if (bits < low || bits >= high) continue;
        largest = bits > largest ? bits : largest;
        not_smallest = ~bits > not_smallest ? ~bits : not_smallest;
      }
      largest = static_cast<std::uint32_t>(block.max(largest));
      const std::uint32_t smallest = ~static_cast<std::uint32_t>(block.max(not_smallest));
      if (smallest >= largest) return from_bits(largest > low ? largest : low);
      low = smallest;
      high = largest + 1;
    }
    const std::uint32_t middle = low + (high - low) / 2;
    std::uint64_t own = 0;
    for (std::int32_t i = 0; i < count; ++i) {
      const std::uint32_t bits = bits_of(weights[i]);
      if (bits >= middle && bits < high) own += to_fixed(weights[i]);
    }
    const std::uint64_t sum = above + block.sum(own);
    if (from_fixed(sum) >= mass) {
      low = middle;
    } else {
      high = middle;
      above = sum;
    }
  }
  return from_bits(low);
}

// Returns how many weights of `least` it takes, beside others that sum to `held`, to have the mass:
// at least 1 and at most `count`.
TTSRT_DEVICE std::uint64_t equals_of_nucleus(std::uint64_t held, std::uint64_t least, float mass,
                                             std::uint64_t count) {
  std::uint64_t low = 0;  // too few
  std::uint64_t high = count > 1 ? count : 1;
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (from_fixed(held + middle * least) >= mass) {
      high = middle;
    } else {
      low = middle;
    }
  }
  return high;
}

}  // namespace ttsrt::cuda
