// Rounds rows of float32 to the type of a product, as they are or with rows of zeros around items:
// four values a thread.
#include "cuda/check.h"
#include "cuda/kernels/narrow.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 128;

template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    narrow_rows_kernel(const __grid_constant__ NarrowArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.y;
  const std::int64_t at = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kQuad;
  if (row >= *args.num_rows || at >= args.width) return;
  const float* x = args.x + row * args.width + at;
  if constexpr (kAligned) {
    store_narrow(args.narrow, row, at, *reinterpret_cast<const float4*>(x));
  } else {
    for (int i = 0; i < kQuad && at + i < args.width; ++i)
      store_narrow(args.narrow, row, at + i, x[i]);
  }
}

// The block of a segment's first row also writes the zeros in front of it, and that of the last row
// of all those behind it.
__global__ void __launch_bounds__(kThreads) pad_rows_kernel(const __grid_constant__ PadArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  const std::int64_t at = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kQuad;
  const std::int32_t num_rows = count_of(args.rows, Count::rows);
  if (row >= num_rows || at >= args.width) return;
  const PaddedRows& padded = args.padded;
  const std::int32_t to = row + padded.gap * (args.rows.segment[row] + 1);
  const bool is_first = args.rows.segment_begin[row] == row;
  const bool is_last = row + 1 == num_rows;
  const float4 x = *reinterpret_cast<const float4*>(args.x + row * args.width + at);
  store_narrow(padded.rows, to, at, x);
  if (at == 0) padded.real_row[to] = row;
  for (std::int32_t i = 1; i <= padded.gap; ++i) {
    if (is_first) store_narrow(padded.rows, to - i, at, float4{});
    if (is_last) store_narrow(padded.rows, to + i, at, float4{});
    if (is_first && at == 0) padded.real_row[to - i] = -1;
    if (is_last && at == 0) padded.real_row[to + i] = -1;
  }
}

}  // namespace

void pad_rows(const PadArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(args.width, kThreads * kQuad)),
                  static_cast<unsigned>(args.max_rows));
  launch_early(pad_rows_kernel, grid, kThreads, 0, stream, args);
  check_launch("pad_rows");
}

void narrow_rows(const NarrowArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(args.width, kThreads * kQuad)),
                  static_cast<unsigned>(args.max_rows));
  if (args.width % kQuad == 0 && is_aligned(args.x)) {
    launch_early(narrow_rows_kernel<true>, grid, kThreads, 0, stream, args);
  } else {
    launch_early(narrow_rows_kernel<false>, grid, kThreads, 0, stream, args);
  }
  check_launch("narrow_rows");
}

}  // namespace ttsrt::cuda
