// Layer norm and RMS norm. A block has one row and keeps it in registers; a row that is too wide
// for that is read again for each pass.
//
// The statistics are those of the plain form in float32: the mean first, then the mean of squared
// differences. Statistics beyond the range of float32 make every output NaN.
#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/kernels/norm_quad.cuh"

namespace ttsrt::cuda {
namespace {

template <bool kAligned>
__device__ void store_quad(float* row, std::int64_t quad, std::int64_t width, float4 value) {
  const std::int64_t at = quad * kQuad;
  if constexpr (kAligned) {
    if (at < width) *reinterpret_cast<float4*>(row + at) = value;
  } else {
    if (at < width) row[at] = value.x;
    if (at + 1 < width) row[at + 1] = value.y;
    if (at + 2 < width) row[at + 2] = value.z;
    if (at + 3 < width) row[at + 3] = value.w;
  }
}

// The quads of a thread of a row, or zeros where there is no row: thread t has t, t + threads, and
// so on. kQuads of them are in registers; with 0, they are read each time.
template <int kQuads, bool kAligned>
struct RowQuads {
  const float* row;
  std::int64_t width;
  float4 held[kQuads == 0 ? 1 : kQuads];

  __device__ RowQuads(const float* values, std::int64_t size) : row(values), width(size) {
    if constexpr (kQuads > 0) {
#pragma unroll
      for (int i = 0; i < kQuads; ++i) held[i] = load(i);
    }
  }
  __device__ static std::int64_t quad_of(int i) {
    return threadIdx.x + static_cast<std::int64_t>(i) * blockDim.x;
  }
  __device__ float4 load(int i) const {
    return row == nullptr ? float4{} : load_quad<kAligned>(row, quad_of(i) * kQuad, width);
  }

  // Calls visit(i, values) for each quad of the thread, in order.
  template <class Visit>
  __device__ void each(Visit visit) const {
    if constexpr (kQuads > 0) {
#pragma unroll
      for (int i = 0; i < kQuads; ++i) visit(i, held[i]);
    } else {
      for (int i = 0; quad_of(i) * kQuad < width; ++i) visit(i, load(i));
    }
  }
  __device__ float4 get(int i) const {
    if constexpr (kQuads > 0) return held[i];
    return load(i);
  }
};

template <int kQuads, bool kAligned>
__global__ void norm_kernel(NormArgs args) {
  using Quads = RowQuads<kQuads, kAligned>;
  __shared__ float shared[kWarp];
  const std::int64_t width = args.width;
  const Quads weights(args.weight, width);
  const Quads biases(args.bias, width);
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x;
  if (row >= *args.num_rows) return;
  const Quads quads(args.x + row * width, width);

  float mean = 0.0F;  // RMS norms subtract no mean
  bool is_finite = true;
  if (!args.is_rms) {
    float sum = 0.0F;
    quads.each([&](int, float4 v) { sum = __fadd_rn(sum, sum_of(v)); });
    sum = block_sum(sum, shared);
    is_finite = isfinite(sum);
    mean = sum / static_cast<float>(width);
  }
  float squares = 0.0F;
  quads.each([&](int i, float4 v) {
    squares = __fadd_rn(squares, squares_of(v, mean, width - Quads::quad_of(i) * kQuad));
  });
  const float variance = block_sum(squares, shared) / static_cast<float>(width);
  const float inverse = inverse_of(variance, args.epsilon, is_finite);

  float* out = args.out + row * width;
  quads.each([&](int i, float4 v) {
    const float4 weight = weights.get(i);
    const float4 bias = biases.get(i);
    const float4 value = normed(v, mean, inverse, weight, bias);
    store_quad<kAligned>(out, Quads::quad_of(i), width, value);
  });
}

template <bool kAligned>
void launch_norm(const NormArgs& args, cudaStream_t stream) {
  const std::int64_t quads = ceil_div<std::int64_t>(args.width, kQuad);
  const int threads = norm_warps_of(args.width) * kWarp;
  const std::int64_t per_thread = ceil_div<std::int64_t>(quads, threads);
  if (per_thread <= 1) {
    launch_early(norm_kernel<1, kAligned>, args.max_rows, threads, 0, stream, args);
  } else if (per_thread <= 2) {
    launch_early(norm_kernel<2, kAligned>, args.max_rows, threads, 0, stream, args);
  } else if (per_thread <= 4) {
    launch_early(norm_kernel<4, kAligned>, args.max_rows, threads, 0, stream, args);
  } else {
    launch_early(norm_kernel<0, kAligned>, args.max_rows, threads, 0, stream, args);
  }
  check_launch("norm");
}

}  // namespace

void norm(const NormArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const bool aligned = args.width % kQuad == 0 && is_aligned(args.x) && is_aligned(args.out) &&
                       is_aligned(args.weight) && is_aligned(args.bias);
  if (aligned) {
    launch_norm<true>(args, stream);
  } else {
    launch_norm<false>(args, stream);
  }
}

}  // namespace ttsrt::cuda
