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

// Threads of a grid walk over items: first one of its own, then others that far away.
__device__ __forceinline__ std::int64_t first_item() {
  return std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
}
__device__ __forceinline__ std::int64_t item_step() { return std::int64_t{gridDim.x} * kThreads; }

unsigned blocks_for(std::int64_t items) {
  const std::int64_t blocks = ceil_div<std::int64_t>(items, kThreads);
  return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
}

// How the threads of a block divide rows: each has a place in a row, and some rows.
struct Rows {
  int across = 1;  // threads side by side
  int down = 1;

  explicit Rows(std::int64_t places)
      : across(static_cast<int>(places < kThreads ? places : kThreads)), down(kThreads / across) {}
  // Blocks for so many rows of `each` rows of a thread, and so many places.
  dim3 grid(std::int64_t rows, int each, std::int64_t places) const {
    return {static_cast<unsigned>(ceil_div<std::int64_t>(rows, std::int64_t{down} * each)),
            static_cast<unsigned>(ceil_div<std::int64_t>(places, across))};
  }
  int threads() const { return across * down; }
  __device__ int place() const {
    return static_cast<int>(blockIdx.y) * across + static_cast<int>(threadIdx.x) % across;
  }
  __device__ int row() const { return static_cast<int>(threadIdx.x) / across; }
};

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
  for (std::int64_t item = first_item(); item < items; item += item_step()) {
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

template <int kColumns>
__device__ __forceinline__ void load_columns(const float* from, float (&values)[kColumns]) {
  if constexpr (kColumns == 4) {
    *reinterpret_cast<float4*>(values) = *reinterpret_cast<const float4*>(from);
  } else if constexpr (kColumns == 2) {
    *reinterpret_cast<float2*>(values) = *reinterpret_cast<const float2*>(from);
  } else {
    values[0] = *from;
  }
}

template <int kColumns>
__device__ __forceinline__ void store_columns(float* to, const float (&values)[kColumns]) {
  if constexpr (kColumns == 4) {
    *reinterpret_cast<float4*>(to) = *reinterpret_cast<const float4*>(values);
  } else if constexpr (kColumns == 2) {
    *reinterpret_cast<float2*>(to) = *reinterpret_cast<const float2*>(values);
  } else {
    *to = values[0];
  }
}

template <int kColumns>
__device__ __forceinline__ void narrow_columns(const NarrowRows& rows, std::int64_t row,
                                               std::int64_t column,
                                               const float (&values)[kColumns]) {
  if constexpr (kColumns == 4) {
    store_narrow(rows, row, column, *reinterpret_cast<const float4*>(values));
  } else if constexpr (kColumns == 2) {
    auto* to = static_cast<std::uint16_t*>(rows.data) + row * rows.stride + column;
    *reinterpret_cast<std::uint32_t*>(to) = narrowed(rows.element, values[0], values[1]);
  } else {
    store_narrow(rows, row, column, values[0]);
  }
}

// A thread has kColumns columns of some rows, which it asks for before it writes any.
constexpr int kSnakeRows = 4;
template <int kColumns>
__global__ void __launch_bounds__(kThreads)
    half_snake_kernel(const __grid_constant__ HalfSnakeArgs args, const Rows block) {
  wait_for_previous_kernel();
  const std::int64_t rows = std::int64_t{*args.num_rows} * args.rate;
  const std::int64_t first = std::int64_t{blockIdx.x} * block.down * kSnakeRows + block.row();
  const std::int64_t column = std::int64_t{block.place()} * kColumns;
  if (first >= rows || column >= args.width) return;
  SnakeColumn columns[kColumns];
#pragma unroll
  for (int c = 0; c < kColumns; ++c) columns[c] = snake_column(args.snake, column + c);
  alignas(16) float values[kSnakeRows][kColumns] = {};
#pragma unroll
  for (int i = 0; i < kSnakeRows; ++i) {
    const std::int64_t row = first + i * block.down;
    if (row < rows) load_columns(args.x + row * args.width + column, values[i]);
  }
#pragma unroll
  for (int i = 0; i < kSnakeRows; ++i) {
    const std::int64_t row = first + i * block.down;
    if (row >= rows) return;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const bool is_curved = column + c < args.snake.curved;
      values[i][c] = snake_of(columns[c], is_curved, args.snake.slope, values[i][c]);
    }
    if (args.out != nullptr) store_columns(args.out + row * args.width + column, values[i]);
    if (args.narrow.data != nullptr) narrow_columns(args.narrow, row, column, values[i]);
  }
}

__global__ void __launch_bounds__(kThreads)
    narrow_rate_rows_kernel(const __grid_constant__ NarrowRateArgs args) {
  wait_for_previous_kernel();
  const std::int64_t items = std::int64_t{*args.num_rows} * args.rate * args.width;
  for (std::int64_t item = first_item(); item < items; item += item_step())
    store_narrow(args.narrow, item / args.width, item % args.width, args.x[item]);
}

// --- transposed convolutions
// ----------------------------------------------------------------------

// A row of the input as one of its chain.
struct UpsampleRow {
  std::int32_t of;     // row of the launch
  std::int32_t local;  // in that

  __device__ void advance(std::int32_t rate) {
    if (++local < rate) return;
    local = 0;
    ++of;
  }
  // What is before it where it begins a chain, of a column pair; else nothing is changed.
  __device__ void load_before(const UpsampleArgs& args, std::int64_t column, float2& before) const {
    if (local != 0) return;
    const bool has_past = args.past.data != nullptr;
    if (of != (has_past ? args.rows.chain_begin[of] : args.rows.segment_begin[of])) return;
    before = {};
    if (!has_past) return;
    const std::byte* kept = Chain::of(args.rows, args.past, of, args.rate).kept(args.past);
    if (kept != nullptr) before = reinterpret_cast<const float2*>(kept)[column];
  }
  // Keeps it where it ends a chain.
  __device__ void keep(const UpsampleArgs& args, std::int64_t column, float2 now) const {
    if (args.past.data == nullptr || local + 1 != args.rate) return;
    const Chain chain = Chain::of(args.rows, args.past, of, args.rate);
    if (chain.end != (std::int64_t{of} + 1) * args.rate) return;
    std::byte* next = chain.next(args.past);
    if (next != nullptr) reinterpret_cast<float2*>(next)[column] = now;
    if (column == 0) chain.tag(args.past);
  }
};

// A thread has a column of one of the `factor` rows that an input row becomes, of consecutive input
// rows, which it asks for before it writes any.
constexpr int kUpsampleRows = 8;
__global__ void __launch_bounds__(kThreads)
    upsample_kernel(const __grid_constant__ UpsampleArgs args, const Rows block) {
  wait_for_previous_kernel();
  const std::int64_t rows = std::int64_t{count_of(args.rows, Count::rows)} * args.rate;
  const std::int64_t first = (std::int64_t{blockIdx.x} * block.down + block.row()) * kUpsampleRows;
  if (first >= rows || block.place() >= args.factor * args.width) return;
  const std::int64_t column = block.place() % args.width;
  const std::int32_t j = block.place() / args.width;
  const auto* x = reinterpret_cast<const float2*>(args.x) + first * args.width + column;
  float2 inputs[kUpsampleRows] = {};
  float2 before = first > 0 ? x[-args.width] : float2{};
#pragma unroll
  for (int i = 0; i < kUpsampleRows; ++i) {
    if (first + i < rows) inputs[i] = x[std::int64_t{i} * args.width];
  }
  const float* weight = args.weight + 4 * column * args.factor + j;
  const float now_first = weight[0], before_first = weight[args.factor];
  const float now_second = weight[2 * args.factor], before_second = weight[3 * args.factor];
  const float bias = args.bias == nullptr ? 0.0F : args.bias[column];
  const SnakeColumn snake = args.has_snake ? snake_column(args.snake, column) : SnakeColumn{};
  UpsampleRow at = {static_cast<std::int32_t>(first / args.rate),
                    static_cast<std::int32_t>(first % args.rate)};
#pragma unroll
  for (int i = 0; i < kUpsampleRows; ++i) {
    if (first + i >= rows) return;
    at.load_before(args, column, before);
    float value = __fmaf_rn(inputs[i].x, now_first, bias);
    value = __fmaf_rn(before.x, before_first, value);
    value = __fmaf_rn(inputs[i].y, now_second, value);
    value = __fmaf_rn(before.y, before_second, value);
    const std::int64_t row = (first + i) * args.factor + j;
    if (args.out != nullptr) args.out[row * args.width + column] = value;
    if (args.has_snake) {
      value = snake_of(snake, column < args.snake.curved, args.snake.slope, value);
      if (args.snake_out != nullptr) args.snake_out[row * args.width + column] = value;
      if (args.snake_narrow.data != nullptr) store_narrow(args.snake_narrow, row, column, value);
    }
    before = inputs[i];
    if (j == 0) at.keep(args, column, before);
    at.advance(args.rate);
  }
}

// --- values -------------------------------------------------------------------------------------

__global__ void __launch_bounds__(kThreads)
    clamp_rows_kernel(const __grid_constant__ RowValuesArgs args) {
  wait_for_previous_kernel();
  const std::int64_t items = *args.num_rows * args.values;
  for (std::int64_t item = first_item(); item < items; item += item_step()) {
    const float value = args.x[item];  // NaN is neither below nor above
    args.out[item] = value < args.least ? args.least : value > args.most ? args.most : value;
  }
}

__global__ void __launch_bounds__(kThreads)
    split_rows_kernel(const __grid_constant__ RowValuesArgs args) {
  wait_for_previous_kernel();
  const std::int64_t items = *args.num_rows * args.values;
  for (std::int64_t item = first_item(); item < items; item += item_step())
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
  const bool is_wide = is_aligned(args.x) && is_aligned(args.out);
  const int columns = is_wide && args.width % 4 == 0 ? 4 : is_wide && args.width % 2 == 0 ? 2 : 1;
  auto* kernel = columns == 4   ? &half_snake_kernel<4>
                 : columns == 2 ? &half_snake_kernel<2>
                                : &half_snake_kernel<1>;
  const Rows block(args.width / columns);
  launch_early(kernel, block.grid(rows, kSnakeRows, args.width / columns), block.threads(), 0,
               stream, args, block);
  check_launch("half_snake");
}

void narrow_rate_rows(const NarrowRateArgs& args, cudaStream_t stream) {
  const std::int64_t items = std::int64_t{args.max_rows} * args.rate * args.width;
  if (items <= 0) return;
  launch_early(narrow_rate_rows_kernel, blocks_for(items), kThreads, 0, stream, args);
  check_launch("narrow_rate_rows");
}

void upsample(const UpsampleArgs& args, cudaStream_t stream) {
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  const std::int64_t places = std::int64_t{args.factor} * args.width;
  if (rows <= 0 || places <= 0) return;
  const Rows block(places);
  launch_early(upsample_kernel, block.grid(rows, kUpsampleRows, places), block.threads(), 0, stream,
               args, block);
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
