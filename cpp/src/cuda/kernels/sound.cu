// The end of a vocoder: PolarSpectrum and OverlapAdd. Threads walk over bins or samples.
#include <cmath>

#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/launch_whole.h"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 16 * kMultiprocessors;

// Infinity minus itself is NaN: what is not finite may not become the largest magnitude.
__global__ void __launch_bounds__(kThreads)
    polar_spectrum_kernel(const __grid_constant__ PolarArgs args) {
  wait_for_previous_kernel();
  const std::int64_t items = std::int64_t{*args.num_rows} * args.rate * args.bins;
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items;
       item += step) {
    const std::int64_t at = item / args.bins * 2 * args.bins + item % args.bins;
    const float logarithm = args.x[at];
    const float given = args.x[at + args.bins];
    const float exact = expf(logarithm);
    const float magnitude = (exact > args.most ? args.most : exact) + (logarithm - logarithm);
    float sine = 0.0F;
    float cosine = 0.0F;
    sincosf(args.has_sine ? sinf(given) : given, &sine, &cosine);
    args.out[at] = magnitude * cosine;
    args.out[at + args.bins] = magnitude * sine;
  }
}

// Frames are added in order, and their squared windows too.
__global__ void __launch_bounds__(kThreads)
    overlap_add_kernel(const __grid_constant__ OverlapArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row_samples = args.rate * args.hop;  // of a row of the launch
  const std::int64_t items = count_of(args.rows, Count::rows) * row_samples;
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items;
       item += step) {
    const std::int64_t row = item / row_samples;
    const std::int64_t begin = args.rows.segment_begin[row];
    const std::int64_t first = begin * args.rate;
    const std::int64_t frames = args.rows.segment_end[row] * args.rate - first - args.beyond;
    const std::int64_t place = args.trim + item - begin * row_samples;
    const std::int64_t last = place / args.hop < frames ? place / args.hop : frames - 1;
    const std::int64_t before = place - args.samples + args.hop;
    float sum = 0.0F;
    float squares = 0.0F;
    for (std::int64_t f = before > 0 ? before / args.hop : 0; f <= last; ++f) {
      const std::int64_t at = place - f * args.hop;
      sum = __fadd_rn(sum, args.x[(first + f) * args.samples + at]);
      squares = __fadd_rn(squares, __fmul_rn(args.window[at], args.window[at]));
    }
    args.out[item] = squares > 0.0F ? sum / squares : 0.0F;
  }
}

unsigned blocks_for(std::int64_t items) {
  const std::int64_t blocks = ceil_div<std::int64_t>(items, kThreads);
  return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
}

}  // namespace

void polar_spectrum(const PolarArgs& args, cudaStream_t stream) {
  const std::int64_t items = std::int64_t{args.max_rows} * args.rate * args.bins;
  if (items <= 0) return;
  launch_early(polar_spectrum_kernel, blocks_for(items), kThreads, 0, stream, args);
  check_launch("polar_spectrum");
}

void overlap_add(const OverlapArgs& args, cudaStream_t stream) {
  const std::int64_t items = std::int64_t{args.max_rows} * args.rate * args.hop;
  if (items <= 0) return;
  launch_early(overlap_add_kernel, blocks_for(items), kThreads, 0, stream, args);
  check_launch("overlap_add");
}

}  // namespace ttsrt::cuda
