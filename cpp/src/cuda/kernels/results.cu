// The last kernel of a launch: it writes what the host reads into pinned memory of the host.
#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/kernels/results.cuh"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kThreads = 256;
constexpr std::int64_t kMostBlocks = 128;  // enough for the rate of the bus
constexpr std::int64_t kScores = 4;        // of a thread, where scores are kept

__global__ void __launch_bounds__(kThreads)
    give_results_kernel(const __grid_constant__ GiveArgs args) {
  wait_for_previous_kernel();
  const ResultsView& to = args.results[args.counts[static_cast<std::int32_t>(Count::stage)]];
  const Share share{std::int64_t{blockIdx.x} * kThreads + threadIdx.x,
                    std::int64_t{gridDim.x} * kThreads};
  give_share(args, to, share);
  if (share.rank == 0) to.times->end = nanoseconds();
}

}  // namespace

void give_results(const GiveArgs& args, cudaStream_t stream) {
  const std::int64_t scores = std::int64_t{args.max_draws} * args.max_text_len / kScores;
  const std::int64_t words = given_words(args);
  const std::int64_t blocks = ceil_div(words < scores ? scores : words, std::int64_t{kThreads});
  const auto grid = static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
  launch_early(give_results_kernel, grid, kThreads, 0, stream, args);
  check_launch("give_results");
}

}  // namespace ttsrt::cuda
