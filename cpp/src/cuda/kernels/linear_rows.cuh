// The product of more than 16 rows with a bfloat16 or float16 weight on tensor cores: out^T = W
// x^T, with the bits of linear_mma.cuh.
//
// Decided: products of many rows are bound by the latency of loads, because the accumulators leave
// a warp no registers in which to prefetch operands. So weights and inputs come through a ring
// buffer in shared memory, into which each lane copies what it will read itself (cp.async). As in
// linear_mma.cuh, the warps of a block have the slices of K of the same tiles. At the end each warp
// overwrites its ring with its sums, and the sums are added in the order of slices.
//
// On an H200, without the ring and with it (docs/gpu.md has the tables): 1024 x 4096 and 64 rows
// 11.9 and 9.1 us, 3072 x 1024 and 64 rows 9.9 and 6.7 us, 3072 x 768 and 128 rows 9.5 and 7.7 us.
#pragma once

#include "cuda/check.h"
#include "cuda/kernels/copies.cuh"
#include "cuda/kernels/linear_formats.cuh"
#include "cuda/kernels/linear_products.cuh"

namespace ttsrt::cuda {

// A block's share of a product: kTiles tiles of outputs and kGroups groups of 8 rows; each warp
// prefetches kDepth units.
template <int kTiles, int kDepth>
struct RowsShape {
  static constexpr int kGroups = 4;
  static constexpr int kRows = kGroups * kColumns;
  static constexpr int kOutputs = kTiles * kTile;
  static constexpr int kPitch = kOutputs + 4;  // of a row's sums, without conflicts
  static constexpr int kUnitWords = (kTiles + kGroups) * kWarp;  // of 16 bytes
  static constexpr int kRingBytes = kDepth * kUnitWords * 16;
  static constexpr int kSumBytes = kRows * kPitch * static_cast<int>(sizeof(float));
  static constexpr int kWarpBytes = kRingBytes > kSumBytes ? kRingBytes : kSumBytes;
};

// Where a thread is: its block's tiles and rows, and its warp's slice of K.
struct RowsPlace {
  int lane, slice, first_tile, first_row;
  int begin, units;  // of the slice

  __device__ RowsPlace(const ProductArgs& args, int tiles, int rows) {
    lane = static_cast<int>(threadIdx.x) % kWarp;
    slice = static_cast<int>(threadIdx.x) / kWarp;
    first_tile = static_cast<int>(blockIdx.x) * tiles;
    first_row = static_cast<int>(blockIdx.y) * rows;
    begin = min(slice * args.slice, args.units);
    units = min(begin + args.slice, args.units) - begin;
  }
};

// A lane's operands of the units of its warp's slice.
template <Format kFormat, int kTiles, int kDepth>
struct OperandRing {
  using K = Kind<kFormat>;
  using Shape = RowsShape<kTiles, kDepth>;
  uint4* words;          // [kDepth][tiles, then groups][32 lanes], this lane's
  const uint4* weights;  // of the slice's first unit
  const float* inputs;
  std::int64_t next_tile, next_group;
  int tiles, groups;  // that there are
  int units;

  __device__ OperandRing(const ProductArgs& args, const RowsPlace& place, uint4* memory) {
    const LinearArgs& linear = args.linear;
    words = memory + place.slice * (Shape::kWarpBytes / 16) + place.lane;
    weights = static_cast<const uint4*>(linear.weight.data) +
              (std::int64_t{place.first_tile} * args.units + place.begin) * kWarp + place.lane;
    inputs = linear.x + (place.first_row + place.lane / 4) * linear.x_stride +
             place.begin * K::kStepInputs + place.lane % 4 * 4;
    next_tile = std::int64_t{args.units} * kWarp;
    next_group = kColumns * linear.x_stride;
    tiles =
        static_cast<int>(ceil_div<std::int64_t>(linear.weight.outputs, kTile)) - place.first_tile;
    groups = ceil_div(linear.max_rows - place.first_row - place.lane / 4, kColumns);
    units = place.units;
  }

  __device__ void ask_weights(int slot, int unit) const {
    if (unit >= units) return;
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
      if (m < tiles) copy_ahead(at(slot, m), weights + m * next_tile + unit * kWarp);
  }
  __device__ void ask_inputs(int slot, int unit) const {
    if (unit >= units) return;
#pragma unroll
    for (int n = 0; n < Shape::kGroups; ++n)
      if (n < groups)
        copy_ahead(at(slot, kTiles + n), inputs + n * next_group + unit * K::kStepInputs);
  }
  // Rows and tiles that do not exist were not copied: whatever shared memory holds for them reaches
  // no other row's or tile's sums.
  __device__ void multiply(int slot, float (&sums)[kTiles][Shape::kGroups][4]) const {
    uint4 fragments[kTiles];
    uint2 x[Shape::kGroups];
#pragma unroll
    for (int m = 0; m < kTiles; ++m) fragments[m] = *at(slot, m);
#pragma unroll
    for (int n = 0; n < Shape::kGroups; ++n)
      x[n] = K::inputs(reinterpret_cast<const float4&>(*at(slot, kTiles + n)));
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
#pragma unroll
      for (int n = 0; n < Shape::kGroups; ++n)
        K::multiply(K::weights(fragments[m], 0, {}), x[n], sums[m][n]);
    }
  }

 private:
  __device__ uint4* at(int slot, int operand) const {
    return words + slot * Shape::kUnitWords + operand * kWarp;
  }
};

// The outputs that a thread finishes: one of the block's outputs, of every kApart-th row.
template <typename Shape, int kSlices>
struct OwnOutputs {
  static constexpr int kThreads = kSlices * kWarp;
  static constexpr int kCount = Shape::kOutputs * Shape::kRows / kThreads;
  static constexpr int kApart = kThreads / Shape::kOutputs;
  static constexpr int kWarpFloats = Shape::kWarpBytes / static_cast<int>(sizeof(float));
  int first_row, column;  // in the block
  std::int64_t output;
  bool is_there;
  float bias = 0.0F;
  Residual residuals[kCount];

  __device__ OwnOutputs(const LinearArgs& args, const RowsPlace& place) {
    first_row = static_cast<int>(threadIdx.x) / Shape::kOutputs;
    column = static_cast<int>(threadIdx.x) % Shape::kOutputs;
    output = place.first_tile * kTile + column;
    is_there = output < args.weight.outputs;
    if (args.bias != nullptr && is_there) bias = args.bias[output];
  }

  __device__ void load(const LinearArgs& args, const RowsPlace& place, int num_rows) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int row = first_row + i * kApart;
      if (row < num_rows) residuals[i] = load_residual(args, place.first_row + row, output);
    }
  }

  // Adds the sums of all slices, `partial` [kSlices][kWarpFloats], and writes the outputs.
  __device__ void finish(const LinearArgs& args, const RowsPlace& place, int num_rows,
                         const float* partial) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int row = first_row + i * kApart;
      if (row >= num_rows || !is_there) continue;
      const float* from = partial + row * Shape::kPitch + column;
      float total = 0.0F;
#pragma unroll
      for (int s = 0; s < kSlices; ++s) total += from[s * kWarpFloats];
      args.out[(place.first_row + row) * args.out_stride + output] =
          finished(args, total, bias, residuals[i]);
    }
  }
};

// Leaves a warp's sums in its part of the shared memory, [rows][kPitch].
template <typename Shape, int kTiles>
__device__ void leave_sums(const float (&sums)[kTiles][Shape::kGroups][4], int lane, float* mine) {
#pragma unroll
  for (int m = 0; m < kTiles; ++m) {
#pragma unroll
    for (int n = 0; n < Shape::kGroups; ++n) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int row = n * kColumns + lane % 4 * 2 + c % 2;
        mine[row * Shape::kPitch + m * kTile + lane / 4 + c / 2 * 8] = sums[m][n][c];
      }
    }
  }
}

// Grid: tiles of outputs, tiles of rows; a warp for each slice.
template <Format kFormat, int kTiles, int kDepth, int kSlices>
__global__ void __launch_bounds__(kSlices* kWarp)
    rows_product_kernel(const __grid_constant__ ProductArgs args) {
  using Shape = RowsShape<kTiles, kDepth>;
  using Own = OwnOutputs<Shape, kSlices>;
  extern __shared__ uint4 rows_memory[];
  const RowsPlace place(args, kTiles, Shape::kRows);
  const OperandRing<kFormat, kTiles, kDepth> ring(args, place, rows_memory);
#pragma unroll
  for (int u = 0; u < kDepth; ++u) ring.ask_weights(u, u);
  Own own(args.linear, place);

  wait_for_previous_kernel();
  const int num_rows = *args.linear.num_rows - place.first_row;
  if (num_rows <= 0) {  // weights are still on their way
    close_copies();
    wait_for_copies<0>();
    return;
  }
#pragma unroll
  for (int u = 0; u < kDepth; ++u) {
    ring.ask_inputs(u, u);
    close_copies();
  }
  own.load(args.linear, place, num_rows);
  float sums[kTiles][Shape::kGroups][4] = {};
  int slot = 0;
  for (int unit = 0; unit < ring.units; ++unit) {
    wait_for_copies<kDepth - 1>();
    ring.multiply(slot, sums);
    ring.ask_weights(slot, unit + kDepth);
    ring.ask_inputs(slot, unit + kDepth);
    close_copies();
    slot = slot + 1 == kDepth ? 0 : slot + 1;
  }

  __syncwarp();  // all lanes have read the ring, which the sums overwrite
  auto* const partial = reinterpret_cast<float*>(rows_memory);
  leave_sums<Shape>(sums, place.lane, partial + place.slice * Own::kWarpFloats);
  __syncthreads();
  own.finish(args.linear, place, num_rows, partial);
}

// --- launchers ----------------------------------------------------------------------------------

template <Format kFormat, int kTiles, int kDepth, int kSlices>
bool launch_rows(const ProductArgs& args, cudaStream_t stream) {
  using Shape = RowsShape<kTiles, kDepth>;
  constexpr int kBytes = kSlices * Shape::kWarpBytes;
  const auto kernel = &rows_product_kernel<kFormat, kTiles, kDepth, kSlices>;
  if (!has_shared_memory(kBytes)) return false;
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
        "shared memory of a product");
  const auto blocks =
      static_cast<unsigned>(ceil_div<std::int64_t>(args.linear.weight.outputs, Shape::kOutputs));
  const auto row_blocks = static_cast<unsigned>(ceil_div(args.linear.max_rows, Shape::kRows));
  launch_early(kernel, dim3(blocks, row_blocks), kSlices * kWarp, kBytes, stream, args);
  check_launch("rows_product_kernel");
  return true;
}

// Launches a product if these kernels take it; returns whether they do. Rows of inputs must be
// aligned to 16 bytes. A block has more tiles where there are enough blocks, which reads inputs
// less often. With 8 slices, rings are deep if all blocks run at once, and else small enough for
// two blocks to share a multiprocessor.
template <Format kFormat>
bool rows_product(const ProductArgs& args, cudaStream_t stream) {
  if constexpr (kFormat != Format::bfloat16 && kFormat != Format::float16) {
    return false;
  } else {
    constexpr std::int64_t kAtOnce = kMultiprocessors;
    constexpr std::int64_t kManyBlocks = 128;  // to have four tiles each
    const LinearArgs& linear = args.linear;
    if (linear.max_rows <= 2 * kColumns || linear.weight.inputs != linear.weight.padded_inputs)
      return false;
    const std::int64_t tiles = ceil_div<std::int64_t>(linear.weight.outputs, kTile);
    const std::int64_t row_blocks = ceil_div(linear.max_rows, RowsShape<1, 1>::kRows);
    const auto blocks = [&](std::int64_t each) { return ceil_div(tiles, each) * row_blocks; };
    switch (args.slices) {
      case 4:
        if (blocks(2) >= kEnoughBlocks) return launch_rows<kFormat, 2, 4, 4>(args, stream);
        return launch_rows<kFormat, 1, 8, 4>(args, stream);
      case 8:
        if (blocks(4) > kAtOnce) return launch_rows<kFormat, 4, 3, 8>(args, stream);
        if (blocks(4) >= kManyBlocks) return launch_rows<kFormat, 4, 6, 8>(args, stream);
        if (blocks(2) > kAtOnce) return launch_rows<kFormat, 2, 4, 8>(args, stream);
        if (blocks(2) >= kEnoughBlocks) return launch_rows<kFormat, 2, 8, 8>(args, stream);
        if (blocks(1) > kAtOnce) return launch_rows<kFormat, 1, 5, 8>(args, stream);
        return launch_rows<kFormat, 1, 8, 8>(args, stream);
      case 16:
        if (blocks(4) >= kManyBlocks) return launch_rows<kFormat, 4, 3, 16>(args, stream);
        if (blocks(2) >= kEnoughBlocks) return launch_rows<kFormat, 2, 4, 16>(args, stream);
        return launch_rows<kFormat, 1, 4, 16>(args, stream);
      default:
        return false;
    }
  }
}

}  // namespace ttsrt::cuda
