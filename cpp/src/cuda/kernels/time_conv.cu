// TimeConv by multiplications and additions in float32 alone, of weights of any float type: a tiled
// product whose inputs are gathered tap by tap.
//
// A thread block has 64 rows and 64 outputs, or 16 outputs where there are no more, or 32 of both
// where larger tiles would leave multiprocessors idle; a thread has neighbouring rows and outputs.
// All inputs of all taps are one chain of fused multiply-adds in order, so that an output has the
// same bits whatever the launch.
#include "cuda/check.h"
#include "cuda/kernels/narrow.cuh"
#include "cuda/kernels/past.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kDepth = 16;  // inputs of a step
constexpr int kPad = 4;
constexpr int kQuads = kDepth / kQuad;  // of a step

// --- helpers ------------------------------------------------------------------------------------

__device__ __forceinline__ float rounded_to(Element element, float x) {
  if (element == Element::bfloat16) return __bfloat162float(__float2bfloat16_rn(x));
  if (element == Element::float16) return __half2float(__float2half_rn(x));
  return x;
}

// Where the taps of an output row read.
class Taps {
 public:
  __device__ Taps(const TimeConvArgs& args, std::int64_t row, std::int64_t num_rows) : args_(args) {
    const std::int32_t rate = args.rate / args.stride;
    is_there_ = row < num_rows * rate;
    if (!is_there_) return;
    const auto of = static_cast<std::int32_t>(row / rate);
    if (args.past.data != nullptr) {
      const Chain chain = Chain::of(args.rows, args.past, of, args.rate);
      begin_ = chain.begin;
      end_ = chain.end;
      kept_ = reinterpret_cast<const float*>(chain.kept(args.past));
    } else {
      begin_ = std::int64_t{args.rows.segment_begin[of]} * args.rate;
      end_ = std::int64_t{args.rows.segment_end[of]} * args.rate - args.beyond;
    }
    first_ = row * args.stride - args.before;
  }

  // The row of inputs of a tap; null: zeros.
  __device__ const float* inputs(std::int32_t tap) const {
    if (!is_there_ || tap >= args_.kernel) return nullptr;
    const std::int64_t from = first_ + std::int64_t{tap} * args_.dilation;
    if (kept_ != nullptr && from < begin_)
      return kept_ + (args_.before + from - begin_) * args_.width;
    const std::int64_t row = edge_row(args_.edge, from - begin_, end_ - begin_);
    return row < 0 ? nullptr : args_.x + (begin_ + row) * args_.width;
  }

 private:
  const TimeConvArgs& args_;
  bool is_there_ = false;
  std::int64_t begin_ = 0, end_ = 0, first_ = 0;
  const float* kept_ = nullptr;
};

// Four inputs of the chain from a place on, which moves by kDepth. Without kWide, they may be of
// several taps.
template <bool kWide>
struct Inputs {
  const TimeConvArgs& args;
  const Taps& taps;
  std::int32_t tap, column;

  __device__ Inputs(const TimeConvArgs& a, const Taps& t, std::int32_t k)
      : args(a), taps(t), tap(k / a.width), column(k % a.width) {}

  __device__ __forceinline__ float4 load() const {
    float4 values = {};
    if constexpr (kWide) {
      const float* from = taps.inputs(tap);
      if (from != nullptr) values = *reinterpret_cast<const float4*>(from + column);
    } else {
      float* const out[] = {&values.x, &values.y, &values.z, &values.w};
      std::int32_t t = tap;
      std::int32_t c = column;
#pragma unroll
      for (int i = 0; i < kQuad; ++i) {
        const float* from = taps.inputs(t);
        if (from != nullptr) *out[i] = from[c];
        if (++c == args.width) {
          c = 0;
          ++t;
        }
      }
    }
    const Element element = args.element;
    return {rounded_to(element, values.x), rounded_to(element, values.y),
            rounded_to(element, values.z), rounded_to(element, values.w)};
  }
  __device__ __forceinline__ void advance() {
    column += kDepth;
    while (column >= args.width) {
      column -= args.width;
      ++tap;
    }
  }
};

__device__ __forceinline__ float4 load_weights(const TimeConvArgs& args, std::int64_t output,
                                               std::int64_t k) {
  if (output >= args.outputs || k >= args.weight_stride) return {};
  const std::int64_t at = output * args.weight_stride + k;
  if (args.element == Element::float32)
    return *reinterpret_cast<const float4*>(static_cast<const float*>(args.weight) + at);
  const auto* from = static_cast<const std::uint16_t*>(args.weight) + at;
  if (args.element == Element::bfloat16) {
    const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(from);
    const float2 low = __bfloat1622float2(pairs[0]);
    const float2 high = __bfloat1622float2(pairs[1]);
    return {low.x, low.y, high.x, high.y};
  }
  const auto* pairs = reinterpret_cast<const __half2*>(from);
  const float2 low = __half22float2(pairs[0]);
  const float2 high = __half22float2(pairs[1]);
  return {low.x, low.y, high.x, high.y};
}

__device__ __forceinline__ void store(const TimeConvArgs& args, std::int64_t row,
                                      std::int64_t output, float sum) {
  const std::int64_t at = row * args.outputs + output;
  float value = args.bias == nullptr ? sum : __fadd_rn(sum, args.bias[output]);
  if (args.addend != nullptr) value = __fadd_rn(args.addend[at], value);
  value = activated(args.activate, __fmul_rn(args.scale, value));
  args.out[at] = args.accumulates ? __fadd_rn(args.out[at], value) : value;
}

// Where the sums of a thread begin, and the rows end.
struct Place {
  std::int64_t row, end_row, output;
};

template <int kThreadRows>
__device__ __forceinline__ void store_tile(const TimeConvArgs& args, const Place& at,
                                           const float (&sums)[kThreadRows][kQuad]) {
#pragma unroll
  for (int r = 0; r < kThreadRows; ++r) {
#pragma unroll
    for (int o = 0; o < kQuad; ++o) {
      if (at.row + r < at.end_row && at.output + o < args.outputs)
        store(args, at.row + r, at.output + o, sums[r][o]);
    }
  }
}

// Leaves the last rows of the chains that end among these output rows.
template <int kRows>
__device__ void keep_past(const TimeConvArgs& args, std::int64_t first_row, std::int64_t num_rows) {
  const std::int64_t end_row = min(first_row + kRows, num_rows * args.rate);
  const std::int64_t values = std::int64_t{args.before} * args.width;
  for (std::int64_t row = first_row / args.rate; row * args.rate < end_row; ++row) {
    const Chain chain = Chain::of(args.rows, args.past, static_cast<std::int32_t>(row), args.rate);
    const bool ends = chain.end == (row + 1) * args.rate && chain.end <= end_row;
    auto* next = reinterpret_cast<float*>(chain.next(args.past));
    if (!ends || next == nullptr) continue;
    const auto* kept = reinterpret_cast<const float*>(chain.kept(args.past));
    const std::int64_t length = (chain.end - chain.begin) * args.width;
    const float* x = args.x + chain.begin * args.width;
    for (std::int64_t i = threadIdx.x; i < values; i += blockDim.x) {
      const std::int64_t at = length - values + i;  // from the chain's begin on
      next[i] = at >= 0 ? x[at] : kept == nullptr ? 0.0F : kept[values + at];
    }
    if (threadIdx.x == 0) chain.tag(args.past);
  }
}

// --- kernels ------------------------------------------------------------------------------------

// A thread has kThreadRows x 4 outputs. Grid: tiles of rows, tiles of outputs.
template <int kRows, int kOutputs, bool kWide>
__global__ void __launch_bounds__(kRows* kQuads)
    time_conv_kernel(const __grid_constant__ TimeConvArgs args) {
  constexpr int kThreads = kRows * kQuads;
  constexpr int kAcross = kOutputs / kQuad;  // threads
  constexpr int kThreadRows = kRows / (kThreads / kAcross);
  __shared__ float inputs[kDepth][kRows + kPad];
  __shared__ float weights[kDepth][kOutputs + kPad];
  wait_for_previous_kernel();
  const std::int64_t num_rows = count_of(args.rows, Count::rows);
  const std::int64_t first_row = std::int64_t{blockIdx.x} * kRows;
  const std::int64_t end_row = num_rows * (args.rate / args.stride);
  if (first_row >= end_row) return;
  const auto thread = static_cast<int>(threadIdx.x);
  const int at = thread / kQuad;         // row, and output, that the thread loads
  const int k = thread % kQuad * kQuad;  // and inputs
  const std::int64_t first_output = std::int64_t{blockIdx.y} * kOutputs;
  const Taps taps(args, first_row + at, num_rows);
  Inputs<kWide> chain(args, taps, k);
  const int rows_at = thread / kAcross * kThreadRows;
  const int outputs_at = thread % kAcross * kQuad;
  float sums[kThreadRows][kQuad] = {};
  const std::int32_t size = args.kernel * args.width;
  float4 x = chain.load();
  float4 w = at < kOutputs ? load_weights(args, first_output + at, k) : float4{};
  for (std::int32_t step = 0; step < size; step += kDepth) {
    const float x_values[] = {x.x, x.y, x.z, x.w};
    const float w_values[] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
      inputs[k + i][at] = x_values[i];
      if (at < kOutputs) weights[k + i][at] = w_values[i];
    }
    __syncthreads();
    if (step + kDepth < size) {
      chain.advance();
      x = chain.load();
      if (at < kOutputs) w = load_weights(args, first_output + at, step + kDepth + k);
    }
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const float4 of = *reinterpret_cast<const float4*>(&weights[i][outputs_at]);
      const float w4[] = {of.x, of.y, of.z, of.w};
#pragma unroll
      for (int r = 0; r < kThreadRows; ++r) {
        const float input = inputs[i][rows_at + r];
#pragma unroll
        for (int o = 0; o < kQuad; ++o) sums[r][o] = __fmaf_rn(input, w4[o], sums[r][o]);
      }
    }
    __syncthreads();
  }
  store_tile(args, {first_row + rows_at, end_row, first_output + outputs_at}, sums);
  if (args.past.data != nullptr && blockIdx.y == 0) keep_past<kRows>(args, first_row, num_rows);
}

// --- launchers ----------------------------------------------------------------------------------

dim3 grid_of(const TimeConvArgs& args, std::int32_t rows, std::int32_t outputs) {
  const std::int64_t all = std::int64_t{args.max_rows} * args.rate / args.stride;
  return dim3(static_cast<unsigned>(ceil_div<std::int64_t>(all, rows)),
              static_cast<unsigned>(ceil_div(args.outputs, outputs)));
}

template <int kRows, int kOutputs>
void launch(const TimeConvArgs& args, cudaStream_t stream) {
  const dim3 grid = grid_of(args, kRows, kOutputs);
  constexpr int kThreads = kRows * kQuads;
  const bool is_wide = args.width % kQuad == 0 && is_aligned(args.x) &&
                       is_aligned(args.past.data) && args.past.half_bytes % 16 == 0;
  if (is_wide) {
    launch_early(time_conv_kernel<kRows, kOutputs, true>, grid, kThreads, 0, stream, args);
  } else {
    launch_early(time_conv_kernel<kRows, kOutputs, false>, grid, kThreads, 0, stream, args);
  }
}

}  // namespace

void time_conv(const TimeConvArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const dim3 large = grid_of(args, 64, 64);
  if (args.outputs <= 16) {
    launch<64, 16>(args, stream);
  } else if (large.x * large.y < kMultiprocessors) {
    launch<32, 32>(args, stream);
  } else {
    launch<64, 64>(args, stream);
  }
  check_launch("time_conv");
}

}  // namespace ttsrt::cuda
