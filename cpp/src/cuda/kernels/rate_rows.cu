// Ops with rates that compute each value from a few others: codes to vectors and back, the
// half-snake activation, transposed convolutions with a group for each output, and limits. They are
// bound by memory, so a thread has neighbouring columns.
#include <cmath>

#include "cuda/check.h"
#include "cuda/kernels/narrow.cuh"
#include "cuda/kernels/past.cuh"
#include "cuda/kernels/snake.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 8 * kMultiprocessors;

// Threads of a grid walk over items: first one of its own, then others that far away. Numbers of
// items are of the type Index, since divisions of 64 bits take long.
template <typename Index>
__device__ __forceinline__ Index first_item() {
  return static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
}
template <typename Index>
__device__ __forceinline__ Index item_step() {
  return static_cast<Index>(gridDim.x) * kThreads;
}
bool fits_word(std::int64_t items) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  return items < kMost;
}

unsigned blocks_for(std::int64_t items) {
  const std::int64_t blocks = ceil_div<std::int64_t>(items, kThreads);
  return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
}

// --- codes --------------------------------------------------------------------------------------

// A block has a row.
__global__ void __launch_bounds__(kThreads)
    dequantize_codes_kernel(const __grid_constant__ DequantizeArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  if (row >= count_of(args.rows, Count::rows)) return;
  const std::int32_t* codes = args.rows.ids + args.rows.source_at[row];
  const std::int64_t width = args.table.cols;
  for (std::int64_t i = threadIdx.x; i < args.codebooks * width; i += kThreads) {
    const std::int64_t at =
        row_of_code(0, static_cast<std::int32_t>(args.table.rows), codes[i / width]);
    const float value = code_value_at(args.table, at, i % width);
    args.out[row * args.codebooks * width + i] = value;
    if (!isfinite(value)) add_fault(args.faults, row, args.faults.not_finite);
  }
}

// In double, as the plain form: a code is a decision.
__global__ void __launch_bounds__(kThreads)
    quantize_rows_kernel(const __grid_constant__ QuantizeArgs args) {
  wait_for_previous_kernel();
  const std::int64_t items = std::int64_t{*args.num_rows} * args.groups;
  for (auto item = first_item<std::int64_t>(); item < items; item += item_step<std::int64_t>()) {
    const float* x = args.x + item * args.dims;
    double code = 0.0;
    double base = 1.0;
    for (std::int32_t d = 0; d < args.dims; ++d) {
      const double levels = args.levels[d];
      const double scale = (levels - 1.0) / 2.0 * (1.0 - 1e-3);
      const double offset = args.levels[d] % 2 == 0 ? 0.5 : 0.0;
      const double value = scale * tanh(x[d] + tan(offset / scale)) - offset;
      code += (rint(value) + args.levels[d] / 2) * base;
      base *= levels;
    }
    args.out[item] = static_cast<float>(code);
  }
}

// --- activations --------------------------------------------------------------------------------

// An item is a unit of kColumns columns of a row; narrow rows have whole units.
template <int kColumns, typename Index>
__global__ void __launch_bounds__(kThreads)
    half_snake_kernel(const __grid_constant__ HalfSnakeArgs args) {
  wait_for_previous_kernel();
  const auto units = static_cast<Index>(args.width / kColumns);
  const Index items = static_cast<Index>(*args.num_rows) * args.rate * units;
  for (auto item = first_item<Index>(); item < items; item += item_step<Index>()) {
    const std::int64_t row = item / units;
    const std::int64_t column = std::int64_t{item % units} * kColumns;
    const std::int64_t at = row * args.width + column;
    float values[kColumns];
    if constexpr (kColumns == kQuad) {
      *reinterpret_cast<float4*>(values) = *reinterpret_cast<const float4*>(args.x + at);
    } else {
      values[0] = args.x[at];
    }
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      const SnakeColumn of = snake_column(args.snake, column + i);
      const bool is_curved = column + i < args.snake.curved;
      values[i] = snake_of(of, is_curved, args.snake.slope, values[i]);
    }
    if constexpr (kColumns == kQuad) {
      const float4 quad = *reinterpret_cast<const float4*>(values);
      if (args.out != nullptr) *reinterpret_cast<float4*>(args.out + at) = quad;
      if (args.narrow.data != nullptr) store_narrow(args.narrow, row, column, quad);
    } else {
      if (args.out != nullptr) args.out[at] = values[0];
      if (args.narrow.data != nullptr) store_narrow(args.narrow, row, column, values[0]);
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    narrow_rate_rows_kernel(const __grid_constant__ NarrowRateArgs args) {
  wait_for_previous_kernel();
  const std::int64_t items = std::int64_t{*args.num_rows} * args.rate * args.width;
  for (auto item = first_item<std::int64_t>(); item < items; item += item_step<std::int64_t>())
    store_narrow(args.narrow, item / args.width, item % args.width, args.x[item]);
}

// --- transposed convolutions
// ----------------------------------------------------------------------

// An item is an output column of an input row, which has `factor` outputs. Only the first and the
// last row of a row of the launch may be those of a chain; what a chain ends with is kept for the
// next launch.
template <typename Index>
__global__ void __launch_bounds__(kThreads)
    upsample_kernel(const __grid_constant__ UpsampleArgs args) {
  wait_for_previous_kernel();
  const auto width = static_cast<Index>(args.width);
  const auto rate = static_cast<Index>(args.rate);
  const Index items = static_cast<Index>(count_of(args.rows, Count::rows)) * rate * width;
  for (auto item = first_item<Index>(); item < items; item += item_step<Index>()) {
    const Index row = item / width;
    const Index column = item % width;
    const auto of = static_cast<std::int32_t>(row / rate);
    const float2 now = *reinterpret_cast<const float2*>(args.x + std::int64_t{2} * item);
    float2 before = {};
    const bool is_first = row % rate == 0;
    const bool is_last = (row + 1) % rate == 0;
    Chain chain;
    if (is_first || is_last) chain = Chain::of(args.rows, args.past, of, args.rate);
    const std::int32_t begin =
        args.past.data != nullptr ? args.rows.chain_begin[of] : args.rows.segment_begin[of];
    if (!is_first || of > begin) {
      before = *reinterpret_cast<const float2*>(args.x + std::int64_t{2} * (item - width));
    } else if (const std::byte* kept = chain.kept(args.past); kept != nullptr) {
      before = reinterpret_cast<const float2*>(kept)[column];
    }
    const float* weight = args.weight + std::int64_t{4} * column * args.factor;
    const float* other = weight + 2 * args.factor;
    const float bias = args.bias == nullptr ? 0.0F : args.bias[column];
    float* out = args.out + std::int64_t{row} * args.factor * args.width + column;
    for (std::int32_t j = 0; j < args.factor; ++j) {
      float sum = __fmaf_rn(now.x, weight[j], bias);
      sum = __fmaf_rn(before.x, weight[j + args.factor], sum);
      sum = __fmaf_rn(now.y, other[j], sum);
      sum = __fmaf_rn(before.y, other[j + args.factor], sum);
      out[std::int64_t{j} * args.width] = sum;
    }
    if (!is_last || row + 1 != static_cast<Index>(chain.end)) continue;
    std::byte* next = chain.next(args.past);
    if (next != nullptr) reinterpret_cast<float2*>(next)[column] = now;
    if (column == 0) chain.tag(args.past);
  }
}

// --- values -------------------------------------------------------------------------------------

__global__ void __launch_bounds__(kThreads)
    clamp_rows_kernel(const __grid_constant__ RowValuesArgs args) {
  wait_for_previous_kernel();
  const std::int64_t items = *args.num_rows * args.values;
  for (auto item = first_item<std::int64_t>(); item < items; item += item_step<std::int64_t>()) {
    const float value = args.x[item];  // NaN is neither below nor above
    args.out[item] = value < args.least ? args.least : value > args.most ? args.most : value;
  }
}

__global__ void __launch_bounds__(kThreads)
    split_rows_kernel(const __grid_constant__ RowValuesArgs args) {
  wait_for_previous_kernel();
  const std::int64_t items = *args.num_rows * args.values;
  for (auto item = first_item<std::int64_t>(); item < items; item += item_step<std::int64_t>())
    args.out[item] = args.x[item];
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void dequantize_codes(const DequantizeArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  launch_early(dequantize_codes_kernel, static_cast<unsigned>(args.max_rows), kThreads, 0, stream,
               args);
  check_launch("dequantize_codes");
}

void quantize_rows(const QuantizeArgs& args, cudaStream_t stream) {
  const std::int64_t items = std::int64_t{args.max_rows} * args.groups;
  if (items <= 0) return;
  launch_early(quantize_rows_kernel, blocks_for(items), kThreads, 0, stream, args);
  check_launch("quantize_rows");
}

void half_snake(const HalfSnakeArgs& args, cudaStream_t stream) {
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  if (rows <= 0) return;
  const bool is_wide = args.width % kQuad == 0 && is_aligned(args.x) &&
                       (args.out == nullptr || is_aligned(args.out));
  const std::int64_t items = is_wide ? rows * args.width / kQuad : rows * args.width;
  auto* kernel = &half_snake_kernel<1, std::int64_t>;
  if (fits_word(items)) {
    kernel =
        is_wide ? &half_snake_kernel<kQuad, std::uint32_t> : &half_snake_kernel<1, std::uint32_t>;
  } else if (is_wide) {
    kernel = &half_snake_kernel<kQuad, std::int64_t>;
  }
  launch_early(kernel, blocks_for(items), kThreads, 0, stream, args);
  check_launch("half_snake");
}

void narrow_rate_rows(const NarrowRateArgs& args, cudaStream_t stream) {
  const std::int64_t items = std::int64_t{args.max_rows} * args.rate * args.width;
  if (items <= 0) return;
  launch_early(narrow_rate_rows_kernel, blocks_for(items), kThreads, 0, stream, args);
  check_launch("narrow_rate_rows");
}

void upsample(const UpsampleArgs& args, cudaStream_t stream) {
  const std::int64_t items = std::int64_t{args.max_rows} * args.rate * args.width;
  if (items <= 0) return;
  auto* kernel =
      fits_word(items) ? &upsample_kernel<std::uint32_t> : &upsample_kernel<std::int64_t>;
  launch_early(kernel, blocks_for(items), kThreads, 0, stream, args);
  check_launch("upsample");
}

void clamp_rows(const RowValuesArgs& args, cudaStream_t stream) {
  const std::int64_t items = args.max_rows * args.values;
  if (items <= 0) return;
  launch_early(clamp_rows_kernel, blocks_for(items), kThreads, 0, stream, args);
  check_launch("clamp_rows");
}

void split_rows(const RowValuesArgs& args, cudaStream_t stream) {
  const std::int64_t items = args.max_rows * args.values;
  if (items <= 0) return;
  launch_early(split_rows_kernel, blocks_for(items), kThreads, 0, stream, args);
  check_launch("split_rows");
}

}  // namespace ttsrt::cuda
