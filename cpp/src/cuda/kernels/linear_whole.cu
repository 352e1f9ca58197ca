// Products with int8 inputs on tensor cores (linear_mma.cuh). Their sums over a row (w8a8) or a
// group (w4a8) are exact.
//
// The inputs become int8 in a kernel before: a block has a row, and looks for the largest magnitude
// of the row or, a warp each, of its groups. NaN and infinity leave zeros with a scale of NaN.
#include <cmath>

#include "cuda/check.h"
#include "cuda/kernels/linear_mma.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;

struct InputScale {
  float inverse = 0.0F;
  float scale = 0.0F;

  __device__ explicit InputScale(float largest) {
    if (isfinite(largest) && largest >= kLeastInput) {
      inverse = kLargestWhole / largest;
      scale = largest / kLargestWhole;
    } else if (!isfinite(largest)) {
      scale = NAN;
    }
  }
  // Where the scale is NaN, the inverse is 0 and the input may be infinite.
  __device__ std::int32_t whole(float x) const {
    return inverse == 0.0F ? 0 : __float2int_rn(x * inverse);
  }
};

// One block per row.
__global__ void __launch_bounds__(kThreads) quantize_rows_kernel(LinearArgs args, WholeInputs out) {
  __shared__ float shared[kWarp];
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x;
  if (row >= *args.num_rows) return;
  const float* x = args.x + row * args.x_stride;
  float largest = 0.0F;
  for (std::int64_t k = threadIdx.x; k < args.weight.inputs; k += kThreads)
    largest = larger_or_nan(fabsf(x[k]), largest);
  const InputScale scale(block_max_magnitude(largest, shared));
  std::int8_t* q = out.q + row * args.weight.padded_inputs;
  for (std::int64_t k = threadIdx.x; k < args.weight.padded_inputs; k += kThreads)
    q[k] = static_cast<std::int8_t>(k < args.weight.inputs ? scale.whole(x[k]) : 0);
  if (threadIdx.x == 0) out.scaled[row] = {scale.scale, 0};
}

// One warp per group of a row.
__global__ void __launch_bounds__(kThreads)
    quantize_groups_kernel(LinearArgs args, WholeInputs out) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.y;
  if (row >= *args.num_rows) return;
  const ProductWeight& weight = args.weight;
  const std::int64_t group = blockIdx.x * (kThreads / kWarp) + threadIdx.x / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (group >= weight.padded_inputs / weight.group_size) return;
  const float* x = args.x + row * args.x_stride;
  const std::int64_t begin = group * weight.group_size;
  constexpr int kMost = 4;  // inputs of a lane: a group has at most 128
  float values[kMost];
  float largest = 0.0F;
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    const std::int64_t k = begin + i * kWarp + lane;
    const bool is_there = i * kWarp < weight.group_size && k < weight.inputs;
    values[i] = is_there ? x[k] : 0.0F;
    largest = larger_or_nan(fabsf(values[i]), largest);
  }
  const InputScale scale(warp_max(largest));
  std::int32_t sum = 0;
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    if (i * kWarp >= weight.group_size) break;
    const std::int32_t q = scale.whole(values[i]);
    sum += q;
    out.q[row * weight.padded_inputs + begin + i * kWarp + lane] = static_cast<std::int8_t>(q);
  }
  sum = warp_sum(sum);
  if (lane == 0) out.scaled[group * out.row_pitch + row] = {scale.scale, sum};
}

}  // namespace

void quantize_inputs(const LinearArgs& args, const WholeInputs& out, cudaStream_t stream) {
  const auto rows = static_cast<unsigned>(args.max_rows);
  if (args.weight.format == Format::w8a8) {
    launch_early(quantize_rows_kernel, rows, kThreads, 0, stream, args, out);
  } else {
    const std::int64_t groups = args.weight.padded_inputs / args.weight.group_size;
    const auto blocks = static_cast<unsigned>(ceil_div<std::int64_t>(groups, kThreads / kWarp));
    launch_early(quantize_groups_kernel, dim3(blocks, rows), kThreads, 0, stream, args, out);
  }
  check_launch("quantize_inputs");
}

void linear_w8a8(const ProductArgs& args, cudaStream_t stream) {
  launch_product<Format::w8a8>(args, stream);
}
void linear_w4a8(const ProductArgs& args, cudaStream_t stream) {
  launch_product<Format::w4a8>(args, stream);
}

}  // namespace ttsrt::cuda
