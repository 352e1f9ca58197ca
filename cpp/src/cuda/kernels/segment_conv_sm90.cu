// Convolutions over time within a segment on Hopper's tensor cores, of narrow rows: taps on both
// sides, and zeros where there is no row of the segment.
//
// A thread block has 64 output rows for each of its warpgroups, and a tile of outputs. The rows
// that its taps read are consecutive (segment_taps.h) and lie in shared memory, a chunk of columns
// at a time; warps load their first operand from there, one row further on per tap and dilation.
// The window also has rows of neighbouring segments: each lane knows which taps of its two rows are
// inside of their segment, and zeroes the operands of the others in registers, so that no item
// reads another's numbers and a window has no gaps. Weights are the second operand
// (conv_products.cuh). Every output is one sum over chunks, taps and columns in order, whatever the
// tiles.
#include "cuda/check.h"
#include "cuda/kernels/conv_epilogue.cuh"
#include "cuda/kernels/conv_products.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kGroupRows = 64;
constexpr int kMostBytes = 226 * 1024;  // beside barriers
constexpr int kAlignment = 128;
constexpr int kPieceBytes = 16;
constexpr int kRowPad = 16;  // bytes, so that neighbouring rows are in different banks

// --- shapes -------------------------------------------------------------------------------------

// Where the parts of a block's shared memory are.
struct Layout {
  std::int32_t row_bytes, window_bytes, windows, ring, columns, bytes;
};

ConvWeightShape weight_shape(const NarrowConvArgs& args) {
  return {args.outputs, args.width, args.kernel, kSegmentUnit};
}

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

Layout layout_of(const NarrowConvArgs& args, const NarrowConvTile& tile) {
  const ConvWeightShape shape = weight_shape(args);
  const std::int64_t reach = std::int64_t{args.kernel - 1} * args.dilation;
  const std::int32_t steps = shape.steps_of(0);
  Layout of = {};
  of.row_bytes = steps * kConvColumns * 2 + kRowPad;
  of.windows = shape.chunks() > 1 ? 2 : 1;
  const std::int64_t window = aligned((kGroupRows * tile.groups + reach) * of.row_bytes);
  const std::int64_t ring = window * of.windows;
  const std::int64_t columns =
      ring + aligned(std::int64_t{kConvRing} * steps * tile.outputs * kConvColumns * 2);
  const std::int64_t bytes = columns + aligned(std::int64_t{tile.outputs} * 3 * 4);
  if (bytes > kMostBytes) {
    of.bytes = kMostBytes + 1;
    return of;
  }
  of.window_bytes = static_cast<std::int32_t>(window);
  of.ring = static_cast<std::int32_t>(ring);
  of.columns = static_cast<std::int32_t>(columns);
  of.bytes = static_cast<std::int32_t>(bytes);
  return of;
}

// --- helpers ------------------------------------------------------------------------------------

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr int kWarpRows = 16;

// A block of threads at work on one tile.
template <Element kElement, int kOutputs, int kGroups>
class Block {
 public:
  static constexpr int kThreads = kGroups * kGroupThreads;
  static constexpr int kRows = kGroups * kGroupRows;

  __device__ __forceinline__ Block(const NarrowConvArgs& args, const ConvWeightShape& shape,
                                   const Layout& layout, std::byte* memory, Barrier* full,
                                   Barrier* empty)
      : args_(args),
        shape_(shape),
        memory_(memory),
        window_bytes_(layout.window_bytes),
        row_bytes_(layout.row_bytes),
        first_row_(static_cast<std::int32_t>(blockIdx.x) * kRows),
        end_row_(count_of(args.rows, Count::rows) * args.rate),
        first_output_(static_cast<std::int32_t>(blockIdx.y) * kOutputs),
        window_(first_row_, kRows, args.before, args.dilation, args.kernel),
        columns_(reinterpret_cast<float*>(memory + layout.columns)),
        weights_(args, shape, first_output_, memory + layout.ring, full, empty) {
    products_.tap_bytes = args.dilation * layout.row_bytes;
  }

  __device__ __forceinline__ bool has_rows() const { return first_row_ < end_row_; }

  // May run before the previous kernel has ended: makes barriers, begins to load weights, and loads
  // the constants of each output and the masks of taps.
  __device__ __forceinline__ void prepare() {
    if (threadIdx.x == 0) weights_.start(kThreads / kWarp);
    load_columns<kOutputs, kThreads>(args_, first_output_, columns_);
#pragma unroll
    for (int half = 0; half < 2; ++half) products_.inside[half] = taps_of(operand_row() + half * 8);
    __syncthreads();
  }

  // Multiplies chunk after chunk; the next chunk is copied meanwhile.
  __device__ __forceinline__ void run() {
    const std::int32_t chunks = shape_.chunks();
    load_window(0, 0);
    for (std::int32_t chunk = 0; chunk < chunks; ++chunk) {
      asm volatile("cp.async.wait_group 0;" ::: "memory");
      sync_threads<1, kThreads>();
      if (chunk + 1 < chunks) load_window(chunk + 1, (chunk + 1) % 2);
      multiply(chunk % 2, shape_.steps_of(chunk));
    }
    ConvEpilogue<kOutputs>(args_, columns_, operand_row(), end_row_, first_output_)
        .finish(products_.sums);
  }

 private:
  // The first of the two rows of this lane's operands and sums; the other one is 8 rows on.
  __device__ __forceinline__ std::int32_t operand_row() const {
    return static_cast<std::int32_t>(first_row_ + threadIdx.x / kWarp * kWarpRows +
                                     threadIdx.x % kWarp / 4);
  }
  // The row of the tile that this lane loads.
  __device__ __forceinline__ std::int32_t tile_row() const {
    return static_cast<std::int32_t>(threadIdx.x / kWarp * kWarpRows + threadIdx.x % kWarpRows);
  }

  __device__ __forceinline__ std::uint32_t taps_of(std::int32_t row) const {
    if (row >= end_row_) return 0;
    const std::int32_t of = row / args_.rate;
    return taps_inside(row - args_.before, args_.rows.segment_begin[of] * args_.rate,
                       args_.rows.segment_end[of] * args_.rate - args_.beyond, args_.dilation,
                       args_.kernel);
  }

  // Asks for the columns of a chunk, of all rows of the window, in one of two buffers.
  __device__ __forceinline__ void load_window(std::int32_t chunk, std::int32_t buffer) const {
    const std::int32_t pieces = shape_.steps_of(chunk) * kConvColumns * 2 / kPieceBytes;
    const std::int32_t offset = chunk * kConvChunkSteps * kConvColumns * 2;
    const std::uint32_t to = shared_address(memory_ + buffer * window_bytes_);
    const auto* x = static_cast<const std::byte*>(args_.x.data);
    for (auto i = static_cast<std::int32_t>(threadIdx.x); i < window_.rows * pieces;
         i += kThreads) {
      const std::int32_t row = i / pieces;
      const std::int32_t at = i % pieces * kPieceBytes;
      const bool is_there = window_.has(row, end_row_);
      const std::int64_t from = is_there ? window_.first + row : 0;
      const int bytes = is_there ? kPieceBytes : 0;  // the others become zeros
      asm volatile(
          "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to + row * row_bytes_ + at),
          "l"(x + from * args_.x.stride * 2 + offset + at), "r"(bytes)
          : "memory");
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

  __device__ __forceinline__ void multiply(std::int32_t buffer, std::int32_t steps) {
    products_.rows_at = shared_address(memory_ + buffer * window_bytes_) + tile_row() * row_bytes_ +
                        static_cast<std::int32_t>(threadIdx.x) % kWarp / kWarpRows * kPieceBytes;
    if (steps == 4) {
      products_.template multiply_chunk<4>(weights_, args_.kernel);
    } else if (steps == 3) {
      products_.template multiply_chunk<3>(weights_, args_.kernel);
    } else if (steps == 2) {
      products_.template multiply_chunk<2>(weights_, args_.kernel);
    } else {
      products_.template multiply_chunk<1>(weights_, args_.kernel);
    }
  }

  const NarrowConvArgs& args_;
  const ConvWeightShape& shape_;
  std::byte* memory_;
  std::int32_t window_bytes_, row_bytes_;
  std::int32_t first_row_, end_row_, first_output_;
  SegmentWindow window_;
  float* columns_;
  ConvWeights<kOutputs, false> weights_;
  ConvProducts<kElement, kOutputs, true, false, true> products_;
};

#endif

// --- kernels ------------------------------------------------------------------------------------

// Grid: tiles of rows, tiles of outputs.
template <Element kElement, int kOutputs, int kGroups>
__global__ void __launch_bounds__(kGroups* kGroupThreads, kOutputs == 128 ? 1
                                                          : kGroups == 1  ? 3
                                                                          : 4 / kGroups)
    segment_conv_kernel(const __grid_constant__ NarrowConvArgs args,
                        const __grid_constant__ ConvWeightShape shape,
                        const __grid_constant__ Layout layout) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(kAlignment) std::byte segment_memory[];
  __shared__ Barrier full[kConvStages];
  __shared__ Barrier empty[kConvStages];
  let_next_kernel_start();
  Block<kElement, kOutputs, kGroups> block(args, shape, layout, segment_memory, full, empty);
  if (!block.has_rows()) return wait_for_previous_kernel();
  block.prepare();
  wait_for_previous_kernel();
  block.run();
#endif
}

// --- launchers ----------------------------------------------------------------------------------

template <Element kElement, int kOutputs, int kGroups>
void launch(const NarrowConvArgs& args, cudaStream_t stream) {
  const NarrowConvTile tile = {kGroups, kOutputs};
  const Layout layout = layout_of(args, tile);
  const ConvWeightShape shape = weight_shape(args);
  auto* kernel = &segment_conv_kernel<kElement, kOutputs, kGroups>;
  // Always as much: graphs hold launches of one kernel with several sizes.
  take_shared_memory(reinterpret_cast<const void*>(kernel), kMostBytes,
                     "shared memory of a convolution");
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(rows, kGroupRows * kGroups)),
                  static_cast<unsigned>(shape.tiles() * (shape.tile() / kOutputs)));
  launch_early(kernel, grid, kGroups * kGroupThreads, static_cast<std::size_t>(layout.bytes),
               stream, args, shape, layout);
}

template <Element kElement, int kOutputs>
void launch(const NarrowConvArgs& args, std::int32_t groups, cudaStream_t stream) {
  if constexpr (kOutputs == 64) {
    if (groups == 4) return launch<kElement, kOutputs, 4>(args, stream);
  }
  if (groups == 2) return launch<kElement, kOutputs, 2>(args, stream);
  launch<kElement, kOutputs, 1>(args, stream);
}

template <Element kElement>
void launch(const NarrowConvArgs& args, const NarrowConvTile& tile, cudaStream_t stream) {
  if (tile.outputs == 128) return launch<kElement, 128>(args, tile.groups, stream);
  if (tile.outputs == 64) return launch<kElement, 64>(args, tile.groups, stream);
  if (tile.outputs == 32) return launch<kElement, 32>(args, tile.groups, stream);
  launch<kElement, 8>(args, tile.groups, stream);
}

constexpr NarrowConvTile kTiles[] = {{4, 64}, {2, 128}, {1, 128}, {2, 64}, {1, 64},
                                     {2, 32}, {1, 32},  {2, 8},   {1, 8}};

// Whether a block of this tile can have its share of the outputs.
bool divides(const NarrowConvTile& tile, std::int32_t outputs) {
  return tile.outputs == outputs || (tile.outputs == 64 && outputs == 128);
}

}  // namespace

// Returns the tile with which the busiest multiprocessor has the least to do: the outputs of its
// blocks, and a fixed cost per block that is counted as kOverhead outputs of a warpgroup.
NarrowConvTile segment_conv_tile(const NarrowConvArgs& args, std::int32_t multiprocessors) {
  constexpr std::int64_t kOverhead = 32;
  const ConvWeightShape shape = weight_shape(args);
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  NarrowConvTile best;
  std::int64_t least = 0;
  for (const NarrowConvTile& tile : kTiles) {
    if (!divides(tile, shape.tile()) || layout_of(args, tile).bytes > kMostBytes) continue;
    const std::int64_t blocks = ceil_div<std::int64_t>(rows, kGroupRows * tile.groups) *
                                shape.tiles() * (shape.tile() / tile.outputs);
    const std::int64_t each = std::int64_t{tile.groups} * tile.outputs + kOverhead;
    const std::int64_t all = ceil_div<std::int64_t>(blocks, multiprocessors) * each;
    if (least != 0 && all >= least) continue;
    least = all;
    best = tile;
  }
  return best;
}

bool fits_segment_conv(const NarrowConvArgs& args) {
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  constexpr std::int64_t kMostRows = (std::int64_t{1} << 31) - 1024;
  const std::int32_t outputs = weight_shape(args).tile();
  const NarrowConvTile least = {1, outputs == 128 ? 64 : outputs};
  return rows < kMostRows && args.kernel <= kMostTaps && layout_of(args, least).bytes <= kMostBytes;
}

void segment_conv(const NarrowConvArgs& args, const NarrowConvTile& tile, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  if (args.x.element == Element::float16) {
    launch<Element::float16>(args, tile, stream);
  } else {
    launch<Element::bfloat16>(args, tile, stream);
  }
  check_launch("segment_conv");
}

void segment_conv(const NarrowConvArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  segment_conv(args, segment_conv_tile(args, device_attribute(cudaDevAttrMultiProcessorCount)),
               stream);
}

}  // namespace ttsrt::cuda
