// The half-snake activation (ops::HalfSnake), which kernels of its own and epilogues share.
#pragma once

#include "cuda/device.cuh"
#include "cuda/launch_rate.h"

namespace ttsrt::cuda {

// Far from zero, u is reduced in double: once for each 2^52 that it may be away. There is no call,
// so that kernels with products of warpgroups may have it.
__device__ __forceinline__ float reduced_from_far(float u) {
  constexpr double kPi = 3.14159265358979323846;
  double r = u;
#pragma unroll
  for (int pass = 0; pass < 3; ++pass) r = fma(rint(r * (1.0 / kPi)), -kPi, r);
  return static_cast<float>(r);
}

// sin^2(u), of period pi: u is reduced to [-pi / 2, pi / 2] in three steps, whose constants sum up
// to pi, and a polynomial gives its sine to about one unit in the last place.
__device__ __forceinline__ float squared_sine(float u) {
  constexpr float kMost = 30000.0F;
  const float turns = rintf(__fmul_rn(u, 0.318309886183790672F));
  float r = __fmaf_rn(turns, -3.140625F, u);
  r = __fmaf_rn(turns, -9.67502593994140625e-4F, r);
  r = __fmaf_rn(turns, -1.50995799e-7F, r);
  if (fabsf(u) > kMost) r = reduced_from_far(u);
  const float square = __fmul_rn(r, r);
  float sum = __fmaf_rn(square, -2.3889859e-8F, 2.7525562e-6F);
  sum = __fmaf_rn(sum, square, -1.9840874e-4F);
  sum = __fmaf_rn(sum, square, 8.3333310e-3F);
  sum = __fmaf_rn(sum, square, -1.6666667e-1F);
  const float sine = __fmaf_rn(__fmul_rn(sum, square), r, r);
  return __fmul_rn(sine, sine);
}

// An alpha and what sin^2 is multiplied by.
struct SnakeColumn {
  float alpha = 0.0F;
  float inverse = 0.0F;  // 0: the column has a slope
};

__device__ __forceinline__ SnakeColumn snake_column(const SnakeView& snake, std::int64_t column) {
  if (column >= snake.curved) return {};
  const float alpha = snake.alpha[column];
  const float sum = __fadd_rn(alpha, snake.epsilon);
  float inverse = 0.0F;  // to about a unit in the last place, without the call of a division
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(sum));
  return {alpha, __fmaf_rn(__fmaf_rn(-sum, inverse, 1.0F), inverse, inverse)};
}

__device__ __forceinline__ float snake_of(const SnakeColumn& of, bool is_curved, float slope,
                                          float x) {
  if (is_curved) return __fmaf_rn(squared_sine(__fmul_rn(of.alpha, x)), of.inverse, x);
  return x < 0.0F ? __fmul_rn(slope, x) : x;
}

}  // namespace ttsrt::cuda
