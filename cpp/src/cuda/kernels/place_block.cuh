// What a block of pick_places.cu that has weights works with: its shared memory, the copy of its
// tiles to there, and products with them.
//
// A product is that of linear_mma.cuh: a warp has a slice of K of a tile, and the sums of the
// slices are added in order. So its bits are those of linear() at any number of rows.
#pragma once

#include "cuda/kernels/linear_formats.cuh"
#include "cuda/kernels/linear_products.cuh"
#include "cuda/kernels/place_attention.cuh"
#include "cuda/kernels/tagged.cuh"
#include "cuda/places.h"

namespace ttsrt::cuda {

constexpr int kPlaceThreads = kPlaceWarps * kWarp;
constexpr int kPartialPitch = kTile + 4;  // of a row, without conflicts
constexpr int kPartialBytes = kPlaceWarps * kMostPlaceRows * kPartialPitch * 4;
static_assert(kPlaceWarps == kMaxSlices && kMostPlaceRows == kColumns);

// Inputs of a warp: those of column g = lane / 4, as the B operand of each of its fragments.
struct PlaceInputs {
  uint2 of[kMostPlaceUnits];
};

// --- shared memory ------------------------------------------------------------------------------

// Where a block's parts of shared memory begin, behind its weights.
struct PlaceRoom {
  std::byte* weights = nullptr;
  float* partial = nullptr;  // [warps, rows, kPartialPitch]; before that, sums of norms and inputs
  std::byte* attention = nullptr;
  std::uint64_t* arrivals = nullptr;  // [tiles]
  PlaceTile* tiles = nullptr;
  std::int32_t* begins = nullptr;     // [phases + 1]
  std::int32_t* pick_of = nullptr;    // [rows]
  std::int32_t* source_of = nullptr;  // [rows]

  __device__ static PlaceRoom of(std::byte* shared, const PlacesArgs& args, int head_dims) {
    PlaceRoom room;
    room.weights = shared;
    room.partial = reinterpret_cast<float*>(shared + args.weight_bytes);
    room.attention = shared + args.weight_bytes + kPartialBytes;
    room.arrivals = reinterpret_cast<std::uint64_t*>(room.attention + 3 * head_dims * 4);
    room.tiles = reinterpret_cast<PlaceTile*>(room.arrivals + args.most_tiles);
    room.begins = reinterpret_cast<std::int32_t*>(room.tiles + args.most_tiles);
    room.pick_of = room.begins + args.num_layers * kPlacePhases + 1;
    room.source_of = room.pick_of + kMostPlaceRows;
    return room;
  }
};

__device__ inline std::uint32_t shared_address(const void* at) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(at));
}

// --- weights ------------------------------------------------------------------------------------

// Waits until a tile has arrived.
__device__ inline void await_tile(const PlaceRoom& room, int tile) {
  std::uint32_t has_come = 0;
  do {
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0;"
        " selp.u32 %0, 1, 0, p; }"
        : "=r"(has_come)
        : "r"(shared_address(room.arrivals + tile))
        : "memory");
  } while (has_come == 0);
}

// Has one thread ask for a tile.
__device__ inline void copy_tile(const PlaceRoom& room, int index, const PlaceProduct& product) {
  const PlaceTile tile = room.tiles[index];
  const std::uint32_t bytes = static_cast<std::uint32_t>(product.units) * kFragmentBytes;
  const std::uint32_t arrival = shared_address(room.arrivals + index);
  const std::byte* from =
      static_cast<const std::byte*>(product.data) + static_cast<std::int64_t>(tile.tile) * bytes;
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(arrival), "r"(bytes)
               : "memory");
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(room.weights + tile.offset)),
      "l"(from), "r"(bytes), "r"(arrival)
      : "memory");
}

// Reads what this block's tiles are and asks for them; all threads call it.
__device__ inline void load_tiles(const PlacesArgs& args, const PlaceRoom& room) {
  const int phases = args.num_layers * kPlacePhases;
  const auto block = static_cast<std::int64_t>(blockIdx.x);
  for (int i = static_cast<int>(threadIdx.x); i <= phases; i += kPlaceThreads)
    room.begins[i] = args.tile_begins[block * (phases + 1) + i];
  for (int i = static_cast<int>(threadIdx.x); i < args.most_tiles; i += kPlaceThreads) {
    room.tiles[i] = args.tiles[block * args.most_tiles + i];
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(room.arrivals + i)));
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int phase = 0; phase < phases; ++phase) {
    for (int i = room.begins[phase]; i < room.begins[phase + 1]; ++i)
      copy_tile(room, i, args.layers[phase / kPlacePhases].products[phase % kPlacePhases]);
  }
}

// --- products -----------------------------------------------------------------------------------

// Keeps a value in a register, where the compiler would load the constant again behind a wait.
__device__ __forceinline__ int pinned(int value) {
  asm volatile("" : "+r"(value));
  return value;
}
__device__ __forceinline__ float pinned(float value) {
  asm volatile("" : "+f"(value));
  return value;
}

// The part of a product that a warp has.
struct PlaceSlice {
  int slot = 0;      // which of the tiles that are multiplied together
  int first = 0;     // fragment
  int count = 0;     // fragments
  int together = 1;  // tiles

  __device__ static PlaceSlice of(const PlaceProduct& product) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int bits = 31 - __clz(product.slices);  // a power of two
    PlaceSlice of;
    of.together = kPlaceWarps >> bits;
    of.slot = warp >> bits;
    of.first = min((warp & (product.slices - 1)) * product.slice, product.units);
    of.count = min(product.slice, product.units - of.first);
    return of;
  }
};

// The output that a thread adds up: threads are in the order of slots, rows, and outputs of a tile.
struct PlaceCell {
  int slot = 0;
  int row = 0;
  int at = 0;  // in the tile

  __device__ static PlaceCell of(int rows) {
    const int i = static_cast<int>(threadIdx.x);
    return {i / (rows * kTile), i / kTile % rows, i % kTile};
  }
};

__device__ inline void multiply_place(const uint4& weights, uint2 inputs, float (&sums)[4]) {
  using K = Kind<Format::bfloat16>;
  K::multiply(K::weights(weights, 0, {}), inputs, sums);
}

// Multiplies a warp's fragments: several are loaded before the first is used.
__device__ __forceinline__ void multiply_fragments(const uint4* weights, int count,
                                                   const PlaceInputs& inputs, float (&sums)[4]) {
  constexpr int kBatch = 6;
#pragma unroll
  for (int first = 0; first < kMostPlaceUnits; first += kBatch) {
    if (first >= count) break;
    uint4 loaded[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; ++i)
      loaded[i] = first + i < count ? weights[(first + i) * kWarp] : uint4{};
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      if (first + i < count) multiply_place(loaded[i], inputs.of[first + i], sums);
    }
  }
}

__device__ inline void write_partial(const PlaceRoom& room, int rows, const float (&sums)[4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int row = lane % 4 * 2;
  float* to = room.partial + (warp * rows + row) * kPartialPitch + lane / 4;
  if (row < rows) {
    to[0] = sums[0];
    to[8] = sums[2];
  }
  if (row + 1 < rows) {
    to[kPartialPitch] = sums[1];
    to[kPartialPitch + 8] = sums[3];
  }
}

// Returns the sum of an output over the slices.
__device__ __forceinline__ float add_up(const PlaceRoom& room, int slices, int rows,
                                        const PlaceCell& cell) {
  constexpr int kBatch = 4;                // slices are a multiple
  const int pitch = rows * kPartialPitch;  // from slice to slice
  const float* from =
      room.partial + cell.slot * slices * pitch + cell.row * kPartialPitch + cell.at;
  float total = 0.0F;
#pragma unroll 1
  for (int s = 0; s < slices; s += kBatch, from += kBatch * pitch) {
    float parts[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; ++i) parts[i] = from[i * pitch];
#pragma unroll
    for (int i = 0; i < kBatch; ++i) total = __fadd_rn(total, parts[i]);
  }
  return total;
}

}  // namespace ttsrt::cuda
