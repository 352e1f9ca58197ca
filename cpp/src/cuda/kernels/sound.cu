// The end of a vocoder: PolarSpectrum and OverlapAdd. One thread has one bin or one sample.
#include <cmath>

#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/launch_whole.h"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 128;

// Infinity minus itself is NaN: what is not finite may not become the largest magnitude.
__global__ void __launch_bounds__(kThreads)
    polar_spectrum_kernel(const __grid_constant__ PolarArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.y;
  const std::int64_t k = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= *args.num_rows || k >= args.bins) return;
  const float* x = args.x + row * 2 * args.bins;
  float* out = args.out + row * 2 * args.bins;
  const float exact = expf(x[k]);
  const float magnitude = (exact > args.most ? args.most : exact) + (x[k] - x[k]);
  float sine = 0.0F;
  float cosine = 0.0F;
  sincosf(x[args.bins + k], &sine, &cosine);
  out[k] = magnitude * cosine;
  out[args.bins + k] = magnitude * sine;
}

// Frames are added in order, and their squared windows too.
__global__ void __launch_bounds__(kThreads)
    overlap_add_kernel(const __grid_constant__ OverlapArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  const std::int64_t sample = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= count_of(args.rows, Count::rows) || sample >= args.hop) return;
  const std::int64_t begin = args.rows.segment_begin[row];
  const std::int64_t frames = args.rows.segment_end[row] - begin;
  const std::int64_t place = args.trim + (row - begin) * args.hop + sample;
  const std::int64_t last = place / args.hop < frames ? place / args.hop : frames - 1;
  const std::int64_t before = place - args.samples + args.hop;
  float sum = 0.0F;
  float squares = 0.0F;
  for (std::int64_t f = before > 0 ? before / args.hop : 0; f <= last; ++f) {
    const std::int64_t at = place - f * args.hop;
    sum = __fadd_rn(sum, args.x[(begin + f) * args.samples + at]);
    squares = __fadd_rn(squares, __fmul_rn(args.window[at], args.window[at]));
  }
  args.out[row * args.hop + sample] = squares > 0.0F ? sum / squares : 0.0F;
}

dim3 grid_of(std::int64_t width, std::int32_t max_rows) {
  return dim3(static_cast<unsigned>(ceil_div<std::int64_t>(width, kThreads)),
              static_cast<unsigned>(max_rows));
}

}  // namespace

void polar_spectrum(const PolarArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.bins <= 0) return;
  launch_early(polar_spectrum_kernel, grid_of(args.bins, args.max_rows), kThreads, 0, stream, args);
  check_launch("polar_spectrum");
}

void overlap_add(const OverlapArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.hop <= 0) return;
  launch_early(overlap_add_kernel, grid_of(args.hop, args.max_rows), kThreads, 0, stream, args);
  check_launch("overlap_add");
}

}  // namespace ttsrt::cuda
