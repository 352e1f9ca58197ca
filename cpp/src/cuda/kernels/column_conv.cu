// DepthwiseConv and ResponseNorm, which treat the columns of an item one by one.
//
// Squares of a column are added over all rows of the segment in chains of every 32nd row,
// and the chains in order, so that a sum depends on the segment's rows alone.
#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/launch_whole.h"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kColumns = 32;  // of a block that adds squares
constexpr int kChains = 32;   // of a column
constexpr int kRowThreads = 256;

// --- kernels ------------------------------------------------------------------------------------

__global__ void __launch_bounds__(kThreads)
    depthwise_conv_kernel(const __grid_constant__ DepthwiseArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  const std::int64_t c = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= count_of(args.rows, Count::rows) || c >= args.width) return;
  const std::int32_t begin = args.rows.segment_begin[row];
  const std::int32_t end = args.rows.segment_end[row];
  float sum = args.bias[c];
  for (std::int32_t tap = 0; tap < args.kernel; ++tap) {
    const std::int32_t from = row + tap - args.kernel / 2;
    if (from < begin || from >= end) continue;
    sum = __fmaf_rn(args.x[from * args.width + c], args.weight[tap * args.width + c], sum);
  }
  args.out[row * args.width + c] = sum;
}

// Grid: pieces of columns, rows; only blocks of the first row of a segment do something: the roots
// of the sums of squares go to that row of `sums`.
__global__ void __launch_bounds__(kColumns* kChains)
    response_sums_kernel(const __grid_constant__ ResponseNormArgs args) {
  __shared__ float chains[kChains][kColumns];
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  if (row >= count_of(args.rows, Count::rows) || args.rows.segment_begin[row] != row) return;
  const auto lane = static_cast<int>(threadIdx.x) % kColumns;
  const auto chain = static_cast<int>(threadIdx.x) / kColumns;
  const std::int64_t c = std::int64_t{blockIdx.x} * kColumns + lane;
  const std::int32_t end = args.rows.segment_end[row];
  float squares = 0.0F;
  for (std::int64_t r = row + chain; c < args.width && r < end; r += kChains) {
    const float value = args.x[r * args.width + c];
    squares = __fmaf_rn(value, value, squares);
  }
  chains[chain][lane] = squares;
  __syncthreads();
  if (chain != 0 || c >= args.width) return;
  for (int other = 1; other < kChains; ++other) squares = __fadd_rn(squares, chains[other][lane]);
  args.sums[row * args.width + c] = sqrtf(squares);
}

// One block per row.
__global__ void __launch_bounds__(kRowThreads)
    respond_kernel(const __grid_constant__ ResponseNormArgs args) {
  __shared__ float shared[kWarp];
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  if (row >= count_of(args.rows, Count::rows)) return;
  const std::int64_t width = args.width;
  const float* norms = args.sums + args.rows.segment_begin[row] * width;
  float sum = 0.0F;
  for (std::int64_t c = threadIdx.x; c < width; c += kRowThreads) sum = __fadd_rn(sum, norms[c]);
  const float mean = block_sum(sum, shared) / static_cast<float>(width);
  const float inverse = 1.0F / __fadd_rn(mean, args.epsilon);
  for (std::int64_t c = threadIdx.x; c < width; c += kRowThreads) {
    float& x = args.x[row * width + c];
    const float scaled = __fmul_rn(x, __fmul_rn(norms[c], inverse));
    x = __fadd_rn(__fmaf_rn(args.gamma[c], scaled, args.beta[c]), x);
  }
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void depthwise_conv(const DepthwiseArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.width <= 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(args.width, kThreads)),
                  static_cast<unsigned>(args.max_rows));
  launch_early(depthwise_conv_kernel, grid, kThreads, 0, stream, args);
  check_launch("depthwise_conv");
}

void response_norm(const ResponseNormArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.width <= 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(args.width, kColumns)),
                  static_cast<unsigned>(args.max_rows));
  launch_early(response_sums_kernel, grid, kColumns * kChains, 0, stream, args);
  check_launch("response_sums");
  launch_early(respond_kernel, static_cast<unsigned>(args.max_rows), kRowThreads, 0, stream, args);
  check_launch("respond");
}

}  // namespace ttsrt::cuda
