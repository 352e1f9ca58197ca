// The threads of a CUDA block as a Block (cooperate.cuh). The block must have whole warps.
#pragma once

#include <cstdint>

#include "cuda/device.cuh"
#include "cuda/kernels/cooperate.cuh"

namespace ttsrt::cuda {

// Shared memory of a block.
struct BlockRoom {
  std::uint64_t partial[2][32];  // one per warp, for every second exchange in turn
  std::uint32_t bins[kBins];
};

// Sums and maxima of a warp take two reductions of 32-bit integers each. All sums must be below
// 2^59.
class ThreadBlock {
 public:
  __device__ explicit ThreadBlock(BlockRoom& room) : room_(room) {}

  TTSRT_DEVICE std::int32_t rank() const { return static_cast<std::int32_t>(threadIdx.x); }
  TTSRT_DEVICE std::int32_t size() const { return static_cast<std::int32_t>(blockDim.x); }
  TTSRT_DEVICE void sync() { __syncthreads(); }

  TTSRT_DEVICE std::uint64_t sum(std::uint64_t value) {
    return warp_sum(exchange(warp_sum(value)));
  }

  TTSRT_DEVICE std::uint64_t max(std::uint64_t value) {
    return warp_max(exchange(warp_max(value)));
  }

  TTSRT_DEVICE Prefix before(std::uint64_t value) {
    const std::uint64_t reached = warp_sum_up_to(value);
    const std::uint64_t partial = exchange(__shfl_sync(kAll, reached, 31));
    const std::uint64_t earlier = warp_sum(lane() < warp() ? partial : 0);
    return {earlier + reached - value, warp_sum(partial)};
  }

  TTSRT_DEVICE std::uint32_t* bins() { return room_.bins; }
  TTSRT_DEVICE void count(std::uint32_t& bin) { atomicAdd(&bin, 1U); }

 private:
  static constexpr std::uint32_t kAll = 0xFFFFFFFFU;
  static constexpr std::int32_t kLowBits = 27;  // of 32 values, the sum has 32 bits

  TTSRT_DEVICE static std::uint32_t lane() { return threadIdx.x % 32U; }
  TTSRT_DEVICE static std::uint32_t warp() { return threadIdx.x / 32U; }

  TTSRT_DEVICE static std::uint64_t warp_sum(std::uint64_t value) {
    const auto low = static_cast<std::uint32_t>(value & ((1ULL << kLowBits) - 1ULL));
    const auto high = static_cast<std::uint32_t>(value >> kLowBits);
    return (static_cast<std::uint64_t>(__reduce_add_sync(kAll, high)) << kLowBits) +
           __reduce_add_sync(kAll, low);
  }

  TTSRT_DEVICE static std::uint64_t warp_max(std::uint64_t value) {
    const auto high = static_cast<std::uint32_t>(value >> 32);
    const std::uint32_t top = __reduce_max_sync(kAll, high);
    const std::uint32_t low = high == top ? static_cast<std::uint32_t>(value) : 0U;
    return (static_cast<std::uint64_t>(top) << 32) | __reduce_max_sync(kAll, low);
  }

  // Gives the value of each warp to the lane of that number in every warp, and 0 to the others. A
  // warp may write the other half of `partial` while a slower one still reads this half; it can't
  // write this half again before all have passed the next barrier.
  TTSRT_DEVICE std::uint64_t exchange(std::uint64_t value) {
    std::uint64_t* partial = room_.partial[turn_];
    turn_ ^= 1;
    if (lane() == 0) partial[warp()] = value;
    __syncthreads();
    return lane() < blockDim.x / 32U ? partial[lane()] : 0;
  }

  BlockRoom& room_;
  std::int32_t turn_ = 0;
};

}  // namespace ttsrt::cuda
