// What kernels do to a value that ops::ActivateRows takes, so that the op alone and kernels that it
// is a part of have the same bits; and where they leave rows, in float32, narrow or both.
#pragma once

#include "cuda/kernels/narrow.cuh"
#include "cuda/launch_relative.h"

namespace ttsrt::cuda {

// What is added to a row, or none.
__device__ inline const float* shift_of(const RowEnd& end, std::int64_t row) {
  if (end.schedule == nullptr) return nullptr;
  return end.schedule + end.schedule_row[row] * end.schedule_width + end.shift;
}

__device__ inline float ended(const RowEnd& end, const float* shift, std::int64_t column, float x) {
  const float value = __fmul_rn(end.scale, activated(end.activate, x));
  return shift == nullptr ? value : __fadd_rn(value, shift[column]);
}

// Leaves up to four values of a row of `width` from column `at` on.
template <bool kAligned>
__device__ inline void leave_quad(float* out, const NarrowRows& narrow, std::int64_t row,
                                  std::int64_t width, std::int64_t at, float4 v) {
  if constexpr (kAligned) {
    if (out != nullptr) *reinterpret_cast<float4*>(out + row * width + at) = v;
    if (narrow.data != nullptr) store_narrow(narrow, row, at, v);
  } else {
    const float values[kQuad] = {v.x, v.y, v.z, v.w};
    for (int i = 0; i < kQuad && at + i < width; ++i) {
      if (out != nullptr) out[row * width + at + i] = values[i];
      if (narrow.data != nullptr) store_narrow(narrow, row, at + i, values[i]);
    }
  }
}

}  // namespace ttsrt::cuda
