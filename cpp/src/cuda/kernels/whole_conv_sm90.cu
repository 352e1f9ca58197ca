// GroupedConv over padded rows on Hopper: groups of 64 inputs and 64 outputs.
//
// A thread block has 128 padded rows and one group, 64 of the rows for each of two warpgroups. The
// rows that its taps see are loaded once; a tap shifts the rows that warps load from shared memory
// as first operands, and has a box of weights as the second one, which come in a ring of stages.
// Every output is one sum over taps and inputs in order.
#include "cuda/check.h"
#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/narrow.cuh"
#include "cuda/kernels/wgmma_registers.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kRows = 128;
constexpr int kSteps = kConvGroup / 16;
constexpr int kStages = 4;
constexpr int kLag = 2;  // taps after which a stage is filled again
constexpr int kWindowRows = 160;
constexpr int kWindowBytes = kWindowRows * kBoxRowBytes;
constexpr int kStageBytes = kConvGroup * kBoxRowBytes;
constexpr int kBytes = kWindowBytes + kStages * kStageBytes + kSwizzleBytes;
static_assert(kWindowRows >= kRows + kMostConvTaps - 1 && kWindowRows % kProductBoxRows == 0);

// --- helpers ------------------------------------------------------------------------------------

struct Site {
  const WholeConvArgs& args;
  std::byte* window;  // rows first_row - kernel / 2 and behind
  std::byte* weights;
  Barrier* window_full;
  Barrier* full;   // [stages]
  Barrier* empty;  // [stages]
  int first_row, group;

  __device__ std::byte* stage(int tap) const { return weights + tap % kStages * kStageBytes; }
};

__device__ __forceinline__ void load_weights(const Site& site, int tap) {
  Barrier& full = site.full[tap % kStages];
  arrive_and_expect(full, kStageBytes);
  load_box(site.stage(tap), site.args.weights, tap * kConvGroup, site.group * kConvGroup, full);
}

// What is in front of the first padded row becomes zeros, as what is behind the last one.
__device__ __forceinline__ void load_window(const Site& site) {
  arrive_and_expect(*site.window_full, kWindowBytes);
  for (int row = 0; row < kWindowRows; row += kProductBoxRows) {
    load_box(site.window + row * kBoxRowBytes, site.args.x, site.group * kConvGroup,
             site.first_row - site.args.kernel / 2 + row, *site.window_full);
  }
}

// The rows of a warp as a tap sees them: words of 16 rows and 16 inputs for each step. Pieces of 16
// bytes lie as the swizzle puts them.
__device__ __forceinline__ void load_rows(const Site& site, int tap,
                                          std::uint32_t (&words)[kSteps][4]) {
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  const int row = static_cast<int>(threadIdx.x) / kWarp * 16 + lane % 16 + tap;
  const std::uint32_t at = shared_address(site.window) + row * kBoxRowBytes;
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
    const int piece = (2 * s + lane / 16) ^ (row % 8);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[s][0]), "=r"(words[s][1]), "=r"(words[s][2]), "=r"(words[s][3])
                 : "r"(at + piece * 16)
                 : "memory");
  }
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
template <Element kElement>
__device__ __forceinline__ void convolve(const Site& site, float (&sums)[32]) {
  std::uint32_t words[kSteps][4];
  await(*site.window_full, 0);
  for (int tap = 0; tap < site.args.kernel; ++tap) {
    load_rows(site, tap, words);
    await(site.full[tap % kStages], tap / kStages % 2);
    const std::uint64_t weights = operand_at(shared_address(site.stage(tap)));
    begin_products();
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      WgmmaOfRegisters<kElement, false>::multiply(sums, words[s], weights + 2 * s,
                                                  tap + s > 0 ? 1 : 0);
    }
    commit_products();
    await_products<0>();
    if (threadIdx.x % kWarp == 0) arrive(site.empty[tap % kStages]);
    const int before = tap - kLag;
    if (threadIdx.x == 0 && before >= 0 && before + kStages < site.args.kernel) {
      await(site.empty[before % kStages], before / kStages % 2);
      load_weights(site, before + kStages);
    }
    __syncwarp();
  }
}
#endif

__device__ __forceinline__ void store(const Site& site, const float (&sums)[32], int padded_rows) {
  const WholeConvArgs& args = site.args;
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int padded =
        site.first_row + static_cast<int>(threadIdx.x) / kWarp * 16 + lane / 4 + half * 8;
    const std::int64_t row = padded < padded_rows ? args.padded.real_row[padded] : -1;
    if (row < 0) continue;
#pragma unroll
    for (int n = 0; n < kConvGroup / 8; ++n) {
      const int output = site.group * kConvGroup + n * 8 + lane % 4 * 2;
      const float2 bias = *reinterpret_cast<const float2*>(args.bias + output);
      auto* out = reinterpret_cast<float2*>(args.out + row * args.outputs + output);
      const float* values = sums + 4 * n + 2 * half;
      float2 value = {activated(args.activate, __fadd_rn(values[0], bias.x)),
                      activated(args.activate, __fadd_rn(values[1], bias.y))};
      if (args.accumulates) {
        const float2 before = *out;
        value = {__fadd_rn(before.x, value.x), __fadd_rn(before.y, value.y)};
      }
      *out = value;
    }
  }
}

// --- kernels ------------------------------------------------------------------------------------

// Grid: tiles of padded rows, groups.
template <Element kElement>
__global__ void __launch_bounds__(kThreads, 3)
    whole_conv_kernel(const __grid_constant__ WholeConvArgs args) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte conv_memory[];
  __shared__ Barrier window_full;
  __shared__ Barrier full[kStages];
  __shared__ Barrier empty[kStages];
  let_next_kernel_start();
  std::byte* memory = first_box(conv_memory);
  const Site site = {args,
                     memory,
                     memory + kWindowBytes,
                     &window_full,
                     full,
                     empty,
                     static_cast<int>(blockIdx.x) * kRows,
                     static_cast<int>(blockIdx.y)};
  const int padded_rows = count_of(args.rows, Count::rows) +
                          args.padded.gap * (count_of(args.rows, Count::segments) + 1);
  if (site.first_row >= padded_rows) return wait_for_previous_kernel();
  if (threadIdx.x == 0) {
    init_barrier(window_full, 1);
    for (int stage = 0; stage < kStages; ++stage) {
      init_barrier(full[stage], 1);
      init_barrier(empty[stage], kWarps);
    }
    publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int tap = 0; tap < kStages && tap < args.kernel; ++tap) load_weights(site, tap);
    wait_for_previous_kernel();
    load_window(site);
  }
  __syncwarp();
  float sums[32];
  convolve<kElement>(site, sums);
  wait_for_previous_kernel();
  store(site, sums, padded_rows);
#endif
}

// --- launchers ----------------------------------------------------------------------------------

template <Element kElement>
void launch(const WholeConvArgs& args, cudaStream_t stream) {
  auto* kernel = &whole_conv_kernel<kElement>;
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
        "shared memory of a convolution");
  const dim3 grid(static_cast<unsigned>(ceil_div(args.max_padded, kRows)),
                  static_cast<unsigned>(args.outputs / kConvGroup));
  launch_early(kernel, grid, kThreads, kBytes, stream, args);
  check_launch("whole_conv");
}

}  // namespace

void whole_conv(const WholeConvArgs& args, cudaStream_t stream) {
  if (args.max_padded <= 0) return;
  if (args.padded.rows.element == Element::float16) return launch<Element::float16>(args, stream);
  launch<Element::bfloat16>(args, stream);
}

}  // namespace ttsrt::cuda
