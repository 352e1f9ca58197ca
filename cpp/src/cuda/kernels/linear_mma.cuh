// The product of rows with a weight on tensor cores: out^T = W x^T.
//
// A warp has one or more tiles of 16 outputs and a slice of K; the warps of a block have the slices
// of the same tiles. Their sums are added in the order of the slices, through shared memory. Slices
// are cut by the weight's size and format alone, so that an output is summed in one order whatever
// the number of rows. The number of rows only decides how many tiles (kTiles) and groups of 8 rows
// (kGroups) a warp works on: more of both read weights and inputs less often.
#pragma once

#include <type_traits>

#include "cuda/check.h"
#include "cuda/kernels/linear_products.cuh"
#include "cuda/kernels/linear_rows.cuh"
#include "cuda/kernels/linear_stream.cuh"
#include "cuda/kernels/linear_warp.cuh"

namespace ttsrt::cuda {

// What a thread needs of its output before the sums are there.
struct OutputConstants {
  float bias = 0.0F;
  float scale = 1.0F;
};

template <Format kFormat>
__device__ OutputConstants load_output_constants(const LinearArgs& args, std::int64_t output) {
  OutputConstants constants;
  if (output >= args.weight.outputs) return constants;
  if (args.bias != nullptr) constants.bias = args.bias[output];
  if constexpr (kFormat == Format::w8a16 || kFormat == Format::w8a8)
    constants.scale = static_cast<const float*>(args.weight.scales)[output];
  return constants;
}

// Adds the sums of all slices and writes the outputs. With one tile and one group of rows, a thread
// has one output at most, of which the caller loaded the residual. In shared memory, sums are
// [slices][8 rows][kPitch], one group of rows at a time.
template <Format kFormat, int kGroups, int kTiles, bool kGuarded>
__device__ __forceinline__ void combine_slices(
    const Product<kFormat, kGroups, kTiles, kGuarded>& product, const OutputConstants& constants,
    Residual residual, std::uint32_t* shared) {
  using P = Product<kFormat, kGroups, kTiles, kGuarded>;
  using Sum = typename P::K::Sum;
  using Partial = std::conditional_t<P::K::kHasGroups, float, Sum>;
  constexpr int kOutputs = kTiles * kTile;
  const LinearArgs& args = product.args.linear;
  auto* partial = reinterpret_cast<Partial*>(shared);
  Partial* mine = partial + product.slice * kColumns * P::kPitch;
#pragma unroll
  for (int n = 0; n < kGroups; ++n) {
    if (n > 0) __syncthreads();
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int row = product.lane % 4 * 2 + c % 2;
        const int output = m * kTile + product.lane / 4 + c / 2 * 8;
        if constexpr (P::K::kHasGroups) {
          mine[row * P::kPitch + output] = product.totals[m][n][c];
        } else {
          mine[row * P::kPitch + output] = product.sums[m][n][c];
        }
      }
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kOutputs * kColumns;
         i += static_cast<int>(blockDim.x)) {
      const std::int64_t row = product.first_row + n * kColumns + i / kOutputs;
      const std::int64_t output = product.first_tile * kTile + i % kOutputs;
      if (row >= product.num_rows || output >= args.weight.outputs) continue;
      const std::int64_t at = row * args.out_stride + output;
      if constexpr (kGroups * kTiles > 1) residual = load_residual(args, row, output);
      const Partial* from = partial + i / kOutputs * P::kPitch + i % kOutputs;
      Partial total = 0;
      for (int s = 0; s < product.args.slices; ++s) total += from[s * kColumns * P::kPitch];
      float sum = static_cast<float>(total);
      if constexpr (kFormat == Format::w8a16) sum = __fmul_rn(sum, constants.scale);
      if constexpr (kFormat == Format::w8a8)
        sum = __fmul_rn(__fmul_rn(sum, constants.scale), product.args.inputs.scaled[row].scale);
      args.out[at] = finished(args, sum, constants.bias, residual);
    }
  }
}

template <Format kFormat, int kGroups, int kTiles, bool kGuarded>
__global__ void __launch_bounds__(kMaxSlices* kWarp) product_kernel(ProductArgs args) {
  extern __shared__ std::uint32_t shared[];
  using P = Product<kFormat, kGroups, kTiles, kGuarded>;
  if (blockIdx.y > 0) {  // weights are not asked for in vain
    wait_for_previous_kernel();
    if (static_cast<int>(blockIdx.y) * kGroups * kColumns >= *args.linear.num_rows) return;
  }
  P product(args);
#pragma unroll
  for (int u = 0; u < P::Loads::kUnits; ++u)
    product.load_weights(product.weights[u], u, product.end - product.begin);
  // A block has whole multiples of the outputs' number of threads: a thread's output is one.
  const int output = product.first_tile * kTile + static_cast<int>(threadIdx.x) % (kTiles * kTile);
  const OutputConstants constants = load_output_constants<kFormat>(args.linear, output);
  typename P::First first;
  if constexpr (P::Loads::kConvertsFirst) product.convert(first);
  wait_for_previous_kernel();
  product.num_rows = *args.linear.num_rows;  // not used before the sums are there
  Residual residual;
  if constexpr (kGroups * kTiles == 1) {
    const int row = static_cast<int>(threadIdx.x) / kTile;
    if (row < kColumns && row < args.linear.max_rows)
      residual = load_residual(args.linear, row + product.first_row, output);
  }
  product.multiply_all(first);
  combine_slices<kFormat, kGroups, kTiles, kGuarded>(product, constants, residual, shared);
}

template <Format kFormat, int kGroups, int kTiles, bool kGuarded>
void launch_product(const ProductArgs& args, cudaStream_t stream) {
  constexpr int kPitch = Product<kFormat, kGroups, kTiles, kGuarded>::kPitch;
  const auto blocks =
      static_cast<unsigned>(ceil_div<std::int64_t>(args.linear.weight.outputs, kTiles * kTile));
  const auto row_blocks = static_cast<unsigned>(ceil_div(args.linear.max_rows, kGroups * kColumns));
  const std::size_t shared_bytes =
      static_cast<std::size_t>(args.slices) * kColumns * kPitch * sizeof(std::uint32_t);
  launch_early(product_kernel<kFormat, kGroups, kTiles, kGuarded>, dim3(blocks, row_blocks),
               args.slices * kWarp, shared_bytes, stream, args);
  check_launch("product");
}

// Chooses how many tiles and groups of rows a warp has: more tiles only where that leaves work for
// all multiprocessors.
template <Format kFormat>
void launch_product(const ProductArgs& args, cudaStream_t stream) {
  const LinearArgs& linear = args.linear;
  const bool is_wide =
      Kind<kFormat>::kIsWhole || (linear.weight.inputs % 4 == 0 && linear.x_stride % 4 == 0 &&
                                  reinterpret_cast<std::uintptr_t>(linear.x) % 16 == 0);
  if (!is_wide) {
    if constexpr (!Kind<kFormat>::kIsWhole) {
      if (linear.max_rows <= kColumns) return launch_product<kFormat, 1, 1, true>(args, stream);
      return launch_product<kFormat, 4, 1, true>(args, stream);
    }
  }
  if (stream_product<kFormat>(args, stream) || rows_product<kFormat>(args, stream)) return;
  if (linear.max_rows <= kColumns) return launch_product<kFormat, 1, 1, false>(args, stream);
  if (linear.max_rows <= 2 * kColumns) return launch_product<kFormat, 2, 1, false>(args, stream);
  // Formats whose fragments are several steps need registers for their conversion.
  constexpr int kGroups = Kind<kFormat>::kSteps == 1 ? 4 : 2;
  const std::int64_t tiles = ceil_div<std::int64_t>(linear.weight.outputs, kTile);
  const std::int64_t row_blocks = ceil_div(linear.max_rows, kGroups * kColumns);
  if constexpr (!Kind<kFormat>::kHasGroups) {
    if (ceil_div<std::int64_t>(tiles, 4) * row_blocks >= kEnoughBlocks)
      return launch_product<kFormat, kGroups, 4, false>(args, stream);
  }
  if (ceil_div<std::int64_t>(tiles, 2) * row_blocks >= kEnoughBlocks)
    return launch_product<kFormat, kGroups, 2, false>(args, stream);
  return launch_product<kFormat, 4, 1, false>(args, stream);
}

}  // namespace ttsrt::cuda
