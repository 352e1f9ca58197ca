// What the files of attention over whole items share.
#pragma once

#include "cuda/kernels/narrow.cuh"

namespace ttsrt::cuda {

// Launched by item_attention(): heads of 32, 64 or 128 dimensions in bfloat16 or float16.
void narrow_item_attention(const ItemAttentionArgs& args, cudaStream_t stream);

// Powers of two, to about two units in the last place; results below 2^-126 are zeros. Weights of
// positions are rounded to 8 or 11 bits before they are multiplied.
__device__ __forceinline__ float power_of_two(float x) {
  float y = 0.0F;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

constexpr int kItemHead = 64;  // dimensions of a head that the end of a product prepares

// An element of a head as a rope rotates it; `other` is the other element of its pair.
__device__ __forceinline__ float turned_pair(float own, float other, float cosine, float sine,
                                             bool is_low) {
  return __fmaf_rn(own, cosine, __fmul_rn(is_low ? -other : other, sine));
}

// A query or key that is not finite becomes NaN, so that no score of it is minus infinity, whose
// weight would be zero. A number beyond the range of the element is infinite.
__device__ __forceinline__ float finite_or_nan(Element element, float x) {
  const float rounded = element == Element::float16 ? __half2float(__float2half_rn(x))
                                                    : __bfloat162float(__float2bfloat16_rn(x));
  return isfinite(rounded) ? rounded : NAN;
}

// The running softmax of a lane: of rows lane / 4 and that + 8 of its warp's 16 queries, scores
// [8 j + 2 (lane % 4) + 0, 1] of 64 keys are s[4 j + 0, 1] and s[4 j + 2, 3], and so are the
// dimensions of what it mixes.
struct RunningSoftmax {
  float largest[2] = {-INFINITY, -INFINITY};
  float sums[2] = {};  // of this lane's columns

  // Turns the scores of a tile, of which the first `count` keys are of the segment, into weights,
  // and rescales what has been mixed so far. `scale` has the factor log2(e): weights are powers of
  // two.
  template <int kMixed>
  __device__ __forceinline__ void weigh(float (&scores)[32], float (&mixed)[kMixed], float scale,
                                        int count) {
    if (count < 64) hide(scores, count);
    float top[2] = {largest[0], largest[1]};
#pragma unroll
    for (int i = 0; i < 32; ++i)  // fmaxf ignores NaN, but its weight is NaN
      top[i % 4 / 2] = fmaxf(top[i % 4 / 2], scores[i]);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      top[half] = fmaxf(top[half], __shfl_xor_sync(kAllLanes, top[half], 1));
      top[half] = fmaxf(top[half], __shfl_xor_sync(kAllLanes, top[half], 2));
    }
    if (is_scaled_anew(top)) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float share = power_of_two(__fmul_rn(largest[half] - top[half], scale));
        largest[half] = top[half];
        sums[half] = __fmul_rn(sums[half], share);
#pragma unroll
        for (int i = 0; i < kMixed; i += 4) {
          mixed[i + 2 * half] = __fmul_rn(mixed[i + 2 * half], share);
          mixed[i + 2 * half + 1] = __fmul_rn(mixed[i + 2 * half + 1], share);
        }
      }
    }
    const float shift[2] = {__fmul_rn(-top[0], scale), __fmul_rn(-top[1], scale)};
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      scores[i] = power_of_two(__fmaf_rn(scores[i], scale, shift[i % 4 / 2]));
      sums[i % 4 / 2] = __fadd_rn(sums[i % 4 / 2], scores[i]);
    }
  }

  // What the mixed values of a row are multiplied by in the end.
  __device__ __forceinline__ float inverse(int half) const {
    float sum = sums[half];
    sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 1));
    sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 2));
    return 1.0F / sum;
  }

 private:
  // Whether any row of the warp has a new largest score; otherwise its share of the old scale is 1.
  __device__ __forceinline__ bool is_scaled_anew(const float (&top)[2]) const {
    const bool is_same =
        top[0] == largest[0] && top[1] == largest[1] && top[0] > -INFINITY && top[1] > -INFINITY;
    return __any_sync(kAllLanes, !is_same);
  }

  __device__ __forceinline__ static void hide(float (&scores)[32], int count) {
    const auto lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      const int key = i / 4 * 8 + lane % 4 * 2 + i % 2;
      if (key >= count) scores[i] = -INFINITY;
    }
  }
};

// The weights of 16 keys as the first operand of a product.
__device__ __forceinline__ void narrow_weights(Element element, const float* weights,
                                               std::uint32_t (&to)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = narrowed(element, weights[2 * i], weights[2 * i + 1]);
}

// Leaves two neighbours of a row of the result, as ItemAttentionArgs or RelativeArgs say.
template <typename Args>
__device__ __forceinline__ void leave_pair(const Args& args, std::int64_t row, int at,
                                           float2 value) {
  if (args.out != nullptr)
    *reinterpret_cast<float2*>(args.out + row * args.heads * args.head_dim + at) = value;
  if (args.narrow.data == nullptr) return;
  auto* narrow = static_cast<std::uint16_t*>(args.narrow.data) + row * args.narrow.stride + at;
  *reinterpret_cast<std::uint32_t*>(narrow) = narrowed(args.narrow.element, value.x, value.y);
}

// A piece of a segment (item_piece), or a part of one: queries, which see all rows of the segment.
struct QueryTile {
  std::int32_t first = 0;  // row of the launch
  std::int32_t rows = 0;
  std::int32_t begin = 0;   // first row of the segment
  std::int32_t length = 0;  // of the segment

  __device__ static QueryTile of(const RowsView& rows, std::int32_t piece_index) {
    const std::int32_t first = rows.tile_row[piece_index];
    const std::int32_t begin = rows.segment_begin[first];
    const std::int32_t end = rows.segment_end[first];
    const std::int32_t piece = item_piece(end - begin);
    return {first, end - first < piece ? end - first : piece, begin, end - begin};
  }
  // Part `index` of the piece, in parts of `queries` queries; behind the last part it has no rows.
  __device__ QueryTile part(std::int32_t index, std::int32_t queries) const {
    const std::int32_t before = index * queries;
    return {first + before, min(rows - before, queries), begin, length};
  }
};

}  // namespace ttsrt::cuda
