// What the files of attention over whole items share.
#pragma once

#include "cuda/kernels/narrow.cuh"

namespace ttsrt::cuda {

// Launched by item_attention(): heads of 32, 64 or 128 dimensions in bfloat16 or float16.
void narrow_item_attention(const ItemAttentionArgs& args, cudaStream_t stream);

constexpr int kItemHead = 64;  // dimensions of a head that the end of a product prepares

// An element of a head as a rope turns it; `other` is the second of the pair.
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

// A tile of queries: rows of one segment, which see all rows of the segment.
struct QueryTile {
  std::int32_t first = 0;  // row of the launch
  std::int32_t rows = 0;
  std::int32_t begin = 0;   // first row of the segment
  std::int32_t length = 0;  // of the segment

  __device__ static QueryTile of(const RowsView& rows, std::int32_t tile) {
    const std::int32_t first = rows.tile_row[tile];
    const std::int32_t begin = rows.segment_begin[first];
    const std::int32_t end = rows.segment_end[first];
    return {first, end - first < kItemTile ? end - first : kItemTile, begin, end - begin};
  }
};

// Powers of two, to about two units in the last place; results below 2^-126 are zeros. Weights of
// positions are rounded to 8 or 11 bits before they are multiplied.
__device__ __forceinline__ float power_of_two(float x) {
  float y = 0.0F;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace ttsrt::cuda
