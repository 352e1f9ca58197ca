// Products of the rows of whole items on Hopper: out^T = W x^T by products of warpgroups.
//
// This file has thread blocks of one tile each, and the choice between them and the persistent ones
// of whole_product_resident_sm90.cu, which launches of many rows may take. A tile has 128 outputs
// and kRows rows. Two warpgroups multiply, each for 64 of the outputs; the first thread of the
// block loads boxes of weights and of x, 64 inputs at a time, into a ring of stages. Weights are
// the first operand, so that the rows of a tile may be any multiple of 32: how many a launch takes
// decides how evenly its tiles fill the device, and changes no sum. Sums pass through shared
// memory, so that the epilogue (bias, activation, gate, rope) sees rows and reads and writes whole
// lines.
//
// Two blocks share a multiprocessor: one multiplies while the other runs its epilogue. Weights of
// the first stages are loaded before the previous kernel has finished.
#include "cuda/check.h"
#include "cuda/kernels/wgmma.cuh"
#include "cuda/kernels/whole_product.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kPitch = kOutputs + 4;  // of a row of sums, without conflicts

// --- helpers ------------------------------------------------------------------------------------

template <int kRows>
struct Tile {
  static constexpr int kStages = kRows == 64 ? 4 : 3;
  static constexpr int kWeightBytes = kOutputs * kBoxRowBytes;
  static constexpr int kStageBytes = kWeightBytes + kRows * kBoxRowBytes;
  static constexpr int kBytes = kStages * kStageBytes + kSwizzleBytes;  // with room to align
  static_assert(kRows * kPitch * static_cast<int>(sizeof(float)) <= kStages * kStageBytes);
};

template <int kRows>
struct Site {
  using T = Tile<kRows>;
  const WholeProductArgs& args;
  std::byte* memory;  // stages, then sums
  Barrier* full;      // [stages] boxes have come
  Barrier* empty;     // [stages] all warps have multiplied them
  int first_row, first_output, blocks;

  __device__ std::byte* stage(int index) const { return memory + index * T::kStageBytes; }
};

// Load boxes of 64 inputs; the weights of a stage may be loaded before its rows.
template <int kRows>
__device__ __forceinline__ void load_weights(const Site<kRows>& site, int stage, int block) {
  arrive_and_expect(site.full[stage], Tile<kRows>::kStageBytes);
  load_box(site.stage(stage), site.args.weights, block * kBoxColumns, site.first_output,
           site.full[stage]);
}

template <int kRows>
__device__ __forceinline__ void load_rows(const Site<kRows>& site, int stage, int block) {
  std::byte* to = site.stage(stage) + Tile<kRows>::kWeightBytes;
#pragma unroll
  for (int row = 0; row < kRows; row += kProductBoxRows) {
    load_box(to + row * kBoxRowBytes, site.args.x, block * kBoxColumns, site.first_row + row,
             site.full[stage]);
  }
}

// The first stages, by the thread that loads.
template <int kRows>
__device__ void load_first(const Site<kRows>& site) {
  constexpr int kStages = Tile<kRows>::kStages;
  const int blocks = site.blocks < kStages ? site.blocks : kStages;
  for (int block = 0; block < blocks; ++block) load_weights(site, block, block);
  wait_for_previous_kernel();
  for (int block = 0; block < blocks; ++block) load_rows(site, block, block);
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Gives back the stage of a block that has been multiplied; the thread that loads fills it again
// once all warps have. The others already wait for a later stage, or multiply it.
template <int kRows>
__device__ __forceinline__ void refill(const Site<kRows>& site,
                                       const Ring<Tile<kRows>::kStages>& of, int block) {
  if (threadIdx.x % kWarp == 0) arrive(site.empty[of.stage]);
  const int next = block + Tile<kRows>::kStages;
  if (threadIdx.x == 0 && next < site.blocks) {
    await(site.empty[of.stage], of.parity);
    load_weights(site, of.stage, next);
    load_rows(site, of.stage, next);
  }
  __syncwarp();
}

// Multiplies all blocks of inputs in order.
template <Element kElement, int kRows>
__device__ __forceinline__ void multiply_blocks(const Site<kRows>& site, float (&sums)[kRows / 2]) {
  using T = Tile<kRows>;
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads;
  Ring<T::kStages> ring;
  Ring<T::kStages> before;
  for (int block = 0; block < site.blocks; ++block) {
    await(site.full[ring.stage], ring.parity);
    const std::uint32_t at = shared_address(site.stage(ring.stage));
    const std::uint64_t weights = operand_at(at + group * kGroupOutputs * kBoxRowBytes);
    const std::uint64_t rows = operand_at(at + T::kWeightBytes);
    begin_products();
#pragma unroll
    for (int k = 0; k < kBoxColumns / 16; ++k) {
      Wgmma<kElement, kRows>::multiply(sums, weights + 2 * k, rows + 2 * k, block + k > 0 ? 1 : 0);
    }
    commit_products();
    await_products<1>();
    if (block > 0) refill(site, before, block - 1);
    before = ring;
    ring.advance();
  }
  await_products<0>();
}
#endif

// Leaves the sums of a warpgroup as rows [kRows][kPitch] of outputs.
template <int kRows>
__device__ __forceinline__ void spread(const float (&sums)[kRows / 2], float* rows) {
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  const int output = static_cast<int>(threadIdx.x) / kWarp * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < kRows / 2; ++i) {
    const int row = i / 4 * 8 + lane % 4 * 2 + i % 2;
    rows[row * kPitch + output + i % 4 / 2 * 8] = sums[i];
  }
}

// The epilogue: a warp takes one row after the other, a lane four outputs of each.
template <int kRows>
__device__ void end_rows(const Site<kRows>& site, const float* rows, int num_rows) {
  const WholeProductArgs& args = site.args;
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  const Quad quad(args, site.first_output + lane * kQuad);
  for (int r = static_cast<int>(threadIdx.x) / kWarp; r < kRows; r += kWarps) {
    const std::int64_t row = site.first_row + r;
    if (row >= num_rows) return;
    const float4 sum = *reinterpret_cast<const float4*>(rows + r * kPitch + lane * kQuad);
    quad.end(row, true, sum, quad.read(row, place_of(args, row)));
  }
}

// Whether nobody needs the rows of this tile (step::Segment::settled_rows).
template <int kRows>
__device__ bool is_settled(const Site<kRows>& site, int num_rows) {
  if (!site.args.leaves_settled) return false;
  const int end = site.first_row + kRows < num_rows ? site.first_row + kRows : num_rows;
  return site.args.rows.settled_end[site.first_row] >= end;
}

// --- kernels ------------------------------------------------------------------------------------

// Grid: tiles of rows, tiles of outputs.
template <Element kElement, int kRows>
__global__ void __launch_bounds__(kThreads, 2)
    whole_product_kernel(const __grid_constant__ WholeProductArgs args) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using T = Tile<kRows>;
  extern __shared__ std::byte product_memory[];
  __shared__ Barrier full[T::kStages];
  __shared__ Barrier empty[T::kStages];
  const Site<kRows> site = {args,
                            first_box(product_memory),
                            full,
                            empty,
                            static_cast<int>(blockIdx.x) * kRows,
                            static_cast<int>(blockIdx.y) * kOutputs,
                            ceil_div(args.inputs, kBoxColumns)};
  const std::int32_t num_rows = count_of(args.rows, Count::rows);
  let_next_kernel_start();
  if (site.first_row >= num_rows || is_settled(site, num_rows)) return wait_for_previous_kernel();
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < T::kStages; ++stage) {
      init_barrier(full[stage], 1);
      init_barrier(empty[stage], kWarps);
    }
    publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x == 0) load_first(site);
  __syncwarp();
  float sums[kRows / 2];
  multiply_blocks<kElement>(site, sums);
  __syncthreads();  // all stages have been multiplied
  auto* rows = reinterpret_cast<float*>(site.memory);
  spread<kRows>(sums, rows);
  __syncthreads();
  wait_for_previous_kernel();
  end_rows(site, rows, num_rows);
#endif
}

// --- launchers ----------------------------------------------------------------------------------

template <Element kElement, int kRows>
void launch(const WholeProductArgs& args, cudaStream_t stream) {
  auto* kernel = &whole_product_kernel<kElement, kRows>;
  const auto* function = reinterpret_cast<const void*>(kernel);
  take_shared_memory(function, Tile<kRows>::kBytes, "shared memory of a product");
  const dim3 grid(static_cast<unsigned>(ceil_div(args.max_rows, kRows)),
                  static_cast<unsigned>(ceil_div(args.outputs, kOutputs)));
  launch_early(kernel, grid, kThreads, Tile<kRows>::kBytes, stream, args);
  check_launch("whole_product");
}

// A choice of tiles, and what it costs.
struct Choice {
  bool is_resident = false;
  int rows = 0;  // of a tile
  std::int64_t cost = 0;
};

// The most tiles of so many rows that a multiprocessor has.
int busiest(const WholeProductArgs& args, int rows) {
  return ceil_div(ceil_div(args.max_rows, rows) * ceil_div(args.outputs, kOutputs),
                  device_attribute(cudaDevAttrMultiProcessorCount));
}

// For blocks in pairs: the rows of a tile with which the busiest multiprocessor has the least to
// do. The epilogue of a tile costs about as much as multiplying 24 rows more.
int rows_in_pairs(const WholeProductArgs& args) {
  constexpr int kEnd = 24;
  int best = 0;
  int least = 0;
  for (const int rows : {160, 128, 96, 64}) {
    const int cost = busiest(args, rows) * (rows + kEnd);
    if (best != 0 && cost >= least) continue;
    best = rows;
    least = cost;
  }
  return best;
}

// Costs are tenths of a row times an input, fitted to times of an H200 (docs/gpu.md). The prologue
// and the epilogue of a tile cost as much as kEnd inputs, or kEndInPairs. A persistent block
// multiplies at full speed. A block of a pair multiplies at half of it, even without its partner,
// and runs its epilogue while the partner multiplies.
Choice choice_for(const WholeProductArgs& args) {
  constexpr std::int64_t kEnd = 1536;
  constexpr std::int64_t kEndInPairs = 1200;
  Choice best;
  best.rows = rows_in_pairs(args);
  const std::int64_t tiles = busiest(args, best.rows);
  const int alone = tiles == 1 ? 10 : tiles % 2 == 1 ? 4 : 0;
  best.cost = (10 * tiles + alone) * best.rows * (args.inputs + kEndInPairs);
  for (const int rows : kResidentRows) {
    const std::int64_t cost = std::int64_t{10} * busiest(args, rows) * rows * (args.inputs + kEnd);
    if (cost < best.cost) best = {true, rows, cost};
  }
  return best;
}

template <Element kElement>
void launch(const WholeProductArgs& args, int rows, cudaStream_t stream) {
  switch (rows) {
    case 64:
      return launch<kElement, 64>(args, stream);
    case 96:
      return launch<kElement, 96>(args, stream);
    case 128:
      return launch<kElement, 128>(args, stream);
    default:
      return launch<kElement, 160>(args, stream);
  }
}

}  // namespace

bool has_whole_products() {
  return device_attribute(cudaDevAttrComputeCapabilityMajor) == 9 &&
         device_attribute(cudaDevAttrComputeCapabilityMinor) == 0;
}

void whole_product(const WholeProductArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0 || args.outputs <= 0) return;
  const Choice choice = choice_for(args);
  if (choice.is_resident) return resident_product(args, choice.rows, stream);
  if (args.element == Element::float16) return launch<Element::float16>(args, choice.rows, stream);
  launch<Element::bfloat16>(args, choice.rows, stream);
}

}  // namespace ttsrt::cuda
