// One thread block attends with one query head: its shared memory, the merge of its warps, and the
// choice of a shape.
#pragma once

#include "cuda/check.h"
#include "cuda/kernels/attend.cuh"

namespace ttsrt::cuda {

constexpr int kAttendWarps = 16;
constexpr int kAttendThreads = kAttendWarps * 32;

template <typename S>
struct AttendShared {
  alignas(16) float query[S::kDims];
  alignas(16) float mixed[kAttendWarps][S::kDims];
  alignas(16) std::byte own[2][S::kDims * sizeof(typename S::Type)];  // key and value
  float own_scales[2];
  float largest[kAttendWarps];
  float sum[kAttendWarps];

  // Writes element d of the query; elements behind head_dim are zeros.
  __device__ void set_query(const float* x, int head_dim, const Angles& angles) {
    const auto d = static_cast<int>(threadIdx.x);
    if (d < S::kDims) query[d] = d < head_dim ? turned(x, d, angles) : 0.0F;
  }

  // Called by a warp for each part: elements behind head_dim are zeros.
  __device__ void clear_behind(int part, int head_dim) {
    constexpr int kBytes = static_cast<int>(sizeof(typename S::Type));
    for (int at = head_dim * kBytes + static_cast<int>(threadIdx.x % 32); at < S::kDims * kBytes;
         at += 32)
      own[part][at] = std::byte{0};
  }

  __device__ OwnVectors own_vectors() const {
    return {{own[0], own[1]}, {&own_scales[0], &own_scales[1]}};
  }
};

// What all warps found: weights are exp(score - largest) / sum.
struct Merged {
  float largest = -INFINITY;
  float sum = 0.0F;
};

// Merges the warps in order and writes out [head_dim]. Called by all threads of the block; every
// thread gets the same result.
template <typename S>
__device__ Merged merge_warps(Softmax<S>& softmax, int seen, int head_dim, AttendShared<S>& shared,
                              float* out) {
  const auto warp = static_cast<int>(threadIdx.x / 32);
  softmax.merge_groups();
  if (S::group() == 0) {
#pragma unroll
    for (int c = 0; c < S::kChunks; ++c) {
#pragma unroll
      for (int i = 0; i < S::kVec; ++i)
        shared.mixed[warp][S::first(c) + i] = softmax.mixed[c * S::kVec + i];
    }
  }
  if (threadIdx.x % 32 == 0) {
    shared.largest[warp] = softmax.largest;
    shared.sum[warp] = softmax.sum;
  }
  __syncthreads();
  const int blocks = (seen + kCacheBlock - 1) / kCacheBlock;
  const int used = blocks < kAttendWarps ? blocks : kAttendWarps;
  Merged merged;
  for (int w = 0; w < used; ++w) merged.largest = fmaxf(merged.largest, shared.largest[w]);
  const auto d = static_cast<int>(threadIdx.x);
  float mixed = 0.0F;
  for (int w = 0; w < used; ++w) {
    const float share = share_of(shared.largest[w], merged.largest);
    merged.sum = __fmaf_rn(shared.sum[w], share, merged.sum);
    if (d < head_dim) mixed = __fmaf_rn(shared.mixed[w][d], share, mixed);
  }
  if (d < head_dim) out[d] = mixed / merged.sum;
  return merged;
}

// --- choice of a shape --------------------------------------------------------------------------

// Calls launch.operator()<Shape>() with the shape for a type and a number of dimensions. Nothing
// else decides the shape, because it decides the order of sums.
template <Element kElement, typename Launch>
void with_dims(std::int32_t head_dim, const Launch& launch) {
  constexpr int kVec = 16 / static_cast<int>(sizeof(typename Stored<kElement>::Type));
  if (head_dim == 64) {
    launch.template operator()<Shape<kElement, kVec, 64 / kVec, 1, true>>();
  } else if (head_dim == 128) {
    launch.template operator()<Shape<kElement, kVec, 128 / kVec, 1, true>>();
  } else if (head_dim <= 128) {
    launch.template operator()<Shape<kElement, 4, 16, 2, false>>();
  } else if (head_dim <= kMaxHeadDim) {
    launch.template operator()<Shape<kElement, 4, 16, 4, false>>();
  } else {
    throw DeviceError("cuda: attention: expected a head_dim of at most 256, got " +
                      std::to_string(head_dim));
  }
}

template <typename Launch>
void with_shape(const CacheView& cache, const Launch& launch) {
  if (cache.element == Element::float32) with_dims<Element::float32>(cache.head_dim, launch);
  if (cache.element == Element::bfloat16) with_dims<Element::bfloat16>(cache.head_dim, launch);
  if (cache.element == Element::float16) with_dims<Element::float16>(cache.head_dim, launch);
  if (cache.element == Element::int8) with_dims<Element::int8>(cache.head_dim, launch);
}

}  // namespace ttsrt::cuda
