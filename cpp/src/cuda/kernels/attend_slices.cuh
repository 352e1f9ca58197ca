// How the positions of a sequence are cut among the warps of a thread block, how a row's own key
// and value are kept, and how the sums of the warps are merged.
//
// Decided: the blocks of 16 positions are cut into 16 slices: slice s has the blocks s, s + 16, ...
// A warp takes one slice after the other, and slices are merged in their order. So the number of
// warps changes no bit: a launch with few thread blocks takes 16 warps for each, and a larger one
// fewer, so that several thread blocks overlap on a multiprocessor.
#pragma once

#include "cuda/kernels/attend.cuh"

namespace ttsrt::cuda {

constexpr int kSlices = 16;
constexpr int kMostWarps = 16;

// Calls launch.operator()<kWarps>() with the number of warps for so many thread blocks, at most
// kMost and at least kLeast.
template <int kMost, int kLeast = 4, typename Launch>
void with_warps(int blocks, const Launch& launch) {
  if (kMost >= 16 && blocks <= kMultiprocessors) {
    launch.template operator()<(kMost >= 16 ? 16 : 8)>();
  } else if (blocks <= 2 * kMultiprocessors) {
    launch.template operator()<8>();
  } else {
    launch.template operator()<4>();
  }
}

// Returns the block that a warp takes behind `block`, or `blocks` if there is none.
template <int kWarps>
__device__ int block_after(int block, int blocks) {
  if (block + kSlices < blocks) return block + kSlices;
  const int slice = block % kSlices + kWarps;
  return slice < kSlices && slice < blocks ? slice : blocks;
}

// A row's own key and value in shared memory.
template <int kBytes>
struct OwnShared {
  alignas(16) std::byte elements[2][kBytes];
  float scales[2];

  // Called by a warp for each part: elements behind head_dim are zeros.
  __device__ void clear_behind(int part, int bytes) {
    for (int at = bytes + static_cast<int>(threadIdx.x % 32); at < kBytes; at += 32)
      elements[part][at] = std::byte{0};
  }

  __device__ OwnVectors vectors() const {
    return {{elements[0], elements[1]}, {&scales[0], &scales[1]}};
  }
};

// What all slices found: weights are exp(score - largest) / sum.
struct Merged {
  float largest = -INFINITY;
  float sum = 0.0F;
};

// What the slices found for each query. A slice without positions of a query is never read.
template <int kQueries, int kDims>
struct SliceSums {
  alignas(16) float mixed[kSlices][kQueries][kDims];
  float largest[kSlices][kQueries];
  float sum[kSlices][kQueries];

  __device__ static int used(int seen) {
    const int blocks = (seen + kCacheBlock - 1) / kCacheBlock;
    return blocks < kSlices ? blocks : kSlices;
  }

  // Merges the sums of a query in the order of slices; lane s gets the share of slice s. Called by
  // all lanes of a warp. Loops have a fixed length, here and below, so that only additions wait for
  // each other.
  __device__ Merged weigh(int query, int seen, float& share) const {
    const auto lane = static_cast<int>(threadIdx.x % 32);
    const bool is_used = lane < used(seen);
    const float found = is_used ? largest[lane][query] : -INFINITY;
    const float found_sum = is_used ? sum[lane][query] : 0.0F;
    Merged all;
    all.largest = max_of_lanes(found);
    share = is_used ? share_of(found, all.largest) : 0.0F;
    const int count = used(seen);
#pragma unroll
    for (int s = 0; s < kSlices; ++s) {
      const float other = __shfl_sync(kAllLanes, found_sum, s);
      const float its_share = __shfl_sync(kAllLanes, share, s);
      if (s < count) all.sum = __fmaf_rn(other, its_share, all.sum);
    }
    return all;
  }

  // Writes 32 dimensions of a query, from `first` on, to out [head_dim]. Called by all lanes of a
  // warp.
  __device__ Merged write(int query, int seen, int first, int head_dim, float* out) const {
    float share = 0.0F;
    const Merged all = weigh(query, seen, share);
    const int d = first + static_cast<int>(threadIdx.x % 32);
    const int count = used(seen);
    float found[kSlices];
#pragma unroll
    for (int s = 0; s < kSlices; ++s) found[s] = s < count ? mixed[s][query][d] : 0.0F;
    float mean = 0.0F;
#pragma unroll
    for (int s = 0; s < kSlices; ++s) {
      const float its_share = __shfl_sync(kAllLanes, share, s);
      if (s < count) mean = __fmaf_rn(found[s], its_share, mean);
    }
    if (d < head_dim) out[d] = mean / all.sum;
    return all;
  }
};

}  // namespace ttsrt::cuda
