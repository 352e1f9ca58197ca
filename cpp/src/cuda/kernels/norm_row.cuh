// A row of a norm, and its statistics, which the kernels share that have a block for each row.
//
// The statistics are those of the plain form in float32: the mean first, then the mean of squared
// differences. Statistics beyond the range of float32 make every output NaN.
#pragma once

#include <cmath>
#include <type_traits>

#include "cuda/kernels/norm_quad.cuh"

namespace ttsrt::cuda {

// The quads of a thread of a row, or zeros where there is no row: thread t has t, t + threads, and
// so on. kQuads of them are in registers; with 0, they are read each time.
template <int kQuads, bool kAligned>
struct RowQuads {
  const float* row;
  std::int64_t width;
  float4 held[kQuads == 0 ? 1 : kQuads];

  __device__ RowQuads(const float* values, std::int64_t size) : row(values), width(size) {
    if constexpr (kQuads > 0) {
#pragma unroll
      for (int i = 0; i < kQuads; ++i) held[i] = load(i);
    }
  }
  __device__ static std::int64_t quad_of(int i) {
    return threadIdx.x + static_cast<std::int64_t>(i) * blockDim.x;
  }
  __device__ float4 load(int i) const {
    return row == nullptr ? float4{} : load_quad<kAligned>(row, quad_of(i) * kQuad, width);
  }

  // Calls visit(i, values) for each quad of the thread, in order.
  template <class Visit>
  __device__ void each(Visit visit) const {
    if constexpr (kQuads > 0) {
#pragma unroll
      for (int i = 0; i < kQuads; ++i) visit(i, held[i]);
    } else {
      for (int i = 0; quad_of(i) * kQuad < width; ++i) visit(i, load(i));
    }
  }
  __device__ float4 get(int i) const {
    if constexpr (kQuads > 0) return held[i];
    return load(i);
  }
};

struct RowStatistics {
  float mean = 0.0F;  // RMS norms subtract no mean
  float inverse = 0.0F;
};

// By all threads of the block; `shared` has 32 values.
template <class Quads>
__device__ RowStatistics statistics_of(const NormArgs& args, const Quads& quads, float* shared) {
  RowStatistics of;
  bool is_finite = true;
  if (!args.is_rms) {
    float sum = 0.0F;
    quads.each([&](int, float4 v) { sum = __fadd_rn(sum, sum_of(v)); });
    sum = block_sum(sum, shared);
    is_finite = isfinite(sum);
    of.mean = sum / static_cast<float>(args.width);
  }
  float squares = 0.0F;
  quads.each([&](int i, float4 v) {
    squares = __fadd_rn(squares, squares_of(v, of.mean, args.width - Quads::quad_of(i) * kQuad));
  });
  const float variance = block_sum(squares, shared) / static_cast<float>(args.width);
  of.inverse = inverse_of(variance, args.epsilon, is_finite);
  return of;
}

inline bool is_aligned(const NormArgs& args) {
  return args.width % kQuad == 0 && is_aligned(args.x) && is_aligned(args.out) &&
         is_aligned(args.weight) && is_aligned(args.bias);
}

// Calls launch(quads of a thread, or 0) with the number as a type: std::integral_constant.
template <class Launch>
void launch_for_quads(std::int64_t width, const Launch& launch) {
  const std::int64_t quads = ceil_div<std::int64_t>(width, kQuad);
  const std::int64_t per_thread = ceil_div<std::int64_t>(quads, norm_warps_of(width) * kWarp);
  if (per_thread <= 1) return launch(std::integral_constant<int, 1>());
  if (per_thread <= 2) return launch(std::integral_constant<int, 2>());
  if (per_thread <= 4) return launch(std::integral_constant<int, 4>());
  launch(std::integral_constant<int, 0>());
}

}  // namespace ttsrt::cuda
