// What the threads of a block need to work on one row of logits together, independent of the
// device: the code that uses it also runs on the host, where tests compare it with rules/.
//
// A `Block` is a group of threads. On the device it is ThreadBlock (thread_block.cuh). All of its
// threads call its functions together, except for rank(), size() and count():
//   std::int32_t rank() const, size() const;
//   void sync();                              // a barrier that also orders memory
//   std::uint64_t sum(std::uint64_t value);   // over all threads, returned to all of them
//   std::uint64_t max(std::uint64_t value);   // likewise
//   Prefix before(std::uint64_t value);       // the sums over the threads of lower rank, and all
//   std::uint32_t* bins();                    // [kBins] counters that the threads share
//   void count(std::uint32_t& bin);           // adds 1; other threads may count, too
//
// Decided: probabilities are summed in fixed point (to_fixed). Integer sums don't depend on their
// order, so a draw depends neither on the number of threads nor on how they divide the row.
#pragma once

#include <cstdint>

#include "rules/sampling.h"

#ifdef __CUDACC__
#define TTSRT_DEVICE __device__ __forceinline__
#else
#define TTSRT_DEVICE inline
#endif

namespace ttsrt::cuda {

constexpr std::int32_t kBins = 2048;

struct Prefix {
  std::uint64_t before = 0;
  std::uint64_t total = 0;
};

// A thread's share of the ids of a row: [begin, end), in the order of the ranks. The shares have an
// odd size, so that threads which read the k-th of their ids use different banks.
struct IdRange {
  std::int32_t begin = 0;
  std::int32_t end = 0;
};

template <typename Block>
TTSRT_DEVICE IdRange own_ids(const Block& block, std::int32_t vocab) {
  const std::int32_t share = ((vocab + block.size() - 1) / block.size()) | 1;
  const std::int32_t begin = block.rank() * share;
  const std::int32_t end = begin + share;
  return {begin < vocab ? begin : vocab, end < vocab ? end : vocab};
}

constexpr float kFixedOne = 1099511627776.0F;  // 2^40: sums of 2^17 weights stay below 2^58

// Converts a weight of at most 1. NaN becomes 0.
TTSRT_DEVICE std::uint64_t to_fixed(float weight) {
  return weight > 0.0F ? static_cast<std::uint64_t>(weight * kFixedOne) : 0;
}

// Rounds once, so it keeps the order of sums.
TTSRT_DEVICE float from_fixed(std::uint64_t sum) {
  return static_cast<float>(sum) * (1.0F / kFixedOne);
}

// The bits of a float that is not negative have its order.
TTSRT_DEVICE std::uint32_t bits_of(float value) {
  std::uint32_t bits = 0;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

TTSRT_DEVICE float from_bits(std::uint32_t bits) {
  float value = 0.0F;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// A value with its index as one number, which is largest for the largest value and, of equal ones,
// for the lowest index. It is never 0.
TTSRT_DEVICE std::uint64_t pack_best(float value, std::int32_t index) {
  const std::uint32_t key = rules::order_key(value + 0.0F);  // so that -0 equals 0
  return (static_cast<std::uint64_t>(key) << 32) | ~static_cast<std::uint32_t>(index);
}

TTSRT_DEVICE float best_value(std::uint64_t best) {
  return rules::from_order_key(static_cast<std::uint32_t>(best >> 32));
}

TTSRT_DEVICE std::int32_t best_index(std::uint64_t best) {
  return static_cast<std::int32_t>(~static_cast<std::uint32_t>(best));
}

// Returns the largest of values [count] with its index, packed. Unlike rules::argmax, it may return
// a NaN from anywhere in the row; rows with a NaN are faults in any case.
template <typename Block>
TTSRT_DEVICE std::uint64_t largest_of(Block& block, const float* values, std::int32_t count) {
  const IdRange own = own_ids(block, count);
  std::uint64_t best = 0;
  for (std::int32_t i = own.begin; i < own.end; ++i) {
    const std::uint64_t packed = pack_best(values[i], i);
    best = packed > best ? packed : best;
  }
  return block.max(best);
}

}  // namespace ttsrt::cuda
