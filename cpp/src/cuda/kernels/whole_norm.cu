// Norms of rows of whole items, and what an ActivateRows behind them does: an activation, a scale
// and a sum with columns of a schedule. A block has one row, as in norm.cu, and the same bits.
#include "cuda/check.h"
#include "cuda/kernels/norm_row.cuh"
#include "cuda/kernels/row_end.cuh"

namespace ttsrt::cuda {
namespace {

template <int kQuads, bool kAligned>
__global__ void __launch_bounds__(kNormWarps* kWarp)
    whole_norm_kernel(const __grid_constant__ WholeNormArgs args) {
  using Quads = RowQuads<kQuads, kAligned>;
  __shared__ float shared[kWarp];
  const std::int64_t width = args.norm.width;
  const Quads weights(args.norm.weight, width);
  const Quads biases(args.norm.bias, width);
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x;
  if (row >= *args.norm.num_rows) return;
  const Quads quads(args.norm.x + row * width, width);
  const RowStatistics of = statistics_of(args.norm, quads, shared);
  const float* shift = shift_of(args.end, row);
  quads.each([&](int i, float4 v) {
    const std::int64_t at = Quads::quad_of(i) * kQuad;
    if (at >= width) return;
    const float4 x = normed(v, of.mean, of.inverse, weights.get(i), biases.get(i));
    const bool is_whole = kAligned || at + kQuad <= width;
    const auto end = [&](int c, float value) {
      return is_whole || at + c < width ? ended(args.end, shift, at + c, value) : 0.0F;
    };
    const float4 value = {end(0, x.x), end(1, x.y), end(2, x.z), end(3, x.w)};
    leave_quad<kAligned>(args.norm.out, args.narrow, row, width, at, value);
  });
}

template <bool kAligned>
void launch_norm(const WholeNormArgs& args, cudaStream_t stream) {
  launch_for_quads(args.norm.width, [&](auto quads) {
    launch_early(whole_norm_kernel<decltype(quads)::value, kAligned>, args.max_rows,
                 norm_warps_of(args.norm.width) * kWarp, 0, stream, args);
  });
  check_launch("whole_norm");
}

}  // namespace

void whole_norm(const WholeNormArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  if (is_aligned(args.norm) && args.narrow.stride % kQuad == 0) {
    launch_norm<true>(args, stream);
  } else {
    launch_norm<false>(args, stream);
  }
}

}  // namespace ttsrt::cuda
