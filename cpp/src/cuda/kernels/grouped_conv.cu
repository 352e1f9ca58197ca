// GroupedConv over packed items: on tensor cores where the weight is narrow, and by multiplications
// and additions in float32 where it is not.
//
// A warp on tensor cores has 16 outputs of one group and 8 rows for each sum in its registers; the
// inputs of a tap are those of a row further on, or zeros outside the segment. All inputs and taps
// are one chain, so that an output is summed in one order whatever else is in the launch.
#include "cuda/check.h"
#include "cuda/kernels/linear_formats.cuh"
#include "cuda/launch_whole.h"

namespace ttsrt::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kRowGroups = 4;  // of 8 rows, of a warp
constexpr int kRows = 8;       // of one product on tensor cores
constexpr int kPlainOutputs = 16;
constexpr int kPlainRows = 16;

// --- helpers ------------------------------------------------------------------------------------

__device__ float value_of(const GroupedConvArgs& args, std::int32_t row, std::int64_t output,
                          float sum) {
  const float value = activated(args.activate, __fadd_rn(sum, args.bias[output]));
  return args.accumulates ? __fadd_rn(args.out[row * args.weight.outputs + output], value) : value;
}

// The rows that a row's taps may read; none for a row that is not there.
struct Window {
  std::int32_t begin = 0;
  std::int32_t end = 0;

  __device__ static Window of(const RowsView& rows, std::int32_t row) {
    if (row >= count_of(rows, Count::rows)) return {};
    return {rows.segment_begin[row], rows.segment_end[row]};
  }
};

// Inputs k to k + 3 of a row's chain, where input c of tap t is number t * inputs + c.
__device__ float4 chain_inputs(const GroupedConvArgs& args, const Window& window, std::int32_t row,
                               std::int64_t group, int k, bool is_wide) {
  const auto inputs = static_cast<int>(args.width) / args.groups;
  float4 values = {};
  if (is_wide) {
    const std::int32_t from = row + k / inputs - args.kernel / 2;
    if (k >= args.kernel * inputs || from < window.begin || from >= window.end) return values;
    return *reinterpret_cast<const float4*>(args.x + from * args.width + group * inputs +
                                            k % inputs);
  }
  float* const out[] = {&values.x, &values.y, &values.z, &values.w};
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    const std::int32_t from = row + (k + i) / inputs - args.kernel / 2;
    if (k + i >= args.kernel * inputs || from < window.begin || from >= window.end) continue;
    *out[i] = args.x[from * args.width + group * inputs + (k + i) % inputs];
  }
  return values;
}

// --- kernels ------------------------------------------------------------------------------------

// Grid: tiles of 16 outputs, pieces of kWarps * kRowGroups * 8 rows.
template <Format kFormat>
__global__ void __launch_bounds__(kWarps* kWarp)
    grouped_conv_kernel(const __grid_constant__ GroupedConvArgs args, bool is_wide) {
  using K = Kind<kFormat>;
  wait_for_previous_kernel();
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  const auto warp = static_cast<std::int32_t>(threadIdx.x) / kWarp;
  const std::int32_t first =
      (static_cast<std::int32_t>(blockIdx.y) * kWarps + warp) * kRowGroups * kRows;
  if (first >= count_of(args.rows, Count::rows)) return;
  const std::int64_t tile = blockIdx.x;
  const std::int64_t group = tile * kTile / (args.weight.outputs / args.groups);
  const auto units = static_cast<int>(args.weight.padded_inputs) / K::kStepInputs;
  const auto* weights = static_cast<const uint4*>(args.weight.data) + tile * units * kWarp + lane;
  Window windows[kRowGroups];
  float sums[kRowGroups][4] = {};
#pragma unroll
  for (int n = 0; n < kRowGroups; ++n)
    windows[n] = Window::of(args.rows, first + n * kRows + lane / 4);
  for (int unit = 0; unit < units; ++unit) {
    const Operand operand = K::weights(load_streaming(weights + unit * kWarp), 0, {});
    const int k = unit * K::kStepInputs + lane % 4 * kQuad;
#pragma unroll
    for (int n = 0; n < kRowGroups; ++n) {
      const std::int32_t row = first + n * kRows + lane / 4;
      const float4 x = chain_inputs(args, windows[n], row, group, k, is_wide);
      K::multiply(operand, K::inputs(x), sums[n]);
    }
  }
  const std::int32_t num_rows = count_of(args.rows, Count::rows);
#pragma unroll
  for (int n = 0; n < kRowGroups; ++n) {
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const std::int32_t row = first + n * kRows + lane % 4 * 2 + c % 2;
      const std::int64_t output = tile * kTile + lane / 4 + c / 2 * 8;
      if (row >= num_rows || output >= args.weight.outputs) continue;
      args.out[row * args.weight.outputs + output] = value_of(args, row, output, sums[n][c]);
    }
  }
}

// One thread has one output of one row. Grid: tiles of 16 outputs, tiles of 16 rows.
__global__ void __launch_bounds__(kPlainOutputs* kPlainRows)
    plain_grouped_conv_kernel(const __grid_constant__ GroupedConvArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.y * kPlainRows + threadIdx.x / kPlainOutputs);
  const std::int64_t output =
      std::int64_t{blockIdx.x} * kPlainOutputs + threadIdx.x % kPlainOutputs;
  const Window window = Window::of(args.rows, row);
  if (window.end == 0 || output >= args.weight.outputs) return;
  const std::int64_t inputs = args.width / args.groups;
  const std::int64_t group = output / (args.weight.outputs / args.groups);
  const float* weights =
      static_cast<const float*>(args.weight.data) + output * args.weight.padded_inputs;
  float sum = 0.0F;
  for (std::int32_t tap = 0; tap < args.kernel; ++tap) {
    const std::int32_t from = row + tap - args.kernel / 2;
    if (from < window.begin || from >= window.end) continue;
    const float* x = args.x + from * args.width + group * inputs;
    for (std::int64_t c = 0; c < inputs; ++c) sum = __fmaf_rn(x[c], weights[tap * inputs + c], sum);
  }
  args.out[row * args.weight.outputs + output] = value_of(args, row, output, sum);
}

// --- launchers ----------------------------------------------------------------------------------

template <Format kFormat>
void launch(const GroupedConvArgs& args, cudaStream_t stream) {
  const std::int64_t inputs = args.width / args.groups;
  const bool is_wide = inputs % kQuad == 0 && is_aligned(args.x);
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(args.weight.outputs, kTile)),
                  static_cast<unsigned>(ceil_div(args.max_rows, kWarps * kRowGroups * kRows)));
  launch_early(grouped_conv_kernel<kFormat>, grid, kWarps * kWarp, 0, stream, args, is_wide);
}

}  // namespace

void grouped_conv(const GroupedConvArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  if (args.weight.format == Format::bfloat16) {
    launch<Format::bfloat16>(args, stream);
  } else if (args.weight.format == Format::float16) {
    launch<Format::float16>(args, stream);
  } else {
    const dim3 grid(
        static_cast<unsigned>(ceil_div<std::int64_t>(args.weight.outputs, kPlainOutputs)),
        static_cast<unsigned>(ceil_div(args.max_rows, kPlainRows)));
    launch_early(plain_grouped_conv_kernel, grid, kPlainOutputs * kPlainRows, 0, stream, args);
  }
  check_launch("grouped_conv");
}

}  // namespace ttsrt::cuda
