// JoinColumns, ActivateRows and DistanceRows. A thread copies or changes one value of a row, or, of
// ActivateRows, four.
#include <cmath>

#include "cuda/check.h"
#include "cuda/kernels/row_end.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 128;

// --- kernels ------------------------------------------------------------------------------------

// Grid: pieces of the columns of all parts, rows.
__global__ void __launch_bounds__(kThreads)
    join_columns_kernel(const __grid_constant__ JoinArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.y;
  if (row >= *args.num_rows) return;
  const std::int64_t column = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  std::int64_t begin = 0;
  for (std::int32_t part = 0; part < args.num_parts; ++part) {
    const JoinPart& of = args.parts[part];
    if (column < begin + of.width) {
      const float value = of.x[row * of.width + column - begin];
      const std::int64_t at = args.first + column;
      if (args.out != nullptr) args.out[row * args.width + at] = value;
      if (args.narrow.data != nullptr) store_narrow(args.narrow, row, at, value);
      return;
    }
    begin += of.width;
  }
}

template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    activate_rows_kernel(const __grid_constant__ ActivateArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.y;
  const std::int64_t at = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kQuad;
  if (row >= *args.num_rows || at >= args.width) return;
  const float* shift = shift_of(args.end, row);
  const float* x = args.x + row * args.width + at;
  if constexpr (kAligned) {
    const float4 v = *reinterpret_cast<const float4*>(x);
    leave_quad<true>(args.out, args.narrow, row, args.width, at,
                     {ended(args.end, shift, at, v.x), ended(args.end, shift, at + 1, v.y),
                      ended(args.end, shift, at + 2, v.z), ended(args.end, shift, at + 3, v.w)});
  } else {
    for (int i = 0; i < kQuad && at + i < args.width; ++i) {
      const float value = ended(args.end, shift, at + i, x[i]);
      if (args.out != nullptr) args.out[row * args.width + at + i] = value;
      if (args.narrow.data != nullptr) store_narrow(args.narrow, row, at + i, value);
    }
  }
}

// Grid: pieces of columns, rows. A row of the launch has two rows of distances.
__global__ void __launch_bounds__(kThreads)
    distance_rows_kernel(const __grid_constant__ DistanceArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  const std::int64_t column = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= count_of(args.rows, Count::rows) || column >= args.width) return;
  const std::int32_t begin = args.rows.segment_begin[row];
  const std::int64_t first = args.most - (args.rows.segment_end[row] - begin);
#pragma unroll
  for (std::int32_t i = 0; i < 2; ++i) {
    const std::int64_t from = first + 2 * (row - begin) + i;
    const std::int64_t to = std::int64_t{2} * row + i;
    const bool is_there = from >= 0 && from < 2 * args.most;
    const float value = is_there ? args.table[from * args.width + column] : NAN;
    if (args.out != nullptr) args.out[to * args.width + column] = value;
    if (args.narrow.data != nullptr) store_narrow(args.narrow, to, column, value);
  }
}

dim3 grid_of(std::int64_t width, int each, std::int32_t max_rows) {
  return {static_cast<unsigned>(ceil_div<std::int64_t>(width, std::int64_t{kThreads} * each)),
          static_cast<unsigned>(max_rows)};
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void join_columns(const JoinArgs& args, cudaStream_t stream) {
  std::int64_t width = 0;
  for (std::int32_t part = 0; part < args.num_parts; ++part) width += args.parts[part].width;
  if (args.max_rows <= 0 || width <= 0) return;
  launch_early(join_columns_kernel, grid_of(width, 1, args.max_rows), kThreads, 0, stream, args);
  check_launch("join_columns");
}

void activate_rows(const ActivateArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.width <= 0) return;
  const bool aligned = args.width % kQuad == 0 && is_aligned(args.x) && is_aligned(args.out) &&
                       args.narrow.stride % kQuad == 0;
  const dim3 grid = grid_of(args.width, kQuad, args.max_rows);
  if (aligned) {
    launch_early(activate_rows_kernel<true>, grid, kThreads, 0, stream, args);
  } else {
    launch_early(activate_rows_kernel<false>, grid, kThreads, 0, stream, args);
  }
  check_launch("activate_rows");
}

void distance_rows(const DistanceArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.width <= 0) return;
  launch_early(distance_rows_kernel, grid_of(args.width, 1, args.max_rows), kThreads, 0, stream,
               args);
  check_launch("distance_rows");
}

}  // namespace ttsrt::cuda
