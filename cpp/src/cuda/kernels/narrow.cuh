// Values in the type of a product on tensor cores, and where kernels leave rows of them.
#pragma once

#include "cuda/device.cuh"
#include "cuda/launch_whole.h"

namespace ttsrt::cuda {

// Two values in a word, the first in the low half.
__device__ inline std::uint32_t narrowed(Element element, float low, float high) {
  return element == Element::float16 ? pack_float16(low, high) : pack_bfloat16(low, high);
}

// gelu by tanh, x / (1 + 2^u), to a few units in the last place above -4 and a few tens of them
// below, where 1 + tanh(...) of activated() has lost more. What reads it rounds it to 8 or 11 bits.
__device__ __forceinline__ float gelu_of_tanh(float x) {
  constexpr float kSqrtTwoOverPi = 0.797884560802865F;
  constexpr float kTwoOverLogOfTwo = 2.88539008177792681F;
  const float slope = __fmul_rn(0.044715F, __fmul_rn(x, x));
  const float u = __fmul_rn(-kSqrtTwoOverPi * kTwoOverLogOfTwo, __fmaf_rn(slope, x, x));
  float power = 0.0F;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(u));
  float inverse = 0.0F;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(__fadd_rn(1.0F, power)));
  return __fmul_rn(x, inverse);
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
