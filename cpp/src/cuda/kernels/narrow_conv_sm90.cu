// Causal convolutions over time on Hopper's tensor cores, of narrow rows.
//
// A thread block has 64 output rows for each of its warpgroups, and a tile of outputs. Rows are the
// first operand, which warps load from a window in shared memory (conv_window.cuh), shifted by tap;
// weights are the second one (conv_products.cuh). Every output is one sum over chunks, taps and
// columns in order, whatever the tiles. Nothing is called, as products would then wait for each
// other. Where all weights of a block fit beside two windows of one chunk, blocks are persistent.
#include "cuda/check.h"
#include "cuda/kernels/conv_epilogue.cuh"
#include "cuda/kernels/conv_products.cuh"
#include "cuda/kernels/conv_window.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kGroupRows = 64;
constexpr int kMostBytes = 226 * 1024;  // beside barriers
constexpr int kAlignment = 128;

// --- shapes -------------------------------------------------------------------------------------

// Where the parts of a block's shared memory are; sizes are bounds of the op.
struct Layout {
  std::int32_t window_rows, chains, row_bytes, windows;
  std::int32_t ring, columns, sources, chain_list, first_taps, sums, bytes;

  __host__ __device__ static constexpr std::int32_t aligned(std::int64_t bytes) {
    return static_cast<std::int32_t>((bytes + kAlignment - 1) / kAlignment * kAlignment);
  }
};

ConvWeightShape weight_shape(const NarrowConvArgs& args) {
  return {args.outputs, args.width, args.kernel};
}

// Whether all rows of each tile are of one row of the launch.
bool rows_are_single(const NarrowConvArgs& args, std::int32_t rows) {
  return args.rate % rows == 0;
}

// Of `rows` rows and `outputs` outputs.
Layout layout_of(const NarrowConvArgs& args, std::int32_t rows, std::int32_t outputs,
                 bool is_resident) {
  const ConvWeightShape shape = weight_shape(args);
  const std::int32_t before = (args.kernel - 1) * args.dilation;
  Layout of = {};
  of.chains = most_chains(rows, args.rate);
  of.window_rows = rows + of.chains * before;
  const std::int32_t steps = shape.steps_of(0);
  of.row_bytes = steps * kConvColumns * 2 + kWindowPad;
  of.windows = shape.chunks() > 1 || is_resident ? 2 : 1;
  const std::int32_t stages = is_resident ? args.kernel : kConvRing;
  std::int64_t at =
      Layout::aligned(std::int64_t{of.window_rows} * of.row_bytes) * std::int64_t{of.windows};
  const auto put = [&at](std::int32_t& place, std::int64_t bytes) {
    place = static_cast<std::int32_t>(at < kMostBytes ? at : kMostBytes);
    at += Layout::aligned(bytes);
  };
  put(of.ring, std::int64_t{stages} * steps * outputs * kConvColumns * 2);
  put(of.columns, std::int64_t{outputs} * 3 * 4);
  if (rows_are_single(args, rows)) of.chains = of.window_rows = 0;  // there are no tables
  put(of.sources, std::int64_t{of.window_rows} * 8);
  put(of.chain_list, of.chains * static_cast<std::int64_t>(sizeof(TileChain)));
  put(of.first_taps, std::int64_t{rows} * 4);
  put(of.sums, 32 * 4);
  of.bytes = static_cast<std::int32_t>(at < kMostBytes ? at : kMostBytes + 1);
  return of;
}

// --- helpers ------------------------------------------------------------------------------------

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr int kWarpRows = 16;

// A block of threads at work.
template <Element kElement, int kOutputs, int kGroups, bool kResident>
class Block {
 public:
  static constexpr int kThreads = kGroups * kGroupThreads;
  static constexpr int kRows = kGroups * kGroupRows;

  __device__ __forceinline__ Block(const NarrowConvArgs& args, const ConvWeightShape& shape,
                                   const Layout& layout, std::byte* memory, Barrier* full,
                                   Barrier* empty)
      : args_(args),
        shape_(shape),
        end_row_(count_of(args.rows, Count::rows) * args.rate),
        first_output_(static_cast<std::int32_t>(blockIdx.y) * kOutputs),
        columns_(reinterpret_cast<float*>(memory + layout.columns)),
        weights_(args, shape, first_output_, memory + layout.ring, full, empty) {
    window_.sources = reinterpret_cast<const std::byte**>(memory + layout.sources);
    window_.chains = reinterpret_cast<TileChain*>(memory + layout.chain_list);
    window_.first_tap = reinterpret_cast<std::int32_t*>(memory + layout.first_taps);
    window_.warp_sums = reinterpret_cast<std::int32_t*>(memory + layout.sums);
    window_.data = memory;
    window_.window_bytes = layout.ring / layout.windows;
    window_.row_bytes = layout.row_bytes;
    window_.before = (args.kernel - 1) * args.dilation;
    window_.is_single = false;
    products_.tap_bytes = args.dilation * layout.row_bytes;
  }

  __device__ __forceinline__ bool has(std::int32_t tile) const { return tile * kRows < end_row_; }

  // Before the kernel before has ended: barriers, weights and what each output needs.
  __device__ __forceinline__ void prepare() {
    if (threadIdx.x == 0) weights_.start(kThreads / kWarp);
    load_columns<kOutputs, kThreads>(args_, first_output_, columns_);
    __syncthreads();
  }

  // One tile, chunk after chunk.
  __device__ __forceinline__ void run_tile(std::int32_t tile) {
    const std::int32_t first_row = tile * kRows;
    std::int32_t first_tap = tile_row();
    if (args_.rate % kRows == 0) {
      find_single<kRows>(args_, first_row, window_);
    } else {
      find_rows<kRows, kThreads>(args_, first_row, end_row_, window_);
      first_tap = window_.first_tap[first_tap];
    }
    wait_for_previous_kernel();
    const std::int32_t chunks = shape_.chunks();
    load_window<kThreads>(args_, window_, 0, shape_.steps_of(0), 0);
    for (std::int32_t chunk = 0; chunk < chunks; ++chunk) {
      await_window<kThreads>();
      if (chunk + 1 < chunks) {
        load_window<kThreads>(args_, window_, chunk + 1, shape_.steps_of(chunk + 1),
                              (chunk + 1) % 2);
      }
      const std::int32_t steps = shape_.steps_of(chunk);
      if (first_output_ == 0) keep_window<kThreads>(args_, window_, chunk, steps, chunk % 2);
      multiply(chunk % 2, first_tap, steps);
    }
    finish(first_row);
  }

  // Tile after tile of one chunk each, whose rows are of one row of the launch: those of the next
  // tile are copied meanwhile.
  __device__ __forceinline__ void run_tiles(std::int32_t tile) {
    const std::int32_t steps = shape_.steps_of(0);
    wait_for_previous_kernel();
    find_single<kRows>(args_, tile * kRows, window_);
    load_window<kThreads>(args_, window_, 0, steps, 0);
    for (std::int32_t buffer = 0;; buffer ^= 1) {
      const auto next = static_cast<std::int32_t>(tile + gridDim.x);
      await_window<kThreads>();
      const TileChain now = window_.single;
      if (has(next)) {
        find_single<kRows>(args_, next * kRows, window_);
        load_window<kThreads>(args_, window_, 0, steps, buffer ^ 1);
      }
      if (first_output_ == 0 && args_.past.data != nullptr)
        keep_chain<kThreads>(args_, window_, now, 0, steps, buffer);
      products_.index = 0;
      multiply(buffer, tile_row(), steps);
      finish(tile * kRows);
      if (!has(next)) return;
      tile = next;
    }
  }

 private:
  // The row of the tile that this lane loads.
  __device__ __forceinline__ std::int32_t tile_row() const {
    return static_cast<std::int32_t>(threadIdx.x / kWarp * kWarpRows + threadIdx.x % kWarpRows);
  }

  __device__ __forceinline__ void multiply(std::int32_t buffer, std::int32_t first_tap,
                                           std::int32_t steps) {
    products_.rows_at = shared_address(window_.at(buffer)) + first_tap * window_.row_bytes +
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

  __device__ __forceinline__ void finish(std::int32_t first_row) {
    const auto row = static_cast<std::int32_t>(first_row + threadIdx.x / kWarp * kWarpRows +
                                               threadIdx.x % kWarp / 4);
    ConvEpilogue<kOutputs>(args_, columns_, row, end_row_, first_output_).finish(products_.sums);
  }

  // Where registers allow it, rows of a tap are loaded while the one before is multiplied.
  static constexpr bool kAhead = kOutputs < 112 || kGroups < 4;

  const NarrowConvArgs& args_;
  const ConvWeightShape& shape_;
  std::int32_t end_row_;
  std::int32_t first_output_;
  float* columns_;
  ConvWeights<kOutputs, kResident> weights_;
  ConvProducts<kElement, kOutputs, kAhead, kResident> products_;
  ConvWindow window_ = {};
};

#endif

// --- kernels ------------------------------------------------------------------------------------

// Grid: tiles of rows, tiles of outputs. Where weights are resident, a block has one tile of rows
// after the other.
template <Element kElement, int kOutputs, int kGroups, bool kResident>
__global__ void __launch_bounds__(kGroups* kGroupThreads, kOutputs == 112 ? 1 : 4 / kGroups)
    narrow_conv_kernel(const __grid_constant__ NarrowConvArgs args,
                       const __grid_constant__ ConvWeightShape shape,
                       const __grid_constant__ Layout layout) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(kAlignment) std::byte conv_memory[];
  __shared__ Barrier full[kConvStages];
  __shared__ Barrier empty[kConvStages];
  let_next_kernel_start();
  Block<kElement, kOutputs, kGroups, kResident> block(args, shape, layout, conv_memory, full,
                                                      empty);
  const auto tile = static_cast<std::int32_t>(blockIdx.x);
  if (!block.has(tile)) return wait_for_previous_kernel();
  block.prepare();
  if constexpr (kResident) {
    block.run_tiles(tile);
  } else {
    block.run_tile(tile);
  }
#endif
}

// --- launchers ----------------------------------------------------------------------------------

std::int64_t blocks_of(const NarrowConvArgs& args, const NarrowConvTile& tile) {
  const ConvWeightShape shape = weight_shape(args);
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  return ceil_div<std::int64_t>(rows, kGroupRows * tile.groups) * shape.tiles() *
         (shape.tile() / tile.outputs);
}

bool fits(const NarrowConvArgs& args, const NarrowConvTile& tile, bool is_resident = false) {
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  constexpr std::int64_t kMostRows = (std::int64_t{1} << 31) - 1024;
  return rows < kMostRows &&
         layout_of(args, kGroupRows * tile.groups, tile.outputs, is_resident).bytes <= kMostBytes;
}

// Whether a block keeps its weights and has several tiles.
bool is_resident(const NarrowConvArgs& args, const NarrowConvTile& tile) {
  const ConvWeightShape shape = weight_shape(args);
  return tile.outputs <= 56 && shape.chunks() == 1 && args.kernel <= kConvStages &&
         rows_are_single(args, kGroupRows * tile.groups) && fits(args, tile, true);
}

template <Element kElement, int kOutputs, int kGroups, bool kResident>
void launch(const NarrowConvArgs& args, cudaStream_t stream) {
  const Layout layout = layout_of(args, kGroupRows * kGroups, kOutputs, kResident);
  const ConvWeightShape shape = weight_shape(args);
  auto* kernel = &narrow_conv_kernel<kElement, kOutputs, kGroups, kResident>;
  const auto* code = reinterpret_cast<const void*>(kernel);
  // Always as much: graphs hold launches of one kernel with several sizes.
  take_shared_memory(code, kMostBytes, "shared memory of a convolution");
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  std::int64_t tiles = ceil_div<std::int64_t>(rows, kGroupRows * kGroups);
  if constexpr (kResident) {
    int blocks = 0;
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, code, kGroups * kGroupThreads,
                                                        static_cast<std::size_t>(layout.bytes)),
          "the blocks of a convolution");
    const std::int64_t most =
        std::int64_t{blocks} * device_attribute(cudaDevAttrMultiProcessorCount);
    if (most > 0 && tiles > most) tiles = ceil_div(tiles, ceil_div(tiles, most));
  }
  const dim3 grid(static_cast<unsigned>(tiles),
                  static_cast<unsigned>(shape.tiles() * (shape.tile() / kOutputs)));
  launch_early(kernel, grid, kGroups * kGroupThreads, static_cast<std::size_t>(layout.bytes),
               stream, args, shape, layout);
}

template <Element kElement, int kOutputs, int kGroups>
void launch(const NarrowConvArgs& args, cudaStream_t stream) {
  if constexpr (kOutputs <= 56) {
    if (is_resident(args, {kGroups, kOutputs}))
      return launch<kElement, kOutputs, kGroups, true>(args, stream);
  }
  launch<kElement, kOutputs, kGroups, false>(args, stream);
}

template <Element kElement, int kOutputs>
void launch(const NarrowConvArgs& args, std::int32_t groups, cudaStream_t stream) {
  if (groups == 4) return launch<kElement, kOutputs, 4>(args, stream);
  if (groups == 2) return launch<kElement, kOutputs, 2>(args, stream);
  launch<kElement, kOutputs, 1>(args, stream);
}

template <Element kElement>
void launch(const NarrowConvArgs& args, const NarrowConvTile& tile, cudaStream_t stream) {
  if (tile.outputs == 112) return launch<kElement, 112>(args, tile.groups, stream);
  if (tile.outputs == 56) return launch<kElement, 56>(args, tile.groups, stream);
  if (tile.outputs == 32) return launch<kElement, 32>(args, tile.groups, stream);
  launch<kElement, 8>(args, tile.groups, stream);
}

}  // namespace

// Persistent blocks where several fit on a multiprocessor; or else the largest tile of which there
// are enough to fill a device; or else the one with the most outputs, as a block with half of them
// takes no less time.
NarrowConvTile narrow_conv_tile(const NarrowConvArgs& args) {
  constexpr std::int64_t kEnough = 120;
  const std::int32_t outputs = weight_shape(args).tile();
  const NarrowConvTile small = {outputs <= 32 ? 1 : 2, outputs};
  if (is_resident(args, small) && blocks_of(args, small) >= kEnough &&
      2 * layout_of(args, kGroupRows * small.groups, outputs, true).bytes <= kMostBytes)
    return small;
  for (const std::int32_t groups : {4, 2, 1}) {
    const NarrowConvTile tile = {groups, outputs};
    if (blocks_of(args, tile) >= kEnough && fits(args, tile)) return tile;
  }
  const NarrowConvTile whole = {1, outputs};
  return outputs < 112 || fits(args, whole) ? whole : NarrowConvTile{1, 56};
}

bool fits_narrow_conv(const NarrowConvArgs& args) {
  const std::int32_t outputs = weight_shape(args).tile();
  return fits(args, {1, outputs == 112 ? 56 : outputs});
}

bool has_narrow_convs() { return has_whole_products(); }

void narrow_conv(const NarrowConvArgs& args, const NarrowConvTile& tile, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  if (args.x.element == Element::float16) {
    launch<Element::float16>(args, tile, stream);
  } else {
    launch<Element::bfloat16>(args, tile, stream);
  }
  check_launch("narrow_conv");
}

void narrow_conv(const NarrowConvArgs& args, cudaStream_t stream) {
  narrow_conv(args, narrow_conv_tile(args), stream);
}

}  // namespace ttsrt::cuda
