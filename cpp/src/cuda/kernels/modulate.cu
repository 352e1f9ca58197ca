// ModulatedNorm and AddModulated: what a row of a schedule does to the rows of a segment.
//
// A warp has one row of a norm and keeps it in registers; a row that is too wide for that is read
// again for each pass. The statistics are those of norm.cu: the mean first, then the mean of
// squared differences; beyond the range of float32 they make every output NaN.
#include "cuda/check.h"
#include "cuda/kernels/narrow.cuh"
#include "cuda/kernels/norm_quad.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;

// --- helpers ------------------------------------------------------------------------------------

// A warp's row: lane l has quads l, l + 32, ...; kQuads of them are in registers, or none.
template <int kQuads, bool kAligned>
struct WarpRow {
  const float* row;
  std::int64_t width;
  float4 held[kQuads == 0 ? 1 : kQuads];

  __device__ WarpRow(const float* from, std::int64_t size) : row(from), width(size) {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) held[i] = load_quad<kAligned>(row, column(i), width);
  }
  __device__ static std::int64_t column(int i) {
    return (static_cast<std::int64_t>(i) * kWarp + threadIdx.x % kWarp) * kQuad;
  }
  // Calls visit(column, values) for each quad of the lane, in order.
  template <class Visit>
  __device__ void each(Visit visit) const {
    if constexpr (kQuads > 0) {
#pragma unroll
      for (int i = 0; i < kQuads; ++i) {
        if (column(i) < width) visit(column(i), held[i]);
      }
    } else {
      for (int i = 0; column(i) < width; ++i)
        visit(column(i), load_quad<kAligned>(row, column(i), width));
    }
  }
};

template <bool kAligned>
__device__ void store_quad(const ModulatedNormArgs& args, std::int64_t row, std::int64_t at,
                           float4 v) {
  if constexpr (kAligned) {
    if (args.out != nullptr) *reinterpret_cast<float4*>(args.out + row * args.width + at) = v;
    if (args.narrow.data != nullptr) store_narrow(args.narrow, row, at, v);
  } else {
    const float values[kQuad] = {v.x, v.y, v.z, v.w};
    for (int i = 0; i < kQuad && at + i < args.width; ++i) {
      if (args.out != nullptr) args.out[row * args.width + at + i] = values[i];
      if (args.narrow.data != nullptr) store_narrow(args.narrow, row, at + i, values[i]);
    }
  }
}

// 1 + scale of four columns.
__device__ float4 factors_of(float4 scale) {
  return {__fadd_rn(1.0F, scale.x), __fadd_rn(1.0F, scale.y), __fadd_rn(1.0F, scale.z),
          __fadd_rn(1.0F, scale.w)};
}

// --- kernels ------------------------------------------------------------------------------------

template <int kQuads, bool kAligned>
__global__ void __launch_bounds__(kThreads)
    modulated_norm_kernel(const __grid_constant__ ModulatedNormArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (row >= count_of(args.rows, Count::rows)) return;
  const std::int64_t width = args.width;
  const WarpRow<kQuads, kAligned> x(args.x + row * width, width);
  const float* columns = args.schedule + args.rows.schedule_row[row] * args.schedule_width;
  float sum = 0.0F;
  x.each([&](std::int64_t, float4 v) { sum = __fadd_rn(sum, sum_of(v)); });
  sum = warp_sum(sum);
  const float mean = sum / static_cast<float>(width);
  float squares = 0.0F;
  x.each([&](std::int64_t at, float4 v) {
    squares = __fadd_rn(squares, squares_of(v, mean, width - at));
  });
  const float variance = warp_sum(squares) / static_cast<float>(width);
  const float inverse = inverse_of(variance, args.epsilon, isfinite(sum));
  x.each([&](std::int64_t at, float4 v) {
    const float4 scale = load_quad<kAligned>(columns + args.scale, at, width);
    const float4 shift = load_quad<kAligned>(columns + args.shift, at, width);
    store_quad<kAligned>(args, row, at, normed(v, mean, inverse, factors_of(scale), shift));
  });
}

__global__ void __launch_bounds__(kThreads)
    add_modulated_kernel(const __grid_constant__ AddModulatedArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.y;
  const std::int64_t d = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= count_of(args.rows, Count::rows) || d >= args.width) return;
  const float* gates =
      args.schedule + args.rows.schedule_row[row] * args.schedule_width + args.gate;
  float& out = args.out[row * args.width + d];
  out = __fmaf_rn(args.x[row * args.width + d], gates[d], out);
}

// --- launchers ----------------------------------------------------------------------------------

template <bool kAligned>
void launch_norm(const ModulatedNormArgs& args, cudaStream_t stream) {
  const auto grid = static_cast<unsigned>(ceil_div(args.max_rows, kWarps));
  const std::int64_t quads = ceil_div<std::int64_t>(args.width, kQuad * kWarp);
  if (quads <= 2) {
    launch_early(modulated_norm_kernel<2, kAligned>, grid, kThreads, 0, stream, args);
  } else if (quads <= 8) {
    launch_early(modulated_norm_kernel<8, kAligned>, grid, kThreads, 0, stream, args);
  } else {
    launch_early(modulated_norm_kernel<0, kAligned>, grid, kThreads, 0, stream, args);
  }
  check_launch("modulated_norm");
}

}  // namespace

void modulated_norm(const ModulatedNormArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const bool aligned = args.width % kQuad == 0 && args.scale % kQuad == 0 &&
                       args.shift % kQuad == 0 && args.schedule_width % kQuad == 0 &&
                       is_aligned(args.x) && is_aligned(args.out) && is_aligned(args.schedule) &&
                       args.narrow.stride % kQuad == 0;
  if (aligned) {
    launch_norm<true>(args, stream);
  } else {
    launch_norm<false>(args, stream);
  }
}

void add_modulated(const AddModulatedArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.width <= 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(args.width, kThreads)),
                  static_cast<unsigned>(args.max_rows));
  launch_early(add_modulated_kernel, grid, kThreads, 0, stream, args);
  check_launch("add_modulated");
}

}  // namespace ttsrt::cuda
