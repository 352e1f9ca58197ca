// One thread block attends with one query head on the plain arithmetic units: its shared memory,
// its way over the positions, and the choice of a shape.
#pragma once

#include "cuda/check.h"
#include "cuda/kernels/attend_slices.cuh"

namespace ttsrt::cuda {

template <typename S>
struct AttendShared {
  alignas(16) float query[1][S::kDims];
  OwnShared<S::kDims* static_cast<int>(sizeof(typename S::Type))> own;
  SliceSums<1, S::kDims> sums;

  // Writes the query as it stands at its position; elements behind head_dim are zeros.
  __device__ void set_queries(const float* x, int /*queries*/, int head_dim, const Angles& angles) {
    for (int d = static_cast<int>(threadIdx.x); d < S::kDims; d += static_cast<int>(blockDim.x))
      query[0][d] = d < head_dim ? turned(x, d, angles) : 0.0F;
  }
};

// Attends with one query head, which is in shared memory when run() is called. AttendMma
// (attend_mma_block.cuh) has the same functions.
template <typename S, int kWarpCount, bool kHasOwn>
struct AttendHead {
  using Shape = S;
  using Shared = AttendShared<S>;
  static constexpr int kWarps = kWarpCount;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kQueries = 1;
  static constexpr int kResident = 16 / kWarps;  // thread blocks per multiprocessor

  Sweep<S, BlockSource, kSlices, kHasOwn> sweep;

  // True of one of the lanes that share a position.
  __device__ static bool speaks() { return S::place() == 0; }

  // Starts to load. A row sees the positions below `seen`.
  __device__ void start(const BlockSource& source, int seen, int head_dim) {
    sweep.source = source;
    sweep.seen = seen;
    sweep.head_dim = head_dim;
    sweep.start(static_cast<int>(threadIdx.x / 32));
  }

  template <typename Change>
  __device__ void run(Shared& shared, float scale, const Change& change) {
    float query[S::kFloats];
    read_query<S>(shared.query[0], query);
    for (int slice = static_cast<int>(threadIdx.x / 32); slice < kSlices; slice += kWarps) {
      if (slice * kCacheBlock >= sweep.seen) break;
      if (slice >= kWarps) sweep.start(slice);
      Softmax<S> softmax;
      for (; sweep.is_active(); sweep.next())
        sweep.add(query, scale, shared.own.vectors(), change, softmax);
      leave(softmax, slice, shared.sums);
    }
  }

  // Merges the slices and writes out [head_dim]. Every thread gets the result.
  __device__ Merged finish(const Shared& shared, int /*queries*/, float* out) const {
    __syncthreads();
    const Merged all = write(shared, 1, out);
    const bool has_written = static_cast<int>(threadIdx.x / 32) * 32 < S::kDims;
    float share = 0.0F;
    return has_written ? all : shared.sums.weigh(0, sweep.seen, share);
  }

  // Merges the slices, which all threads see, and writes out [head_dim]. Threads that wrote
  // something get the result.
  __device__ Merged write(const Shared& shared, int /*queries*/, float* out) const {
    Merged all;
    const int begin = static_cast<int>(threadIdx.x / 32) * 32;
    for (int first = begin; first < S::kDims; first += kThreads)
      all = shared.sums.write(0, sweep.seen, first, sweep.head_dim, out);
    return all;
  }

 private:
  __device__ static void leave(Softmax<S>& softmax, int slice, SliceSums<1, S::kDims>& sums) {
    softmax.merge_groups();
    if (S::group() == 0) {
#pragma unroll
      for (int c = 0; c < S::kChunks; ++c) {
#pragma unroll
        for (int i = 0; i < S::kVec; ++i)
          sums.mixed[slice][0][S::first(c) + i] = softmax.mixed[c * S::kVec + i];
      }
    }
    if (threadIdx.x % 32 == 0) {
      sums.largest[slice][0] = softmax.largest;
      sums.sum[slice][0] = softmax.sum;
    }
  }
};

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
