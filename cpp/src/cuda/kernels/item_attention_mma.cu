// Attention of whole items on the tensor cores of every GPU: mma.sync over tiles of 128 queries and
// 64 keys, with a running softmax in float32.
//
// A warp has 16 queries. Keys and values of the next tile are on their way while a tile is
// multiplied. Tiles of keys are counted from the begin of the segment, so that a row's sums depend
// on its segment alone. Rows behind the segment are zeros in shared memory and are never weighed.
#include "cuda/check.h"
#include "cuda/kernels/item_mma.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kQueries = 128;
constexpr int kWarps = kQueries / 16;
constexpr int kThreads = kWarps * kWarp;
constexpr int kKeys = kTileKeys;

// --- helpers ------------------------------------------------------------------------------------

template <int kDims, Element kElement>
struct Attend {
  static constexpr int kSteps = kDims / 16;     // of a score
  static constexpr int kDimBlocks = kDims / 8;  // of 8 dimensions
  using Tile = KeyTile<kDims>;

  const ItemAttentionArgs& args;
  QueryTile tile;
  int head, kv_head, lane, warp;
  std::int64_t width;  // of a prepared row
  std::uint32_t queries[kSteps][4];
  float mixed[kDimBlocks * 4] = {};
  RunningSoftmax softmax;

  __device__ __forceinline__ Attend(const ItemAttentionArgs& a, const QueryTile& t)
      : args(a),
        tile(t),
        head(static_cast<int>(blockIdx.y)),
        kv_head(head / (a.heads / a.kv_heads)),
        lane(static_cast<int>(threadIdx.x) % kWarp),
        warp(static_cast<int>(threadIdx.x) / kWarp),
        width(std::int64_t{a.heads + 2 * a.kv_heads} * a.head_dim) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) queries[s][i] = query(i % 2 * 8, s * 16 + i / 2 * 8);
    }
  }

  __device__ const std::uint16_t* row(std::int64_t of) const {
    return static_cast<const std::uint16_t*>(args.prepared) + of * width;
  }
  // Two values of the query lane / 4 + `apart`, from `dim` on.
  __device__ std::uint32_t query(int apart, int dim) const {
    const int at = warp * 16 + lane / 4 + apart;
    if (at >= tile.rows) return 0;
    return *reinterpret_cast<const std::uint32_t*>(row(tile.first + at) + head * kDims + dim +
                                                   lane % 4 * 2);
  }

  __device__ __forceinline__ void load(Tile& to, int first_key) const {
    constexpr int kChunks = kDims / 8;
    const std::int64_t keys_at = std::int64_t{args.heads + kv_head} * kDims;
    const std::int64_t values_at = keys_at + std::int64_t{args.kv_heads} * kDims;
    for (int i = static_cast<int>(threadIdx.x); i < kKeys * kChunks; i += kThreads) {
      const int key = i / kChunks;
      const int dim = i % kChunks * 8;
      const bool is_there = first_key + key < tile.length;
      const std::uint16_t* from = row(tile.begin + (is_there ? first_key + key : 0)) + dim;
      copy_async(to.keys + key * Tile::kPitch + dim, from + keys_at, is_there);
      copy_async(to.values + key * Tile::kPitch + dim, from + values_at, is_there);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

  __device__ __forceinline__ void store() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float inverse = softmax.inverse(half);
      const int at = warp * 16 + lane / 4 + half * 8;
      if (at >= tile.rows) continue;
#pragma unroll
      for (int n = 0; n < kDimBlocks; ++n) {
        const float* values = mixed + 4 * n + 2 * half;
        leave_pair(args, tile.first + at, head * kDims + n * 8 + lane % 4 * 2,
                   {__fmul_rn(values[0], inverse), __fmul_rn(values[1], inverse)});
      }
    }
  }
};

// --- kernels ------------------------------------------------------------------------------------

// Grid: pieces of segments, heads, parts of a piece. `scale` has the factor log2(e), as of
// RunningSoftmax.
template <int kDims, Element kElement>
__global__ void __launch_bounds__(kThreads, kDims == 128 ? 1 : 2)
    item_attention_kernel(const __grid_constant__ ItemAttentionArgs args, float scale) {
  using A = Attend<kDims, kElement>;
  extern __shared__ uint4 item_memory[];
  auto* tiles = reinterpret_cast<typename A::Tile*>(item_memory);
  wait_for_previous_kernel();
  if (static_cast<std::int32_t>(blockIdx.x) >= count_of(args.rows, Count::tiles)) return;
  const QueryTile queries = QueryTile::of(args.rows, static_cast<std::int32_t>(blockIdx.x))
                                .part(static_cast<std::int32_t>(blockIdx.z), kQueries);
  if (queries.rows <= 0) return;
  A attend(args, queries);
  const int length = attend.tile.length;
  attend.load(tiles[0], 0);
  for (int first = 0; first < length; first += kKeys) {
    typename A::Tile& tile = tiles[first / kKeys % 2];
    if (first + kKeys < length) {
      attend.load(tiles[(first / kKeys + 1) % 2], first + kKeys);
      asm volatile("cp.async.wait_group 1;" ::: "memory");
    } else {
      asm volatile("cp.async.wait_group 0;" ::: "memory");
    }
    __syncthreads();
    float scores[32];
    score_keys<kElement>(attend.queries, tile, scores);
    attend.softmax.weigh(scores, attend.mixed, scale, length - first);
    mix_values<kElement>(scores, tile, attend.mixed);
    __syncthreads();  // before the tile is loaded again
  }
  attend.store();
}

// --- launchers ----------------------------------------------------------------------------------

template <int kDims, Element kElement>
void launch(const ItemAttentionArgs& args, cudaStream_t stream) {
  constexpr float kLogOfTwo = 0.693147180559945309F;
  constexpr int kBytes = 2 * static_cast<int>(sizeof(KeyTile<kDims>));
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(&item_attention_kernel<kDims, kElement>),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
        "shared memory of attention");
  const dim3 grid(static_cast<unsigned>(args.max_tiles), static_cast<unsigned>(args.heads),
                  static_cast<unsigned>(ceil_div(kItemTile, kQueries)));
  launch_early(item_attention_kernel<kDims, kElement>, grid, kThreads, kBytes, stream, args,
               args.scale / kLogOfTwo);
  check_launch("item_attention");
}

template <Element kElement>
void launch(const ItemAttentionArgs& args, cudaStream_t stream) {
  if (args.head_dim == 32) return launch<32, kElement>(args, stream);
  if (args.head_dim == 64) return launch<64, kElement>(args, stream);
  launch<128, kElement>(args, stream);
}

}  // namespace

void narrow_item_attention(const ItemAttentionArgs& args, cudaStream_t stream) {
  if (args.element == Element::bfloat16) return launch<Element::bfloat16>(args, stream);
  launch<Element::float16>(args, stream);
}

}  // namespace ttsrt::cuda
