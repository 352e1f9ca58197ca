// The product of at most 8 rows with a large weight on tensor cores: out^T = W x^T, with the bits
// of linear_mma.cuh.
//
// Decided: as many thread blocks as there are multiprocessors go through the tiles of 16 outputs. A
// warp has the same slice of K in all of them, so its inputs stay in registers, and its weights
// come through a ring in shared memory that no other warp reads: each lane copies what it will read
// itself, so that it waits for nobody. The ring is filled before the inputs are there, and it is
// kept full across tiles: while one tile's slices are added up, the weights of the next are on
// their way.
//
// A weight is streamed if a warp's slice of a tile fills the warp's part of the ring, 4 KiB, as
// with K of 2048, and there are more tiles than multiprocessors (streams()). On an H200, with 2
// rows, 11264 x 2048 takes 12.0 us instead of 15.9, 32000 x 2048 takes 31.6 us instead of 38.5, and
// 2560 x 2048 takes 4.2 us instead of 4.9. Smaller tiles gain nothing (8192 x 1024, 16192 x 768) or
// lose a third (2304 x 768), and so do weights of which a block has one tile (2048 x 2048: 3.8 us
// instead of 3.7) and those of deeper tiles (2048 x 5632: 7.7 us instead of 6.8).
#pragma once

#include "cuda/check.h"
#include "cuda/kernels/copies.cuh"
#include "cuda/kernels/linear_formats.cuh"
#include "cuda/kernels/linear_products.cuh"

namespace ttsrt::cuda {

constexpr int kStreamWarps = kMaxSlices;
constexpr int kRingDepth = 8;  // units of a warp, 512 bytes each: its slice of one tile
constexpr int kRingUnits = kStreamWarps * kRingDepth;

// A lane's weights: those of its warp's slice in each tile of the block, one unit behind the other.
// Every unit is a group of copies.
struct WeightRing {
  uint4* slots;       // [kRingDepth][32 lanes], this lane's
  const uint4* from;  // the next unit to ask for
  std::int64_t to_next_tile;
  int units, unit, tile, tiles;
  int slot = 0;

  __device__ void start() {
#pragma unroll 1
    for (int i = 0; i < kRingDepth; ++i) {
      ask(i);
      close_copies();
    }
  }

  // Returns the next unit's weights, which take() makes room for.
  __device__ uint4 get() const {
    wait_for_copies<kRingDepth - 1>();
    return slots[slot * kWarp];
  }
  __device__ void take() {
    ask(slot);
    close_copies();
    slot = slot + 1 == kRingDepth ? 0 : slot + 1;
  }

 private:
  __device__ void ask(int to) {
    if (tile >= tiles) return;
    copy_ahead(slots + to * kWarp, from);
    from += kWarp;
    if (++unit < units) return;
    unit = 0;
    tile += static_cast<int>(gridDim.x);
    from += to_next_tile;
  }
};

// The inputs of a slice, as operands; zeros behind the slice and for columns without a row.
template <Format kFormat>
struct SliceInputs {
  using K = Kind<kFormat>;
  uint2 operands[kRingDepth];

  __device__ void load(const LinearArgs& args, int begin, int units) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const bool is_row = lane / 4 < args.max_rows;
    const float* from = args.x + lane / 4 * args.x_stride + begin * K::kStepInputs + lane % 4 * 4;
    float4 raw[kRingDepth];
#pragma unroll
    for (int i = 0; i < kRingDepth; ++i) {
      raw[i] = is_row && i < units ? *reinterpret_cast<const float4*>(from + i * K::kStepInputs)
                                   : float4{};
    }
#pragma unroll
    for (int i = 0; i < kRingDepth; ++i) operands[i] = K::inputs(raw[i]);
  }
};

// The sums of all slices of a tile in shared memory, [slices][rows][kPitch], for two tiles in turn.
struct StreamSums {
  static constexpr int kPitch = kTile + 4;
  float* values;
  int rows;  // even

  __device__ static int size(int slices, int rows) { return slices * rows * kPitch; }

  __device__ void leave(int slice, const float (&sum)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    if (lane % 4 * 2 >= rows) return;
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const int row = slice * rows + lane % 4 * 2 + c % 2;
      values[row * kPitch + lane / 4 + c / 2 * 8] = sum[c];
    }
  }

  __device__ float total(int slices, int row, int output) const {
    float sum = 0.0F;
    for (int s = 0; s < slices; ++s) sum += values[(s * rows + row) * kPitch + output];
    return sum;
  }
};

// The output of a tile that a thread finishes, if it does: with each tile, the work moves on by one
// warp.
struct StreamOutput {
  int row;
  std::int64_t output;
  float bias = 0.0F;
  Residual residual;

  __device__ StreamOutput(const LinearArgs& args, int tile, int turn) {
    const auto threads = static_cast<int>(blockDim.x);
    const int at = (static_cast<int>(threadIdx.x) + turn * (threads - kWarp)) % threads;
    row = at / kTile;
    output = std::int64_t{tile} * kTile + at % kTile;
    if (!is_in(args, args.max_rows)) return;
    if (args.bias != nullptr) bias = args.bias[output];
    residual = load_residual(args, row, output);
  }
  __device__ bool is_in(const LinearArgs& args, int rows) const {
    return row < rows && output < args.weight.outputs;
  }
};

// Grid: thread blocks that share the tiles; a warp for each slice.
template <Format kFormat>
__global__ void __launch_bounds__(kStreamWarps* kWarp, 2)
    stream_product_kernel(const __grid_constant__ ProductArgs args) {
  using K = Kind<kFormat>;
  extern __shared__ uint4 stream_memory[];
  const LinearArgs& linear = args.linear;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int slice = static_cast<int>(threadIdx.x) / kWarp;
  const int begin = min(slice * args.slice, args.units);
  const int units = min(begin + args.slice, args.units) - begin;
  const int tiles = static_cast<int>(ceil_div<std::int64_t>(linear.weight.outputs, kTile));
  const int first_tile = static_cast<int>(blockIdx.x);
  WeightRing ring;
  ring.slots = stream_memory + slice * kRingDepth * kWarp + lane;
  ring.from = static_cast<const uint4*>(linear.weight.data) +
              (std::int64_t{first_tile} * args.units + begin) * kWarp + lane;
  ring.to_next_tile = (std::int64_t{gridDim.x} * args.units - units) * kWarp;
  ring.units = units;
  ring.unit = 0;
  ring.tile = units > 0 ? first_tile : tiles;
  ring.tiles = tiles;
  ring.start();
  wait_for_previous_kernel();
  const int num_rows = *linear.num_rows;
  StreamOutput out(linear, first_tile, 0);
  SliceInputs<kFormat> inputs;
  inputs.load(linear, begin, units);
  StreamSums sums = {reinterpret_cast<float*>(stream_memory + kRingUnits * kWarp),
                     (linear.max_rows + 1) / 2 * 2};
  const int apart = StreamSums::size(kStreamWarps, sums.rows);
  int turn = 0;
  for (int tile = first_tile; tile < tiles; tile += static_cast<int>(gridDim.x)) {
    if (tile != first_tile) out = StreamOutput(linear, tile, turn % kStreamWarps);
    float sum[4] = {};
#pragma unroll
    for (int u = 0; u < kRingDepth; ++u) {
      if (u >= units) break;
      K::multiply(K::weights(ring.get(), 0, {}), inputs.operands[u], sum);
      ring.take();
    }
    sums.leave(slice, sum);
    __syncthreads();
    if (out.is_in(linear, num_rows)) {
      const float total = sums.total(args.slices, out.row, static_cast<int>(out.output % kTile));
      linear.out[out.row * linear.out_stride + out.output] =
          finished(linear, total, out.bias, out.residual);
    }
    sums.values += turn % 2 == 0 ? apart : -apart;
    ++turn;
  }
}

// --- launchers ----------------------------------------------------------------------------------

inline int multiprocessors() {
  int device = 0;
  int count = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device),
        "cudaDeviceGetAttribute");
  return count;
}

// Whether a product is streamed by so many thread blocks. Inputs must be multiples of 4 apart.
inline bool streams(const ProductArgs& args, int blocks) {
  const LinearArgs& linear = args.linear;
  return linear.max_rows <= kColumns && linear.weight.inputs == linear.weight.padded_inputs &&
         args.slices == kStreamWarps && args.slice == kRingDepth &&
         ceil_div<std::int64_t>(linear.weight.outputs, kTile) > blocks;
}

// Launches a product if it is one that is streamed; returns whether it did.
template <Format kFormat>
bool stream_product(const ProductArgs& args, cudaStream_t stream) {
  if constexpr (kFormat != Format::bfloat16 && kFormat != Format::float16) {
    return false;
  } else {
    const int blocks = multiprocessors();
    if (!streams(args, blocks)) return false;
    const auto kernel = &stream_product_kernel<kFormat>;
    const int rows = (args.linear.max_rows + 1) / 2 * 2;
    const auto bytes =
        static_cast<int>(kRingUnits * kWarp * sizeof(uint4) +
                         2 * kStreamWarps * rows * StreamSums::kPitch * sizeof(float));
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
          "shared memory of a product");
    launch_early(kernel, static_cast<unsigned>(blocks), kStreamWarps * kWarp,
                 static_cast<std::size_t>(bytes), stream, args);
    check_launch("stream_product_kernel");
    return true;
  }
}

}  // namespace ttsrt::cuda
