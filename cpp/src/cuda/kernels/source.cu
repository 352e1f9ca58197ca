// The ops of a vocoder with a harmonic source beside convolutions: HarmonicSource at its beginning,
// ShiftRows between its layers, and FadeIn at its end.
//
// The cycles of a pitch are summed in float64 and kept as two floats for each row (rules/cycle.h).
// One warp walks over the rows of a segment in order. The samples of a row need only the sum of the
// row before, so that each thread computes one sample.
#include <cmath>
#include <type_traits>

#include "cuda/check.h"
#include "cuda/device.cuh"
#include "cuda/launch_rate.h"
#include "rules/cycle.h"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kSampleThreads = 128;
constexpr std::int64_t kMostBlocks = 8 * kMultiprocessors;
constexpr double kTwoPi = 6.28318530717958647693;

// --- helpers ------------------------------------------------------------------------------------

// What the slot keeps of a row of the launch, by its position; null: nothing.
__device__ float* kept_cycle(const HarmonicSourceArgs& args, std::int32_t row,
                             std::int32_t position) {
  const RowArrayView& array = args.cycles;
  const std::int32_t slot = args.rows.slot[row];
  const std::int32_t branch = args.rows.branch[row];
  if (slot < 0 || (branch != 0 && !array.has_branches)) return nullptr;
  const std::int64_t branches = array.has_branches ? 2 : 1;
  return array.data + ((slot * branches + branch) * array.rows + position) * array.width;
}

// The cycles before the first sample of a row.
__device__ rules::Cycle cycle_before(const HarmonicSourceArgs& args, std::int32_t row) {
  const std::int32_t position = args.rows.position[row];
  const float* kept = position == 0 ? nullptr : kept_cycle(args, row, position - 1);
  return kept == nullptr ? rules::Cycle{} : rules::Cycle{kept[0], kept[1]};
}

// The rows of a segment that have a pitch: those behind the window's halo, without the last
// `beyond` rows.
struct PitchRows {
  std::int32_t first, last;

  __device__ PitchRows(const HarmonicSourceArgs& args, std::int32_t row) {
    const std::int32_t begin = args.rows.segment_begin[row];
    first = begin + (args.rows.position[begin] == 0 ? 0 : args.halo);
    last = args.rows.segment_end[row] - args.beyond;
  }
};

__device__ __forceinline__ std::int64_t first_item() {
  return std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
}
__device__ __forceinline__ std::int64_t item_step() { return std::int64_t{gridDim.x} * kThreads; }

unsigned blocks_for(std::int64_t items) {
  const std::int64_t blocks = ceil_div<std::int64_t>(items, kThreads);
  return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
}

// --- kernels ------------------------------------------------------------------------------------

// Grid: rows; a block has one warp, and works if its row begins a segment. Each lane computes the
// cycles of one of 32 rows; then all lanes sum these in order, and each stores the sum of its row.
__global__ void __launch_bounds__(kWarp)
    cycles_kernel(const __grid_constant__ HarmonicSourceArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  if (row >= count_of(args.rows, Count::rows) || args.rows.segment_begin[row] != row) return;
  if (args.rows.slot[row] < 0) return;
  const auto lane = static_cast<std::int32_t>(threadIdx.x);
  const PitchRows rows(args, row);
  if (rows.first >= rows.last) return;
  rules::Cycle cycle = cycle_before(args, rows.first);
  for (std::int32_t begin = rows.first; begin < rows.last; begin += kWarp) {
    const std::int32_t mine = begin + lane;
    const float hz = mine < rows.last ? args.pitch[mine] : 0.0F;
    const double cycles =
        rules::cycles_of_samples(hz, args.hop, static_cast<double>(args.sample_rate));
    rules::Cycle left;
    const std::int32_t count = min(kWarp, rows.last - begin);
    for (std::int32_t i = 0; i < count; ++i) {
      cycle = rules::cycle_behind(cycle, __shfl_sync(kAllLanes, cycles, i));
      if (i == lane) left = cycle;
    }
    if (mine >= rows.last) continue;
    float* kept = kept_cycle(args, mine, args.rows.position[mine]);
    if (kept == nullptr) continue;
    kept[0] = left.high;
    kept[1] = left.low;
    if (!isfinite(left.high)) add_fault(args.faults, mine, args.faults.not_finite);
  }
}

// Grid: pieces of samples, rows.
__global__ void __launch_bounds__(kSampleThreads)
    harmonic_source_kernel(const __grid_constant__ HarmonicSourceArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  const auto sample = static_cast<std::int32_t>(blockIdx.x * kSampleThreads + threadIdx.x);
  if (row >= count_of(args.rows, Count::rows) || sample >= args.hop) return;
  float* out = args.out + std::int64_t{row} * args.hop + sample;
  const PitchRows rows(args, row);
  if (row < rows.first || row >= rows.last) {
    *out = 0.0F;
    return;
  }
  const float* noise = args.noise + std::int64_t{row} * (args.hop + args.harmonics);
  const float hz = fabsf(args.pitch[row]);
  const bool is_voiced = hz > args.least_hz;
  double squares = 0.0;
  for (std::int32_t h = 0; h < args.harmonics; ++h) {
    const double weight = args.weight[h];
    squares += weight * weight;
  }
  const float norm = static_cast<float>(sqrt(squares));
  const float amplitude = __fmul_rn(norm, is_voiced ? args.voiced_noise : args.unvoiced_noise);
  float sum = __fadd_rn(__fmul_rn(amplitude, noise[sample]), *args.bias);
  const double step = static_cast<double>(hz) / static_cast<double>(args.sample_rate);
  const double cycles =
      __dadd_rn(rules::cycles_of(cycle_before(args, row)), __dmul_rn(step, sample + 1.0));
  for (std::int32_t h = 0; h < args.harmonics && is_voiced; ++h) {
    const double turns = (h + 1) * cycles;
    const auto angle = static_cast<float>(kTwoPi * (turns - floor(turns)));
    const float sine = sinf(__fadd_rn(angle, noise[args.hop + h]));
    sum = __fadd_rn(sum, __fmul_rn(__fmul_rn(args.weight[h], args.sine), sine));
  }
  *out = tanhf(sum);
}

// A thread has kColumns neighbouring columns.
template <int kColumns>
__global__ void __launch_bounds__(kThreads)
    shift_rows_kernel(const __grid_constant__ ShiftRowsArgs args) {
  using Vector = std::conditional_t<kColumns == kQuad, float4, float>;
  wait_for_previous_kernel();
  const std::int64_t across = args.width / kColumns;
  const std::int64_t items = count_of(args.rows, Count::rows) * args.rate * across;
  for (std::int64_t item = first_item(); item < items; item += item_step()) {
    const std::int64_t row = item / across;
    const std::int64_t begin = std::int64_t{args.rows.segment_begin[row / args.rate]} * args.rate;
    const std::int64_t apart = row - begin - args.shift;
    const std::int64_t from = begin + (apart < 0 ? -apart : apart);
    reinterpret_cast<Vector*>(args.out)[item] =
        reinterpret_cast<const Vector*>(args.x)[from * across + item % across];
  }
}

// Grid: pieces of values, rows.
__global__ void __launch_bounds__(kThreads)
    fade_in_kernel(const __grid_constant__ FadeInArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  if (row >= count_of(args.rows, Count::rows)) return;
  const std::int64_t i = first_item();
  const std::int64_t of = args.rows.position[row] * args.values + i;
  if (i >= args.values || of >= args.count) return;
  float& x = args.x[row * args.values + i];
  x = __fmul_rn(x, args.factors[of]);
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void shift_rows(const ShiftRowsArgs& args, cudaStream_t stream) {
  const std::int64_t values = std::int64_t{args.max_rows} * args.rate * args.width;
  if (values <= 0) return;
  const bool is_wide = args.width % kQuad == 0 && is_aligned(args.x) && is_aligned(args.out);
  if (is_wide) {
    launch_early(shift_rows_kernel<kQuad>, blocks_for(values / kQuad), kThreads, 0, stream, args);
  } else {
    launch_early(shift_rows_kernel<1>, blocks_for(values), kThreads, 0, stream, args);
  }
  check_launch("shift_rows");
}

void harmonic_source(const HarmonicSourceArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.hop <= 0) return;
  const auto rows = static_cast<unsigned>(args.max_rows);
  launch_early(cycles_kernel, rows, kWarp, 0, stream, args);
  check_launch("cycles of a pitch");
  const auto pieces = static_cast<unsigned>(ceil_div(args.hop, kSampleThreads));
  launch_early(harmonic_source_kernel, dim3(pieces, rows), kSampleThreads, 0, stream, args);
  check_launch("harmonic_source");
}

void fade_in(const FadeInArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.values <= 0) return;
  const std::int64_t values = args.values < args.count ? args.values : args.count;
  if (values <= 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(values, kThreads)),
                  static_cast<unsigned>(args.max_rows));
  launch_early(fade_in_kernel, grid, kThreads, 0, stream, args);
  check_launch("fade_in");
}

}  // namespace ttsrt::cuda
