// Causal convolutions over time on Hopper's tensor cores, of narrow rows.
//
// A thread block has 64 output rows for each of its warpgroups, and a tile of outputs. Rows are the
// first operand, which warps load from a window in shared memory (conv_window.cuh), shifted by tap;
// weights are the second one, and come in a ring of stages, each of a tap and a chunk of columns.
// Every output is one sum over chunks, taps and columns in order, whatever the tiles. Nothing is
// called, as products would then wait for each other.
#include "cuda/check.h"
#include "cuda/kernels/conv_epilogue.cuh"
#include "cuda/kernels/conv_window.cuh"
#include "cuda/kernels/wgmma_rows.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kStages = 8;
constexpr int kLag = 2;  // stages after which one is filled again
constexpr int kGroupRows = 64;
constexpr int kMostBytes = 227 * 1024;
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

// Of `rows` rows and `outputs` outputs.
Layout layout_of(const NarrowConvArgs& args, std::int32_t rows, std::int32_t outputs) {
  const ConvWeightShape shape = weight_shape(args);
  const std::int32_t before = (args.kernel - 1) * args.dilation;
  Layout of = {};
  of.chains = most_chains(rows, args.rate);
  of.window_rows = rows + of.chains * before;
  const std::int32_t steps = shape.steps_of(0);
  of.row_bytes = steps * kConvColumns * 2 + kWindowPad;
  of.windows = shape.chunks() > 1 ? 2 : 1;
  std::int64_t at =
      Layout::aligned(std::int64_t{of.window_rows} * of.row_bytes) * std::int64_t{of.windows};
  const auto put = [&at](std::int32_t& place, std::int64_t bytes) {
    place = static_cast<std::int32_t>(at < kMostBytes ? at : kMostBytes);
    at += Layout::aligned(bytes);
  };
  put(of.ring, std::int64_t{kStages} * steps * outputs * kConvColumns * 2);
  put(of.columns, std::int64_t{outputs} * 3 * 4);
  put(of.sources, std::int64_t{of.window_rows} * 8);
  put(of.chain_list, of.chains * static_cast<std::int64_t>(sizeof(TileChain)));
  put(of.first_taps, std::int64_t{rows} * 4);
  put(of.sums, 32 * 4);
  of.bytes = static_cast<std::int32_t>(at < kMostBytes ? at : kMostBytes + 1);
  return of;
}

// --- helpers ------------------------------------------------------------------------------------

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct Site {
  const NarrowConvArgs& args;
  const ConvWeightShape& shape;
  const Layout& layout;
  std::byte* memory;
  Barrier* full;   // [stages]
  Barrier* empty;  // [stages]
  std::int32_t first_row, end_row;
  std::int32_t first_output;

  __device__ std::byte* stage(int index) const {
    return memory + layout.ring + index * ((layout.columns - layout.ring) / kStages);
  }
  __device__ float* columns() const { return reinterpret_cast<float*>(memory + layout.columns); }
};

__device__ __forceinline__ void copy_bytes(const void* to, const void* from, std::int32_t bytes,
                                           Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(&barrier))
      : "memory");
}

// Asks for the weights of a stage, by one thread. Where the block has a part of a tile of weights,
// every product is a copy of its own.
template <int kOutputs>
__device__ __forceinline__ void load_weights(const Site& site, int index) {
  constexpr std::int32_t kStepBytes = kOutputs * kConvColumns * 2;
  const ConvWeightShape& shape = site.shape;
  const int chunk = index / shape.kernel;
  const std::int32_t steps = shape.steps_of(chunk);
  const std::int32_t first_step =
      chunk * kConvChunkSteps * shape.kernel + index % shape.kernel * steps;
  const auto step_bytes = static_cast<std::int32_t>(shape.step_bytes());
  const std::byte* from = static_cast<const std::byte*>(site.args.weight) +
                          site.first_output / shape.tile() * shape.tile_bytes() +
                          std::int64_t{first_step} * step_bytes +
                          site.first_output % shape.tile() * kConvColumns * 2;
  Barrier& full = site.full[index % kStages];
  std::byte* to = site.stage(index % kStages);
  arrive_and_expect(full, steps * kStepBytes);
  if (step_bytes == kStepBytes) return copy_bytes(to, from, steps * kStepBytes, full);
  for (std::int32_t s = 0; s < steps; ++s)
    copy_bytes(to + s * kStepBytes, from + s * step_bytes, kStepBytes, full);
}

// What a warpgroup multiplies: sums, and where its warps read rows and weights. Where registers
// allow it (kAhead), rows of a tap are loaded while the one before is multiplied.
template <Element kElement, int kOutputs, bool kAhead>
struct Products {
  const Site& site;
  std::uint32_t rows_at = 0;  // of this lane's row in the window of this chunk, at the first tap
  std::int32_t tap_bytes = 0;
  int index = 0;  // of the stage
  float sums[kOutputs / 2];

  __device__ __forceinline__ explicit Products(const Site& of) : site(of) {}

  template <int kSteps>
  __device__ __forceinline__ void load_rows(std::uint32_t (&words)[kSteps][4], int tap) const {
    const std::uint32_t at = rows_at + tap * tap_bytes;
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(words[s][0]), "=r"(words[s][1]), "=r"(words[s][2]), "=r"(words[s][3])
                   : "r"(at + s * kConvColumns * 2)
                   : "memory");
    }
  }

  // Says that this warp is done with a stage.
  __device__ __forceinline__ void release(int stage) const {
    if (threadIdx.x % kWarp == 0) arrive(site.empty[stage % kStages]);
  }
  // Fills the stage of `kLag` stages ago again, once all warps are done with it.
  __device__ __forceinline__ void refill() const {
    const int before = index - kLag;
    const int next = before + kStages;
    if (threadIdx.x == 0 && before >= 0 && next < site.shape.chunks() * site.shape.kernel) {
      await(site.empty[before % kStages], before / kStages % 2);
      load_weights<kOutputs>(site, next);
    }
    __syncwarp();
  }

  // Leaves the products running, and those of the stage before done; or leaves all done.
  template <int kSteps>
  __device__ __forceinline__ void multiply(const std::uint32_t (&words)[kSteps][4], bool is_first) {
    await(site.full[index % kStages], index / kStages % 2);
    const std::uint64_t weights = pieces_at(shared_address(site.stage(index % kStages)));
    begin_products();
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      WgmmaOfRows<kElement, kOutputs>::multiply(
          sums, words[s], weights + s * (kOutputs * kConvColumns * 2 / 16), s + index > 0 ? 1 : 0);
    }
    commit_products();
    await_products<kAhead ? 1 : 0>();
    if (!is_first || !kAhead) release(kAhead ? index - 1 : index);
    refill();
    ++index;
  }

  // All taps of a chunk.
  template <int kSteps>
  __device__ __forceinline__ void multiply_chunk() {
    std::uint32_t even[kSteps][4];
    if constexpr (!kAhead) {
      for (int tap = 0; tap < site.args.kernel; ++tap) {
        load_rows(even, tap);
        multiply(even, tap == 0);
      }
    } else {
      std::uint32_t odd[kSteps][4];
      load_rows(even, 0);
      for (int tap = 0;;) {
        multiply(even, tap == 0);
        if (++tap >= site.args.kernel) break;
        load_rows(odd, tap);
        multiply(odd, false);
        if (++tap >= site.args.kernel) break;
        load_rows(even, tap);
      }
      await_products<0>();
      release(index - 1);
    }
  }
};

// Chunk after chunk, by the warpgroups.
template <Element kElement, int kOutputs, int kThreads>
__device__ __forceinline__ void convolve(const Site& site, const ConvWindow& window) {
  const auto thread = static_cast<int>(threadIdx.x);
  const bool keeps = site.first_output == 0 && site.args.past.data != nullptr;
  constexpr bool kAhead = kOutputs < 112 || kThreads < 512;
  Products<kElement, kOutputs, kAhead> products(site);
  const int tile_row = thread / kWarp * 16 + thread % 16;
  const std::int32_t first_tap = window.first_tap[tile_row];
  products.tap_bytes = site.args.dilation * window.row_bytes;
  const std::int32_t chunks = site.shape.chunks();
  load_window<kThreads>(site.args, window, 0, site.shape.steps_of(0));
  for (std::int32_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int32_t steps = site.shape.steps_of(chunk);
    await_window<kThreads>();
    if (chunk + 1 < chunks)
      load_window<kThreads>(site.args, window, chunk + 1, site.shape.steps_of(chunk + 1));
    if (keeps) keep_window<kThreads>(site.args, window, chunk, steps);
    products.rows_at = shared_address(window.at(chunk)) + first_tap * window.row_bytes +
                       thread % kWarp / 16 * kPieceBytes;
    if (steps == 4) {
      products.template multiply_chunk<4>();
    } else if (steps == 3) {
      products.template multiply_chunk<3>();
    } else if (steps == 2) {
      products.template multiply_chunk<2>();
    } else {
      products.template multiply_chunk<1>();
    }
  }
  const int row = site.first_row + thread / kWarp * 16 + thread % kWarp / 4;
  ConvEpilogue<kOutputs>(site.args, site.columns(), row, site.end_row, site.first_output)
      .finish(products.sums);
}

#endif

// --- kernels ------------------------------------------------------------------------------------

// Grid: tiles of rows, tiles of outputs.
template <Element kElement, int kOutputs, int kGroups>
__global__ void __launch_bounds__(kGroups* kGroupThreads, kOutputs == 112 ? 1 : 4 / kGroups)
    narrow_conv_kernel(const __grid_constant__ NarrowConvArgs args,
                       const __grid_constant__ ConvWeightShape shape,
                       const __grid_constant__ Layout layout) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr int kThreads = kGroups * kGroupThreads;
  extern __shared__ __align__(kAlignment) std::byte conv_memory[];
  __shared__ Barrier full[kStages];
  __shared__ Barrier empty[kStages];
  let_next_kernel_start();
  Site site = {args, shape, layout, conv_memory, full, empty, 0, 0, 0};
  site.first_row = static_cast<std::int32_t>(blockIdx.x) * (kGroups * kGroupRows);
  site.end_row = count_of(args.rows, Count::rows) * args.rate;
  site.first_output = static_cast<std::int32_t>(blockIdx.y) * kOutputs;
  if (site.first_row >= site.end_row) return wait_for_previous_kernel();
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      init_barrier(full[stage], 1);
      init_barrier(empty[stage], kThreads / kWarp);
    }
    publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages && stage < shape.chunks() * shape.kernel; ++stage)
      load_weights<kOutputs>(site, stage);
  }
  __syncwarp();
  ConvWindow window = {};
  window.sources = reinterpret_cast<const std::byte**>(conv_memory + layout.sources);
  window.chains = reinterpret_cast<TileChain*>(conv_memory + layout.chain_list);
  window.first_tap = reinterpret_cast<std::int32_t*>(conv_memory + layout.first_taps);
  window.warp_sums = reinterpret_cast<std::int32_t*>(conv_memory + layout.sums);
  window.data = conv_memory;
  window.window_bytes = layout.ring / layout.windows;
  window.row_bytes = layout.row_bytes;
  window.before = (args.kernel - 1) * args.dilation;
  load_columns<kOutputs, kThreads>(args, site.first_output, site.columns());
  find_rows<kGroups * kGroupRows, kThreads>(args, site.first_row, site.end_row, window);
  wait_for_previous_kernel();
  convolve<kElement, kOutputs, kThreads>(site, window);
#endif
}

// --- launchers ----------------------------------------------------------------------------------

std::int64_t blocks_of(const NarrowConvArgs& args, const NarrowConvTile& tile) {
  const ConvWeightShape shape = weight_shape(args);
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  return ceil_div<std::int64_t>(rows, kGroupRows * tile.groups) * shape.tiles() *
         (shape.tile() / tile.outputs);
}

bool fits(const NarrowConvArgs& args, const NarrowConvTile& tile) {
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  constexpr std::int64_t kMostRows = (std::int64_t{1} << 31) - 1024;
  return rows < kMostRows &&
         layout_of(args, kGroupRows * tile.groups, tile.outputs).bytes <= kMostBytes;
}

template <Element kElement, int kOutputs, int kGroups>
void launch(const NarrowConvArgs& args, cudaStream_t stream) {
  const Layout layout = layout_of(args, kGroupRows * kGroups, kOutputs);
  const ConvWeightShape shape = weight_shape(args);
  auto* kernel = &narrow_conv_kernel<kElement, kOutputs, kGroups>;
  take_shared_memory(reinterpret_cast<const void*>(kernel), layout.bytes,
                     "shared memory of a convolution");
  const std::int64_t rows = std::int64_t{args.max_rows} * args.rate;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(rows, kGroupRows * kGroups)),
                  static_cast<unsigned>(shape.tiles() * (shape.tile() / kOutputs)));
  launch_early(kernel, grid, kGroups * kGroupThreads, static_cast<std::size_t>(layout.bytes),
               stream, args, shape, layout);
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

// The largest tile of which there are enough to fill a device, or else the smallest one.
NarrowConvTile narrow_conv_tile(const NarrowConvArgs& args) {
  constexpr std::int64_t kEnough = 120;
  const std::int32_t outputs = weight_shape(args).tile();
  for (const std::int32_t groups : {4, 2, 1}) {
    const NarrowConvTile tile = {groups, outputs};
    if (blocks_of(args, tile) >= kEnough && fits(args, tile)) return tile;
  }
  return {1, outputs == 112 ? 56 : outputs};
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
