// Values in the type of a product on tensor cores, and where kernels leave rows of them.
#pragma once

#include "cuda/device.cuh"
#include "cuda/launch_whole.h"

namespace ttsrt::cuda {

// Two values in a word, the first in the low half.
__device__ inline std::uint32_t narrowed(Element element, float low, float high) {
  return element == Element::float16 ? pack_float16(low, high) : pack_bfloat16(low, high);
}

// Leaves four values of a row at columns [col, col + 4); col and the stride are multiples of 4.
__device__ inline void store_narrow(const NarrowRows& rows, std::int64_t row, std::int64_t col,
                                    float4 v) {
  auto* to = static_cast<std::uint16_t*>(rows.data) + row * rows.stride + col;
  *reinterpret_cast<uint2*>(to) = {narrowed(rows.element, v.x, v.y),
                                   narrowed(rows.element, v.z, v.w)};
}

// Leaves one value.
__device__ inline void store_narrow(const NarrowRows& rows, std::int64_t row, std::int64_t col,
                                    float value) {
  auto* to = static_cast<std::uint16_t*>(rows.data) + row * rows.stride + col;
  *to = static_cast<std::uint16_t>(narrowed(rows.element, value, 0.0F));
}

}  // namespace ttsrt::cuda
