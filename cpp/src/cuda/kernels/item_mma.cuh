// Products of warps over narrow rows in shared memory, and the copies that bring them there: what
// the kernels of attention over whole items share that run on the tensor cores of every GPU.
#pragma once

#include "cuda/kernels/item_attention.cuh"

namespace ttsrt::cuda {

// Adds the products of 16 x 16 and 16 x 8 elements.
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

constexpr int kTileKeys = 64;

// Keys and values of one tile, each [kTileKeys][kPitch].
template <int kDims>
struct KeyTile {
  static constexpr int kPitch = kDims + 8;  // keeps rows of a matrix in different banks
  std::uint16_t keys[kTileKeys * kPitch];
  std::uint16_t values[kTileKeys * kPitch];
};

// Scores of a warp's 16 queries and 16 rows of shared memory, `pitch` elements from row to row: of
// rows 0 to 7 in the first half of `scores`, as RunningSoftmax has them, and behind them of the
// others.
template <Element kElement, int kSteps>
__device__ __forceinline__ void score_rows(const std::uint32_t (&queries)[kSteps][4],
                                           const std::uint16_t* rows, int pitch, float* scores) {
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  const int matrix = lane / 8;
  const std::uint16_t* from = rows + (matrix / 2 * 8 + lane % 8) * pitch + matrix % 2 * 8;
#pragma unroll
  for (int c = 0; c < 8; ++c) scores[c] = 0.0F;
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
    std::uint32_t b[4];
    load_matrices<false>(from + s * 16, b);
    multiply<kElement>(queries[s], b[0], b[1], scores);
    multiply<kElement>(queries[s], b[2], b[3], scores + 4);
  }
}

template <Element kElement, int kDims>
__device__ __forceinline__ void score_keys(const std::uint32_t (&queries)[kDims / 16][4],
                                           const KeyTile<kDims>& tile, float (&scores)[32]) {
#pragma unroll
  for (int j = 0; j < kTileKeys / 16; ++j)
    score_rows<kElement>(queries, tile.keys + 16 * j * tile.kPitch, tile.kPitch, scores + 8 * j);
}

// Adds the values of a tile by the weights that RunningSoftmax left.
template <Element kElement, int kDims>
__device__ __forceinline__ void mix_values(const float (&weights)[32], const KeyTile<kDims>& tile,
                                           float (&mixed)[kDims / 2]) {
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  const int matrix = lane / 8;
#pragma unroll
  for (int k = 0; k < kTileKeys / 16; ++k) {
    std::uint32_t a[4];
    narrow_weights(kElement, weights + 8 * k, a);
#pragma unroll
    for (int n = 0; n < kDims / 8; n += 2) {
      std::uint32_t b[4];
      const int key = k * 16 + matrix % 2 * 8 + lane % 8;
      load_matrices<true>(tile.values + key * tile.kPitch + n * 8 + matrix / 2 * 8, b);
      multiply<kElement>(a, b[0], b[1], mixed + 4 * n);
      multiply<kElement>(a, b[2], b[3], mixed + 4 * n + 4);
    }
  }
}

}  // namespace ttsrt::cuda
