// Attention of whole items on the tensor cores of every GPU: mma.sync over tiles of 128 queries and
// 64 keys, with a running softmax in float32.
//
// A warp has 16 queries. Keys and values of the next tile are on their way while a tile is
// multiplied. Tiles of keys are counted from the begin of the segment, so that a row's sums depend
// on its segment alone. Rows behind the segment are zeros in shared memory and are never weighed.
#include "cuda/check.h"
#include "cuda/kernels/item_attention.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kQueries = 128;
constexpr int kWarps = kQueries / 16;
constexpr int kThreads = kWarps * kWarp;
constexpr int kKeys = 64;  // of a tile

// --- helpers ------------------------------------------------------------------------------------

template <Element kElement>
__device__ __forceinline__ void multiply(const std::uint32_t (&a)[4], std::uint32_t b0,
                                         std::uint32_t b1, float* sum) {
  if constexpr (kElement == Element::bfloat16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

template <bool kTransposed>
__device__ __forceinline__ void load_matrices(const std::uint16_t* from, std::uint32_t (&to)[4]) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(from));
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at));
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at));
  }
}

// Copies 16 bytes, or writes zeros.
__device__ __forceinline__ void copy_async(std::uint16_t* to, const void* from, bool is_there) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from),
               "r"(is_there ? 16 : 0)
               : "memory");
}

// Keys and values of one tile, each [kKeys][kPitch].
template <int kDims>
struct KeyTile {
  static constexpr int kPitch = kDims + 8;  // keeps rows of a matrix in different banks
  std::uint16_t keys[kKeys * kPitch];
  std::uint16_t values[kKeys * kPitch];
};

template <int kDims, Element kElement>
struct Attend {
  static constexpr int kSteps = kDims / 16;     // of a score
  static constexpr int kKeyBlocks = kKeys / 8;  // of 8 keys
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

  __device__ __forceinline__ void score(const Tile& from, float (&scores)[kKeyBlocks * 4]) const {
#pragma unroll
    for (int j = 0; j < kKeyBlocks; j += 2) {
#pragma unroll
      for (int c = 0; c < 8; ++c) scores[4 * j + c] = 0.0F;
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        std::uint32_t b[4];
        const int matrix = lane / 8;
        const int key = (j + matrix / 2) * 8 + lane % 8;
        load_matrices<false>(from.keys + key * Tile::kPitch + s * 16 + matrix % 2 * 8, b);
        multiply<kElement>(queries[s], b[0], b[1], scores + 4 * j);
        multiply<kElement>(queries[s], b[2], b[3], scores + 4 * j + 4);
      }
    }
  }

  __device__ __forceinline__ void mix(const Tile& from, const float (&weights)[kKeyBlocks * 4]) {
#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      std::uint32_t a[4];
      narrow_weights(kElement, weights + 8 * k, a);
#pragma unroll
      for (int n = 0; n < kDimBlocks; n += 2) {
        std::uint32_t b[4];
        const int matrix = lane / 8;
        const int key = k * 16 + matrix % 2 * 8 + lane % 8;
        load_matrices<true>(from.values + key * Tile::kPitch + n * 8 + matrix / 2 * 8, b);
        multiply<kElement>(a, b[0], b[1], mixed + 4 * n);
        multiply<kElement>(a, b[2], b[3], mixed + 4 * n + 4);
      }
    }
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
    float scores[A::kKeyBlocks * 4];
    attend.score(tile, scores);
    attend.softmax.weigh(scores, attend.mixed, scale, length - first);
    attend.mix(tile, scores);
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
