// The product of rows with a float32 weight, by multiplications and additions in float32 alone.
//
// A warp has some outputs (kOutputs) and rows (kRows). Lane l takes quads l, l + 32, ... of the
// inputs, and the lanes' sums are added in a fixed tree, so that an output is summed in one order
// whatever the number of rows. More rows and outputs in a warp read weights and inputs less often.
#include "cuda/check.h"
#include "cuda/kernels/linear_products.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kWarp;

__device__ __forceinline__ float add_products(float4 w, float4 x, float sum) {
  sum = fmaf(w.x, x.x, sum);
  sum = fmaf(w.y, x.y, sum);
  sum = fmaf(w.z, x.z, sum);
  return fmaf(w.w, x.w, sum);
}

template <int kRows, int kOutputs, bool kGuarded>
struct FloatProduct {
  // Quads of weights that are asked for early, and of inputs.
  static constexpr int kAhead = (kRows == 8 ? 4 : 8) / kOutputs;
  static constexpr int kInputs = kAhead < 8 / kRows ? kAhead : 8 / kRows;

  const LinearArgs& args;
  int lane, num_steps;
  std::int64_t first_output, first_row, quads;
  float4 weights[kAhead][kOutputs];
  float sums[kRows][kOutputs];

  __device__ __forceinline__ explicit FloatProduct(const LinearArgs& a) : args(a) {
    const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
    lane = static_cast<int>(threadIdx.x) % kWarp;
    first_output = warp * kOutputs;
    first_row = static_cast<std::int64_t>(blockIdx.y) * kRows;
    quads = args.weight.padded_inputs / kQuad;
    num_steps = static_cast<int>(ceil_div<std::int64_t>(quads, kWarp));
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) sums[r][o] = 0.0F;
    }
  }

  __device__ __forceinline__ void load_weights(float4 (&out)[kOutputs], int step) const {
    const std::int64_t quad = static_cast<std::int64_t>(step) * kWarp + lane;
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      out[o] = float4{};
      if (quad >= quads || first_output + o >= args.weight.outputs) continue;
      const float* row =
          static_cast<const float*>(args.weight.data) + (first_output + o) * quads * kQuad;
      const uint4 bits = load_streaming(row + quad * kQuad);
      out[o] = {__uint_as_float(bits.x), __uint_as_float(bits.y), __uint_as_float(bits.z),
                __uint_as_float(bits.w)};
    }
  }

  // Zeros behind the last input. Rows are loaded up to the bound of the launch, because the true
  // number is not there yet.
  __device__ __forceinline__ float4 load_inputs(int r, int step) const {
    const std::int64_t k = (static_cast<std::int64_t>(step) * kWarp + lane) * kQuad;
    const std::int64_t size = args.weight.inputs;
    const bool is_there = first_row + r < args.max_rows;
    const float* from = args.x + (first_row + r) * args.x_stride + k;
    if constexpr (!kGuarded) {
      return is_there && k < size ? *reinterpret_cast<const float4*>(from) : float4{};
    } else {
      float4 x = {};
      if (is_there && k < size) x.x = from[0];
      if (is_there && k + 1 < size) x.y = from[1];
      if (is_there && k + 2 < size) x.z = from[2];
      if (is_there && k + 3 < size) x.w = from[3];
      return x;
    }
  }

  // Multiplies kAhead steps, for which `weights` are loaded, and loads the weights of the next
  // ones. A lane without inputs in the last step adds zeros.
  __device__ __forceinline__ void multiply_steps(int first) {
#pragma unroll
    for (int begin = 0; begin < kAhead; begin += kInputs) {
      float4 x[kInputs][kRows];
#pragma unroll
      for (int i = 0; i < kInputs; ++i) {
#pragma unroll
        for (int r = 0; r < kRows; ++r) x[i][r] = load_inputs(r, first + begin + i);
      }
#pragma unroll
      for (int i = 0; i < kInputs; ++i) {
        if (first + begin + i >= num_steps) return;
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
#pragma unroll
          for (int o = 0; o < kOutputs; ++o)
            sums[r][o] = add_products(weights[begin + i][o], x[i][r], sums[r][o]);
        }
        load_weights(weights[begin + i], first + begin + i + kAhead);
      }
    }
  }

  // Adds the lanes' sums; lane kOutputs * r + o finishes output o of row r.
  __device__ __forceinline__ void finish(int num_rows) const {
    float mine = 0.0F;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) {
        const float sum = warp_sum(sums[r][o]);
        if (lane == r * kOutputs + o) mine = sum;
      }
    }
    const std::int64_t row = first_row + lane / kOutputs;
    const std::int64_t output = first_output + lane % kOutputs;
    if (lane >= kRows * kOutputs || row >= num_rows || output >= args.weight.outputs) return;
    const std::int64_t at = row * args.out_stride + output;
    const float bias = args.bias == nullptr ? 0.0F : args.bias[output];
    args.out[at] = finished(args, mine, bias, load_residual(args, row, output));
  }
};

template <int kRows, int kOutputs, bool kGuarded>
__global__ void __launch_bounds__(kThreads, 2) float_product_kernel(LinearArgs args) {
  using P = FloatProduct<kRows, kOutputs, kGuarded>;
  P product(args);
#pragma unroll
  for (int i = 0; i < P::kAhead; ++i) product.load_weights(product.weights[i], i);
  wait_for_previous_kernel();
  const int num_rows = *args.num_rows;
  if (product.first_output >= args.weight.outputs) return;
  if (blockIdx.y > 0 && product.first_row >= num_rows) return;
  for (int step = 0; step < product.num_steps; step += P::kAhead) product.multiply_steps(step);
  product.finish(num_rows);
}

template <int kRows, int kOutputs, bool kGuarded>
void launch(const LinearArgs& args, cudaStream_t stream) {
  const auto blocks =
      static_cast<unsigned>(ceil_div<std::int64_t>(args.weight.outputs, kOutputs * kWarps));
  const auto row_blocks = static_cast<unsigned>(ceil_div(args.max_rows, kRows));
  launch_early(float_product_kernel<kRows, kOutputs, kGuarded>, dim3(blocks, row_blocks), kThreads,
               0, stream, args);
  check_launch("float_product");
}

// Gives a warp several outputs only where that leaves enough warps to fill a device.
template <int kRows>
void launch(const LinearArgs& args, cudaStream_t stream) {
  constexpr std::int64_t kEnoughWarps = 1024;
  const bool is_wide = args.weight.inputs % kQuad == 0 && args.x_stride % kQuad == 0 &&
                       reinterpret_cast<std::uintptr_t>(args.x) % 16 == 0;
  if (!is_wide) return launch<kRows, 1, true>(args, stream);
  const std::int64_t outputs = args.weight.outputs * ceil_div(args.max_rows, kRows);
  if (outputs >= 4 * kEnoughWarps) return launch<kRows, 4, false>(args, stream);
  if (outputs >= 2 * kEnoughWarps) return launch<kRows, 2, false>(args, stream);
  return launch<kRows, 1, false>(args, stream);
}

}  // namespace

void linear_float32(const LinearArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 2) return launch<2>(args, stream);
  if (args.max_rows <= 4) return launch<4>(args, stream);
  launch<8>(args, stream);
}

}  // namespace ttsrt::cuda
