// Rounds rows of float32 to the type of a product: four values a thread.
#include "cuda/check.h"
#include "cuda/kernels/narrow.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 128;

template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    narrow_rows_kernel(const __grid_constant__ NarrowArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.y;
  const std::int64_t at = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kQuad;
  if (row >= *args.num_rows || at >= args.width) return;
  const float* x = args.x + row * args.width + at;
  if constexpr (kAligned) {
    store_narrow(args.narrow, row, at, *reinterpret_cast<const float4*>(x));
  } else {
    for (int i = 0; i < kQuad && at + i < args.width; ++i)
      store_narrow(args.narrow, row, at + i, x[i]);
  }
}

}  // namespace

void narrow_rows(const NarrowArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(args.width, kThreads * kQuad)),
                  static_cast<unsigned>(args.max_rows));
  if (args.width % kQuad == 0 && is_aligned(args.x)) {
    launch_early(narrow_rows_kernel<true>, grid, kThreads, 0, stream, args);
  } else {
    launch_early(narrow_rows_kernel<false>, grid, kThreads, 0, stream, args);
  }
  check_launch("narrow_rows");
}

}  // namespace ttsrt::cuda
