// The gate between the two products of a gated feed-forward: activate(gate) * up, one thread per
// four outputs.
#include "cuda/check.h"
#include "cuda/device.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 128;

template <bool kAligned>
__global__ void gate_kernel(GateArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.y;
  if (row >= *args.num_rows) return;
  const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kQuad;
  if (at >= args.width) return;
  const float* gates = args.x + row * 2 * args.width + at;
  const float* ups = gates + args.width;
  float* out = args.out + row * args.width + at;
  if constexpr (kAligned) {
    const float4 gate = *reinterpret_cast<const float4*>(gates);
    const float4 up = *reinterpret_cast<const float4*>(ups);
    *reinterpret_cast<float4*>(out) = {
        activated(args.activate, gate.x) * up.x, activated(args.activate, gate.y) * up.y,
        activated(args.activate, gate.z) * up.z, activated(args.activate, gate.w) * up.w};
  } else {
    for (int i = 0; i < kQuad && at + i < args.width; ++i)
      out[i] = activated(args.activate, gates[i]) * ups[i];
  }
}

}  // namespace

void gate(const GateArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const auto blocks = static_cast<unsigned>(ceil_div<std::int64_t>(args.width, kThreads * kQuad));
  const dim3 grid(blocks, static_cast<unsigned>(args.max_rows));
  if (args.width % kQuad == 0 && is_aligned(args.x) && is_aligned(args.out)) {
    launch_early(gate_kernel<true>, grid, kThreads, 0, stream, args);
  } else {
    launch_early(gate_kernel<false>, grid, kThreads, 0, stream, args);
  }
  check_launch("gate");
}

}  // namespace ttsrt::cuda
