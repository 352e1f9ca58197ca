// Layer norm and RMS norm. A block has one row and keeps it in registers; a row that is too wide
// for that is read again for each pass.
#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/kernels/norm_row.cuh"

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
  const RowStatistics of = statistics_of(args, quads, shared);
  float* out = args.out + row * width;
  quads.each([&](int i, float4 v) {
    const float4 value = normed(v, of.mean, of.inverse, weights.get(i), biases.get(i));
    store_quad<kAligned>(out, Quads::quad_of(i), width, value);
  });
}

template <bool kAligned>
void launch_norm(const NormArgs& args, cudaStream_t stream) {
  launch_for_quads(args.width, [&](auto quads) {
    launch_early(norm_kernel<decltype(quads)::value, kAligned>, args.max_rows,
                 norm_warps_of(args.width) * kWarp, 0, stream, args);
  });
  check_launch("norm");
}

}  // namespace

void norm(const NormArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  if (is_aligned(args)) {
    launch_norm<true>(args, stream);
  } else {
    launch_norm<false>(args, stream);
  }
}

}  // namespace ttsrt::cuda
