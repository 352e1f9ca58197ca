// The arithmetic of norms on four consecutive values, which the kernels that normalize share. All
// roundings are explicit, so that every kernel gives the same bits.
#pragma once

#include <cmath>

#include "cuda/device.cuh"

namespace ttsrt::cuda {

// Values [at, at + 4) of a row of `width`, zeros behind its end.
template <bool kAligned>
__device__ float4 load_quad(const float* row, std::int64_t at, std::int64_t width) {
  if constexpr (kAligned) {
    return at < width ? *reinterpret_cast<const float4*>(row + at) : float4{};
  } else {
    float4 value = {};
    if (at < width) value.x = row[at];
    if (at + 1 < width) value.y = row[at + 1];
    if (at + 2 < width) value.z = row[at + 2];
    if (at + 3 < width) value.w = row[at + 3];
    return value;
  }
}

__device__ inline float sum_of(float4 v) {
  return __fadd_rn(__fadd_rn(v.x, v.y), __fadd_rn(v.z, v.w));
}

// The sum of squared differences from `mean` of those of the four values that are in the row.
__device__ inline float squares_of(float4 v, float mean, std::int64_t num_left) {
  const float x = __fsub_rn(v.x, mean);
  const float y = num_left > 1 ? __fsub_rn(v.y, mean) : 0.0F;
  const float z = num_left > 2 ? __fsub_rn(v.z, mean) : 0.0F;
  const float w = num_left > 3 ? __fsub_rn(v.w, mean) : 0.0F;
  const float sum = __fadd_rn(__fmaf_rn(x, x, __fmul_rn(y, y)), __fmaf_rn(z, z, __fmul_rn(w, w)));
  return num_left > 0 ? sum : 0.0F;
}

// What a row's values are multiplied by; NaN if its statistics are beyond the range of float32.
__device__ inline float inverse_of(float variance, float epsilon, bool is_finite) {
  return is_finite && isfinite(variance) ? 1.0F / sqrtf(__fadd_rn(variance, epsilon)) : NAN;
}

__device__ inline float4 normed(float4 v, float mean, float inverse, float4 weight, float4 bias) {
  const auto one = [mean, inverse](float x, float w, float b) {
    return __fmaf_rn(__fmul_rn(__fsub_rn(x, mean), inverse), w, b);
  };
  return {one(v.x, weight.x, bias.x), one(v.y, weight.y, bias.y), one(v.z, weight.z, bias.z),
          one(v.w, weight.w, bias.w)};
}

}  // namespace ttsrt::cuda
