// RelativeAttention on the tensor cores of every GPU: mma.sync over tiles of 64 queries and 64
// keys, with a running softmax in float32.
//
// Decided: nothing is shifted in memory. A warp has 16 queries. With a tile of keys it multiplies
// them with the 80 distances that they may have to these keys, leaves the scores in shared memory,
// and reads each where it belongs: the score of query q and key k of the tile is number k - q + 15
// (relative_window.cuh). The next tile of keys needs the distances behind these, so one more chunk
// is prefetched while a tile is multiplied. Tiles are counted from the begin of the segment, so a
// row's sums depend on its segment alone. Rows outside of the segment are zeros in shared memory.
#include "cuda/check.h"
#include "cuda/kernels/item_mma.cuh"
#include "cuda/kernels/relative_attention.cuh"
#include "cuda/kernels/relative_window.cuh"

namespace ttsrt::cuda {
namespace {

using Window = DistanceWindow;
constexpr int kWarps = Window::kQueries / Window::kWarpQueries;
constexpr int kThreads = kWarps * kWarp;
static_assert(Window::kKeys == kTileKeys && Window::kWarpQueries == 16);

// --- helpers ------------------------------------------------------------------------------------

template <int kDims>
struct BlockMemory {
  using Tile = KeyTile<kDims>;
  Tile tiles[2];
  std::uint16_t distances[Window::kChunks * Window::kChunk * Tile::kPitch];
  float scores[kWarps][Window::kWarpQueries * Window::kPitch];  // of distances
};

template <int kDims, Element kElement>
struct Attend {
  static constexpr int kSteps = kDims / 16;
  static constexpr int kChunks = kDims / 8;  // of 16 bytes, of a row
  using Memory = BlockMemory<kDims>;
  using Tile = typename Memory::Tile;

  const RelativeArgs& args;
  QueryTile tile;
  int head, lane, warp;
  std::int64_t inner;
  std::uint32_t contents[kSteps][4];  // queries with the offset of contents
  std::uint32_t places[kSteps][4];    // those with that of distances
  float mixed[kDims / 2] = {};
  RunningSoftmax softmax;

  __device__ __forceinline__ Attend(const RelativeArgs& a, const QueryTile& t)
      : args(a),
        tile(t),
        head(static_cast<int>(blockIdx.y)),
        lane(static_cast<int>(threadIdx.x) % kWarp),
        warp(static_cast<int>(threadIdx.x) / kWarp),
        inner(std::int64_t{a.heads} * kDims) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        contents[s][i] = query(0, i % 2 * 8, s * 16 + i / 2 * 8);
        places[s][i] = query(1, i % 2 * 8, s * 16 + i / 2 * 8);
      }
    }
  }

  // Queries with either offset, keys or values of a row of the launch.
  __device__ const std::uint16_t* part(std::int64_t row, int which) const {
    return static_cast<const std::uint16_t*>(args.prepared) + (row * 4 + which) * inner +
           head * kDims;
  }
  // Two values of the query lane / 4 + `apart`, from `dim` on.
  __device__ std::uint32_t query(int which, int apart, int dim) const {
    const int at = warp * Window::kWarpQueries + lane / 4 + apart;
    if (at >= tile.rows) return 0;
    return *reinterpret_cast<const std::uint32_t*>(part(tile.first + at, which) + dim +
                                                   lane % 4 * 2);
  }

  __device__ __forceinline__ void load_keys(Tile& to, int first_key) const {
    for (int i = static_cast<int>(threadIdx.x); i < kTileKeys * kChunks; i += kThreads) {
      const int key = i / kChunks;
      const int dim = i % kChunks * 8;
      const bool is_there = first_key + key < tile.length;
      const std::int64_t row = tile.begin + (is_there ? first_key + key : 0);
      copy_async(to.keys + key * Tile::kPitch + dim, part(row, 2) + dim, is_there);
      copy_async(to.values + key * Tile::kPitch + dim, part(row, 3) + dim, is_there);
    }
  }

  __device__ __forceinline__ void load_distances(Memory& memory, int chunk) const {
    const auto* rows = static_cast<const std::uint16_t*>(args.prepared_distances) +
                       std::int64_t{2} * tile.begin * inner + head * kDims;
    const int first = Window::row_of_chunk(tile.length, tile.first - tile.begin, chunk);
    std::uint16_t* to = memory.distances + Window::place_of(chunk, 0) * Tile::kPitch;
    for (int i = static_cast<int>(threadIdx.x); i < Window::kChunk * kChunks; i += kThreads) {
      const int row = first + i / kChunks;
      const int dim = i % kChunks * 8;
      const bool is_there = row >= 0 && row < 2 * tile.length;
      copy_async(to + i / kChunks * Tile::kPitch + dim, rows + (is_there ? row : 0) * inner + dim,
                 is_there);
    }
  }

  // Leaves the scores of the warp's queries and the distances that they may have in a tile.
  __device__ __forceinline__ void score_distances(Memory& memory, int index) const {
    float* to = memory.scores[warp] + lane / 4 * Window::kPitch + lane % 4 * 2;
#pragma unroll
    for (int column = 0; column < Window::kColumns; column += 16) {
      const int place = Window::place_of(index, Window::first_of_warp(warp) + column);
      float scores[8];
      score_rows<kElement>(places, memory.distances + place * Tile::kPitch, Tile::kPitch, scores);
#pragma unroll
      for (int i = 0; i < 8; i += 2)  // rows 0 and 8, and then eight columns behind
        *reinterpret_cast<float2*>(to + i % 4 / 2 * 8 * Window::kPitch + column + i / 4 * 8) = {
            scores[i], scores[i + 1]};
    }
    __syncwarp();
  }

  __device__ __forceinline__ void add_distances(const Memory& memory, float (&scores)[32]) const {
    const float* from = memory.scores[warp];
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      const int query = lane / 4 + i % 4 / 2 * 8;
      const int key = i / 4 * 8 + lane % 4 * 2 + i % 2;
      scores[i] =
          __fadd_rn(scores[i], from[query * Window::kPitch + Window::column_of(query, key)]);
    }
  }

  __device__ __forceinline__ void store() const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float inverse = softmax.inverse(half);
      const int at = warp * Window::kWarpQueries + lane / 4 + half * 8;
      if (at >= tile.rows) continue;
#pragma unroll
      for (int n = 0; n < kDims / 8; ++n) {
        const float* values = mixed + 4 * n + 2 * half;
        leave_pair(args, tile.first + at, head * kDims + n * 8 + lane % 4 * 2,
                   {__fmul_rn(values[0], inverse), __fmul_rn(values[1], inverse)});
      }
    }
  }
};

__device__ __forceinline__ void close_group() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// --- kernels ------------------------------------------------------------------------------------

// Grid: pieces of segments, heads, parts of a piece. `scale` has the factor log2(e), as of
// RunningSoftmax.
template <int kDims, Element kElement>
__global__ void __launch_bounds__(kThreads, 2)
    narrow_relative_kernel(const __grid_constant__ RelativeArgs args, float scale) {
  using A = Attend<kDims, kElement>;
  extern __shared__ uint4 relative_memory[];
  auto& memory = *reinterpret_cast<typename A::Memory*>(relative_memory);
  wait_for_previous_kernel();
  if (static_cast<std::int32_t>(blockIdx.x) >= count_of(args.rows, Count::tiles)) return;
  const QueryTile queries = QueryTile::of(args.rows, static_cast<std::int32_t>(blockIdx.x))
                                .part(static_cast<std::int32_t>(blockIdx.z), Window::kQueries);
  if (queries.rows <= 0) return;
  A attend(args, queries);
  attend.load_keys(memory.tiles[0], 0);
  attend.load_distances(memory, 0);
  attend.load_distances(memory, 1);
  close_group();
  const int tiles = ceil_div(queries.length, kTileKeys);
  for (int index = 0; index < tiles; ++index) {
    if (index + 1 < tiles) {
      attend.load_keys(memory.tiles[(index + 1) % 2], (index + 1) * kTileKeys);
      attend.load_distances(memory, index + 2);
      close_group();
      asm volatile("cp.async.wait_group 1;" ::: "memory");
    } else {
      asm volatile("cp.async.wait_group 0;" ::: "memory");
    }
    __syncthreads();
    attend.score_distances(memory, index);
    const typename A::Tile& tile = memory.tiles[index % 2];
    float scores[32];
    score_keys<kElement>(attend.contents, tile, scores);
    attend.add_distances(memory, scores);
    attend.softmax.weigh(scores, attend.mixed, scale, queries.length - index * kTileKeys);
    mix_values<kElement>(scores, tile, attend.mixed);
    __syncthreads();  // before anything is loaded again
  }
  attend.store();
}

// --- launchers ----------------------------------------------------------------------------------

template <int kDims, Element kElement>
void launch(const RelativeArgs& args, cudaStream_t stream) {
  constexpr float kLogOfTwo = 0.693147180559945309F;
  constexpr int kBytes = static_cast<int>(sizeof(BlockMemory<kDims>));
  check(
      cudaFuncSetAttribute(reinterpret_cast<const void*>(&narrow_relative_kernel<kDims, kElement>),
                           cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
      "shared memory of attention");
  const dim3 grid(static_cast<unsigned>(args.max_tiles), static_cast<unsigned>(args.heads),
                  static_cast<unsigned>(ceil_div(kItemTile, Window::kQueries)));
  launch_early(narrow_relative_kernel<kDims, kElement>, grid, kThreads, kBytes, stream, args,
               args.scale / kLogOfTwo);
  check_launch("relative_attention");
}

template <Element kElement>
void launch(const RelativeArgs& args, cudaStream_t stream) {
  if (args.head_dim == 32) return launch<32, kElement>(args, stream);
  launch<64, kElement>(args, stream);
}

}  // namespace

void narrow_relative_attention(const RelativeArgs& args, cudaStream_t stream) {
  if (args.element == Element::bfloat16) return launch<Element::bfloat16>(args, stream);
  launch<Element::float16>(args, stream);
}

}  // namespace ttsrt::cuda
