// The running softmax of several query heads over the same bfloat16 keys and values, on tensor
// cores.
//
// Decided: every warp keeps one running maximum for each query and slice, and raises it by blocks
// of 16 positions. Rows of a prefill that share a thread block see different numbers of positions.
// Where that makes a difference, values are masked for each query, so that no query meets an
// infinity or NaN that it does not see.
#pragma once

#include "cuda/kernels/attend_fragments.cuh"

namespace ttsrt::cuda {

// A slice's sums. A lane has the maxima of its queries, the sums of the weights of its positions r
// and r + 8, and the fragments of the means.
template <typename M>
struct MmaSoftmax {
  float largest[M::kMine];
  float sum[M::kMine];
  float mixed[M::kOperands][M::kSteps][4];

  __device__ MmaSoftmax() { clear(); }

  // The query of a lane's number i.
  __device__ static int query_of(int i) {
    return M::kApart ? 2 * fragment_pair() + i : fragment_pair() / 2;
  }

  // Returns the scores of positions r and r + 8 for each query of the lane, from the sums of the
  // products of a block's keys.
  __device__ static void finish_scores(const float (&sums)[M::kOperands][4], float scale,
                                       float (&scores)[M::kMine][2]) {
#pragma unroll
    for (int k = 0; k < M::kMine; ++k) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float score = __fmul_rn(added(sums, 2 * i + k), scale);
        scores[k][i] = isfinite(score) ? score : NAN;
      }
    }
  }

  // Turns the scores of a block into weights, of which query k of the lane sees the first
  // counts[k]. Returns the fragments of their parts.
  __device__ void weigh(const float (&scores)[M::kMine][2], const int (&counts)[M::kMine],
                        uint2 (&parts)[M::kOperands]) {
    float weights[M::kMine][2];
#pragma unroll
    for (int k = 0; k < M::kMine; ++k) {
      const bool sees[2] = {fragment_row() < counts[k], fragment_row() + 8 < counts[k]};
      float top = fmaxf(sees[0] ? scores[k][0] : -INFINITY, sees[1] ? scores[k][1] : -INFINITY);
#pragma unroll
      for (int offset = 4; offset < 32; offset *= 2)
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, offset));
      top = fmaxf(top, largest[k]);
      if (__any_sync(kAllLanes, top > largest[k])) raise(k, top);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        weights[k][i] = sees[i] ? expf(__fsub_rn(scores[k][i], top)) : 0.0F;
        sum[k] = __fadd_rn(sum[k], weights[k][i]);
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if constexpr (M::kApart) {
        const Parts even(weights[0][i]);
        const Parts odd(weights[M::kMine - 1][i]);
#pragma unroll
        for (int o = 0; o < M::kOperands; ++o)
          (i == 0 ? parts[o].x : parts[o].y) = transposed(packed_parts(even.part(o), odd.part(o)));
      } else {  // columns 2t and 2t + 1 are parts 0 and 1 or, if t is odd, parts 2 and 3
        const Parts of(weights[0][i]);
        const bool is_odd = fragment_pair() % 2 != 0;
        (i == 0 ? parts[0].x : parts[0].y) =
            transposed(packed_parts(is_odd ? of.third : of.x, of.second));
      }
    }
  }

  // Adds the values of a block.
  __device__ void mix(const BlockVectors<M>& block, const uint2 (&parts)[M::kOperands]) {
#pragma unroll
    for (int step = 0; step < M::kSteps; ++step) {
      std::uint32_t a[4];
      block.values_of(step, a);
#pragma unroll
      for (int o = 0; o < M::kOperands; ++o) multiply(mixed[o][step], a, parts[o]);
    }
  }

  // Adds the values of a block for a query alone; it sees the first `count` of them.
  __device__ void mix_masked(const BlockVectors<M>& block, int query, int count,
                             const uint2 (&parts)[M::kOperands]) {
    BlockVectors<M> seen = block;
    seen.mask_values(count);
#pragma unroll
    for (int step = 0; step < M::kSteps; ++step) {
      std::uint32_t a[4];
      seen.values_of(step, a);
#pragma unroll
      for (int o = 0; o < M::kOperands; ++o) {
        auto& to = mixed[o][step];
        float sums[4] = {to[0], to[1], to[2], to[3]};
        multiply(sums, a, parts[o]);
#pragma unroll
        for (int i = 0; i < 4; ++i) to[i] = count > 0 && query_of(i % 2) == query ? sums[i] : to[i];
      }
    }
  }

  // Leaves the sums of a slice and begins anew.
  __device__ void leave(SliceSums<M::kQueries, M::kDims>& sums, int slice) {
    const bool writes = M::kApart || fragment_pair() % 2 == 0;
#pragma unroll
    for (int k = 0; k < M::kMine; ++k) {
      const int query = query_of(k);
      float total = sum[k];
#pragma unroll
      for (int offset = 4; offset < 32; offset *= 2)
        total = __fadd_rn(total, __shfl_xor_sync(kAllLanes, total, offset));
      if (fragment_row() == 0 && writes) {
        sums.largest[slice][query] = largest[k];
        sums.sum[slice][query] = total;
      }
#pragma unroll
      for (int step = 0; step < M::kSteps; ++step) {
        const float2 mean = {whole(step, k), whole(step, 2 + k)};
        const int d = step / 4 * 64 + 8 * fragment_row() + step % 4 * 2;
        if (writes) *reinterpret_cast<float2*>(&sums.mixed[slice][query][d]) = mean;
      }
    }
    clear();
  }

 private:
  __device__ void clear() {
#pragma unroll
    for (int k = 0; k < M::kMine; ++k) {
      largest[k] = -INFINITY;
      sum[k] = 0.0F;
    }
#pragma unroll
    for (int i = 0; i < M::kOperands * M::kSteps * 4; ++i)
      mixed[i / 4 / M::kSteps][i / 4 % M::kSteps][i % 4] = 0.0F;
  }

  __device__ void raise(int k, float top) {
    const float share = share_of(largest[k], top);
    largest[k] = top;
    sum[k] = __fmul_rn(sum[k], share);
#pragma unroll
    for (int i = 0; i < M::kOperands * M::kSteps * 4; ++i) {
      float& at = mixed[i / 4 / M::kSteps][i / 4 % M::kSteps][i % 4];
      if (!M::kApart || i % 2 == k) at = __fmul_rn(at, share);
    }
  }

  // Adds the products with the three parts. As columns, two of them are in the even lane, and the
  // third and one that does not count are in the lane behind.
  __device__ static float added(const float (&sums)[M::kOperands][4], int i) {
    if constexpr (M::kApart) {
      return __fadd_rn(__fadd_rn(sums[0][i], sums[1][i]), sums[2][i]);
    } else {
      const bool is_odd = fragment_pair() % 2 != 0;
      const float mine = is_odd ? sums[0][i] : __fadd_rn(sums[0][i], sums[0][i + 1]);
      return __fadd_rn(mine, __shfl_xor_sync(kAllLanes, mine, 1));
    }
  }
  __device__ float whole(int step, int i) const {
    float sums[M::kOperands][4];
#pragma unroll
    for (int o = 0; o < M::kOperands; ++o) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[o][j] = mixed[o][step][j];
    }
    return added(sums, i);
  }
};

}  // namespace ttsrt::cuda
