// Products of many rows of whole items on Hopper: out^T = W x^T by products of warpgroups, in
// persistent thread blocks, one on each multiprocessor, which take one tile after the other.
//
// A tile has 128 outputs and kRows rows. One thread of a third warpgroup loads boxes of weights and
// of x, 64 inputs at a time, into a ring of stages that goes on from tile to tile; two warpgroups
// multiply them, each for 64 of the outputs. Sums pass through shared memory of their own in
// pieces, so that the epilogue (bias, activation, gate, rope) sees rows and reads and writes whole
// lines; it prefetches what it reads by one piece of rows. Weights of the first stages are loaded
// before the previous kernel has finished.
#include <algorithm>

#include "cuda/check.h"
#include "cuda/kernels/wgmma.cuh"
#include "cuda/kernels/whole_product.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kGroups = 2;  // warpgroups that multiply
constexpr int kGroupWarps = kGroupThreads / kWarp;
constexpr int kThreads = (kGroups + 1) * kGroupThreads;  // the last warpgroup loads
constexpr int kSharedBytes = 227 * 1024;
constexpr int kStaticBytes = 4096;  // at most
// Of 65,536 registers, each thread of the warpgroup that loads, and of the others.
constexpr int kLoadRegisters = 40;
constexpr int kMultiplyRegisters = 232;
// The epilogue has so many rows of a warpgroup at a time, in two buffers; the pitch avoids bank
// conflicts.
constexpr int kPieceRows = 32;
constexpr int kPitch = kGroupOutputs + 4;
constexpr int kPieceFloats = kPieceRows * kPitch;
constexpr int kEndBytes = kGroups * 2 * kPieceFloats * static_cast<int>(sizeof(float));

// --- shapes -------------------------------------------------------------------------------------

template <int kRows>
struct Shape {
  static constexpr int kMap = kRows == kResidentRows[0] ? 0 : 1;
  static_assert(kRows == kResidentRows[kMap]);
  static constexpr int kWeightBytes = kOutputs * kBoxRowBytes;
  static constexpr int kStageBytes = kWeightBytes + kRows * kBoxRowBytes;
  static constexpr int kStages =
      (kSharedBytes - kSwizzleBytes - kStaticBytes - kEndBytes) / kStageBytes;
  static constexpr int kBytes = kStages * kStageBytes + kEndBytes + kSwizzleBytes;
  static_assert(kStages >= 3 && kRows % kPieceRows == 0 && kRows <= 256);
};

template <int kRows>
struct Site {
  using S = Shape<kRows>;
  const WholeProductArgs& args;
  std::byte* memory;  // stages, then pieces of sums
  Barrier* full;      // [stages] boxes have come
  Barrier* empty;     // [stages] all warps have multiplied them
  int blocks;         // of 64 inputs
  int num_rows;

  __device__ std::byte* stage(int index) const { return memory + index * S::kStageBytes; }
};

__host__ __device__ int num_tiles(const WholeProductArgs& args, int rows) {
  return ceil_div(args.outputs, kOutputs) * ceil_div(args.max_rows, rows);
}

// Tiles next to each other have the same rows.
struct Tile {
  int row, output;  // the first

  __device__ static Tile of(const WholeProductArgs& args, int rows, int index) {
    const int columns = ceil_div(args.outputs, kOutputs);
    return {index / columns * rows, index % columns * kOutputs};
  }
  // Whether nobody needs its rows (step::Segment::settled_rows).
  template <int kRows>
  __device__ bool is_idle(const Site<kRows>& site) const {
    if (row >= site.num_rows) return true;
    const int end = min(row + kRows, site.num_rows);
    return site.args.leaves_settled && site.args.rows.settled_end[row] >= end;
  }
};

// --- loads --------------------------------------------------------------------------------------

template <int kRows>
__device__ __forceinline__ void load_weights(const Site<kRows>& site, const Tile& tile, int stage,
                                             int block) {
  arrive_and_expect(site.full[stage], Shape<kRows>::kStageBytes);
  load_box(site.stage(stage), site.args.weights, block * kBoxColumns, tile.output,
           site.full[stage]);
}

template <int kRows>
__device__ __forceinline__ void load_rows(const Site<kRows>& site, const Tile& tile, int stage,
                                          int block) {
  load_box(site.stage(stage) + Shape<kRows>::kWeightBytes, site.args.resident_x[Shape<kRows>::kMap],
           block * kBoxColumns, tile.row, site.full[stage]);
}

// Loads all boxes of all tiles of the block, by one thread.
template <int kRows>
__device__ void load_all(const Site<kRows>& site, int tiles) {
  constexpr int kStages = Shape<kRows>::kStages;
  Ring<kStages> ring;
  bool is_first = true;
  for (auto index = static_cast<int>(blockIdx.x); index < tiles;
       index += static_cast<int>(gridDim.x)) {
    const Tile tile = Tile::of(site.args, kRows, index);
    if (tile.is_idle(site)) continue;
    int block = 0;
    if (is_first) {  // no stage has been used yet
      const int ahead = min(site.blocks, kStages);
      for (int i = 0; i < ahead; ++i) load_weights(site, tile, i, i);
      wait_for_previous_kernel();
      for (; block < ahead; ++block, ring.advance()) load_rows(site, tile, block, block);
      is_first = false;
    }
    for (; block < site.blocks; ++block, ring.advance()) {
      await(site.empty[ring.stage], ring.parity ^ 1);
      load_weights(site, tile, ring.stage, block);
      load_rows(site, tile, ring.stage, block);
    }
  }
}

// --- products -----------------------------------------------------------------------------------

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Says that a warp has multiplied a stage.
template <int kRows>
__device__ __forceinline__ void release(const Site<kRows>& site, int stage) {
  if (threadIdx.x % kWarp == 0) arrive(site.empty[stage]);
}

// Multiplies all blocks of inputs in order.
template <Element kElement, int kRows>
__device__ __forceinline__ void multiply_blocks(const Site<kRows>& site,
                                                Ring<Shape<kRows>::kStages>& ring,
                                                float (&sums)[kRows / 2]) {
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads;
  int before = 0;
  for (int block = 0; block < site.blocks; ++block) {
    await(site.full[ring.stage], ring.parity);
    const std::uint32_t at = shared_address(site.stage(ring.stage));
    const std::uint64_t weights = operand_at(at + group * kGroupOutputs * kBoxRowBytes);
    const std::uint64_t rows = operand_at(at + Shape<kRows>::kWeightBytes);
    begin_products();
#pragma unroll
    for (int k = 0; k < kBoxColumns / 16; ++k) {
      Wgmma<kElement, kRows>::multiply(sums, weights + 2 * k, rows + 2 * k, block + k > 0 ? 1 : 0);
    }
    commit_products();
    await_products<1>();
    if (block > 0) release(site, before);
    before = ring.stage;
    ring.advance();
  }
  await_products<0>();
  release(site, before);
}
#endif

// --- epilogue -----------------------------------------------------------------------------------

// The epilogue of a warpgroup's sums: pieces of rows go through shared memory; a warp then has
// whole parts of rows, a lane four outputs of each.
template <int kRows>
struct End {
  static constexpr int kLanes = kGroupOutputs / kQuad;  // of a row
  static constexpr int kPassRows = kWarp / kLanes;
  static constexpr int kPasses = kPieceRows / (kPassRows * kGroupWarps);
  static constexpr int kPieces = kRows / kPieceRows;
  static_assert(kPasses * kPassRows * kGroupWarps == kPieceRows);

  const Site<kRows>& site;
  const Tile& tile;
  const int* places;  // [rows of the tile]
  float* pieces;      // two
  Quad quad;

  __device__ End(const Site<kRows>& s, const Tile& t, const int* of_rows)
      : site(s),
        tile(t),
        places(of_rows),
        pieces(reinterpret_cast<float*>(s.stage(Shape<kRows>::kStages)) +
               threadIdx.x / kGroupThreads * 2 * kPieceFloats),
        quad(s.args, t.output + static_cast<int>(threadIdx.x) / kGroupThreads * kGroupOutputs +
                         static_cast<int>(threadIdx.x) % kLanes * kQuad) {}

  // A lane's row of a piece.
  __device__ static int row_of(int pass) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp % kGroupWarps;
    return (warp * kPasses + pass) * kPassRows + static_cast<int>(threadIdx.x) % kWarp / kLanes;
  }

  __device__ __forceinline__ Reads read(int piece, int pass) const {
    const int r = piece * kPieceRows + row_of(pass);
    return tile.row + r < site.num_rows ? quad.read(tile.row + r, places[r]) : Reads{};
  }

  // Leaves a piece of the sums as rows of outputs.
  __device__ __forceinline__ void spread(int piece, const float (&sums)[kRows / 2]) const {
    const auto lane = static_cast<int>(threadIdx.x) % kWarp;
    const int output = static_cast<int>(threadIdx.x) / kWarp % kGroupWarps * 16 + lane / 4;
    float* to = pieces + piece % 2 * kPieceFloats + lane % 4 * 2 * kPitch + output;
#pragma unroll
    for (int each = 0; each < kPieces; ++each) {
      if (each != piece) continue;  // registers cannot be indexed at run time
#pragma unroll
      for (int i = 0; i < kPieceRows / 2; ++i)
        to[(i / 4 * 8 + i % 2) * kPitch + i % 4 / 2 * 8] = sums[each * (kPieceRows / 2) + i];
    }
  }

  // Runs the epilogue of a piece of rows, and reads for the next one.
  __device__ __forceinline__ void store(int piece, Reads (&reads)[kPasses]) const {
    const float* from =
        pieces + piece % 2 * kPieceFloats + static_cast<int>(threadIdx.x) % kLanes * kQuad;
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const int r = row_of(pass);
      const std::int64_t row = tile.row + piece * kPieceRows + r;
      const float4 sum = *reinterpret_cast<const float4*>(from + r * kPitch);
      quad.end(row, row < site.num_rows, sum, reads[pass]);
      if (piece + 1 < kPieces) reads[pass] = read(piece + 1, pass);
    }
  }

  __device__ __forceinline__ void run(const float (&sums)[kRows / 2],
                                      Reads (&reads)[kPasses]) const {
#pragma unroll 1
    for (int piece = 0; piece < kPieces; ++piece) {
      spread(piece, sums);
      sync_group_of_two();
      store(piece, reads);
    }
    sync_group_of_two();  // before the next tile's pieces and places
  }
};

// Finds place_of() of a tile's rows, in shared memory of the warpgroup.
template <int kRows>
__device__ __forceinline__ void find_places(const Site<kRows>& site, const Tile& tile,
                                            int* places) {
  if (site.args.end == ProductEnd::store) return;
  for (int r = static_cast<int>(threadIdx.x) % kGroupThreads; r < kRows; r += kGroupThreads)
    places[r] = tile.row + r < site.num_rows ? place_of(site.args, tile.row + r) : 0;
  sync_group_of_two();
}

// --- kernels ------------------------------------------------------------------------------------

// Grid: one block for each multiprocessor, or for each tile if there are fewer.
template <Element kElement, int kRows>
__global__ void __launch_bounds__(kThreads, 1)
    resident_product_kernel(const __grid_constant__ WholeProductArgs args) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr int kStages = Shape<kRows>::kStages;
  extern __shared__ std::byte product_memory[];
  __shared__ Barrier full[kStages];
  __shared__ Barrier empty[kStages];
  __shared__ int places[kGroups][kRows];
  const Site<kRows> site = {
      args,  first_box(product_memory),          full,
      empty, ceil_div(args.inputs, kBoxColumns), count_of(args.rows, Count::rows)};
  let_next_kernel_start();
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      init_barrier(full[stage], 1);
      init_barrier(empty[stage], kGroups * kGroupWarps);
    }
    publish_barriers();
  }
  __syncthreads();
  const int tiles = num_tiles(args, kRows);
  if (threadIdx.x >= kGroups * kGroupThreads) {
    give_registers<kLoadRegisters>();
    if (threadIdx.x == kGroups * kGroupThreads) load_all(site, tiles);
    __syncwarp();
  } else {
    take_registers<kMultiplyRegisters>();
    Ring<kStages> ring;
    int* mine = places[threadIdx.x / kGroupThreads];
    for (auto index = static_cast<int>(blockIdx.x); index < tiles;
         index += static_cast<int>(gridDim.x)) {
      const Tile tile = Tile::of(args, kRows, index);
      if (tile.is_idle(site)) continue;
      find_places(site, tile, mine);
      wait_for_previous_kernel();
      const End<kRows> end(site, tile, mine);
      Reads reads[End<kRows>::kPasses];
#pragma unroll
      for (int pass = 0; pass < End<kRows>::kPasses; ++pass) reads[pass] = end.read(0, pass);
      float sums[kRows / 2];
      multiply_blocks<kElement>(site, ring, sums);
      end.run(sums, reads);
    }
  }
  wait_for_previous_kernel();
#endif
}

// --- launchers ----------------------------------------------------------------------------------

template <Element kElement, int kRows>
void launch(const WholeProductArgs& args, cudaStream_t stream) {
  using S = Shape<kRows>;
  auto* kernel = &resident_product_kernel<kElement, kRows>;
  const auto* function = reinterpret_cast<const void*>(kernel);
  check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, S::kBytes),
        "shared memory of a product");
  const int blocks =
      std::min(num_tiles(args, kRows), device_attribute(cudaDevAttrMultiProcessorCount));
  launch_early(kernel, static_cast<unsigned>(blocks), kThreads, S::kBytes, stream, args);
  check_launch("resident_product");
}

template <Element kElement>
void launch(const WholeProductArgs& args, int rows, cudaStream_t stream) {
  if (rows == kResidentRows[0]) return launch<kElement, kResidentRows[0]>(args, stream);
  launch<kElement, kResidentRows[1]>(args, stream);
}

}  // namespace

void resident_product(const WholeProductArgs& args, std::int32_t rows, cudaStream_t stream) {
  if (args.element == Element::float16) return launch<Element::float16>(args, rows, stream);
  launch<Element::bfloat16>(args, rows, stream);
}

}  // namespace ttsrt::cuda
