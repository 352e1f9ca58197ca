// What the attention kernels share: heads of a row as they stand at their position, and how a key
// or a value is rounded and stored.
//
// Decided: the angles are applied in double precision, as the plain form does, so that what is
// stored is the same as there.
#pragma once

#include <cmath>

#include "cuda/device.cuh"
#include "cuda/launch.h"

namespace ttsrt::cuda {

// Launched by self_attention().
void store_rows(const SelfAttentionArgs& args, cudaStream_t stream);
void segment_attention(const SelfAttentionArgs& args, cudaStream_t stream);
void add_text_scores(const SelfAttentionArgs& args, cudaStream_t stream);

// Loads a number here, and not only where it is used: what a kernel reads about its row comes in
// one round trip to memory, although not all of it may be needed.
__device__ inline std::int32_t load_now(const std::int32_t* from) {
  std::int32_t value;
  asm volatile("ld.global.s32 %0, [%1];" : "=r"(value) : "l"(from));
  return value;
}

// Returns the block of the cache that has a position of a row's sequence.
__device__ inline std::byte* block_of(const SelfAttentionArgs& args, std::int32_t row,
                                      int position) {
  const std::int32_t* table = args.rows.blocks + args.rows.table_at[row];
  return args.cache.data + table[position / kCacheBlock] * args.cache.block_bytes;
}

// --- rows of queries, keys and values -----------------------------------------------------------

// Angles [width] of a position: the cosines, then the sines, of its pairs; null: nothing turns.
struct Angles {
  const float* values = nullptr;
  int width = 0;

  __device__ static Angles of(const float* table, int width, std::int64_t position) {
    return {table == nullptr ? nullptr : table + position * width, width};
  }
};

// Returns element d of a head x [head_dim] as it stands at its position.
__device__ inline float turned(const float* x, int d, const Angles& angles) {
  if (angles.values == nullptr || d >= angles.width) return x[d];
  const int pairs = angles.width / 2;
  const int j = d < pairs ? d : d - pairs;
  const double a = x[j];
  const double b = x[j + pairs];
  const double cosine = angles.values[j];
  const double sine = angles.values[pairs + j];
  return static_cast<float>(d < pairs ? a * cosine - b * sine : b * cosine + a * sine);
}

// A row [Q | K | V] of self-attention.
struct QkvRow {
  const float* queries = nullptr;  // [heads, head_dim]
  const float* keys = nullptr;     // [kv_heads, head_dim]
  const float* values = nullptr;

  __device__ static QkvRow of(const SelfAttentionArgs& args, std::int64_t row) {
    const std::int64_t kv_width = std::int64_t{args.kv_heads} * args.head_dim;
    const std::int64_t width = std::int64_t{args.heads} * args.head_dim;
    const float* queries = args.qkv + row * (width + 2 * kv_width);
    return {queries, queries + width, queries + width + kv_width};
  }
};

// --- stored elements ----------------------------------------------------------------------------

template <Element kElement>
struct Stored;

template <>
struct Stored<Element::float32> {
  using Type = float;
  __device__ static float round(float x) { return x; }
  __device__ static float widen(float x) { return x; }
};

template <>
struct Stored<Element::bfloat16> {
  using Type = __nv_bfloat16;
  __device__ static __nv_bfloat16 round(float x) { return __float2bfloat16_rn(x); }
  __device__ static float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
};

template <>
struct Stored<Element::float16> {
  using Type = __half;
  __device__ static __half round(float x) { return __float2half_rn(x); }
  __device__ static float widen(__half x) { return __half2float(x); }
};

template <>
struct Stored<Element::int8> {
  using Type = std::int8_t;
};

// Where one head's key or value of one position is kept.
struct KeptVector {
  std::byte* elements = nullptr;  // [head_dim]
  float* scale = nullptr;         // int8 only
};

// Drops NaN, which the callers find otherwise.
__device__ inline float max_of_lanes(float x) {
  for (int offset = 16; offset > 0; offset /= 2)
    x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, offset));
  return x;
}

// Rounds a head x [head_dim] as it stands at its position to integers and a scale, which is NaN if
// an element is not finite. Returns whether all are finite. Called by all lanes of a warp.
__device__ inline bool keep_int8(const float* x, const Angles& angles, int head_dim,
                                 const KeptVector& to) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  float largest = 0.0F;
  bool is_finite = true;
  for (int d = lane; d < head_dim; d += 32) {
    const float value = turned(x, d, angles);
    is_finite = is_finite && isfinite(value);
    largest = fmaxf(largest, fabsf(value));
  }
  is_finite = __all_sync(kAllLanes, is_finite);
  const float scale = max_of_lanes(largest) / kLargestWhole;
  auto* elements = reinterpret_cast<std::int8_t*>(to.elements);
  for (int d = lane; d < head_dim; d += 32) {
    const float whole = rintf(turned(x, d, angles) / scale);
    const bool counts = is_finite && scale > 0.0F;
    elements[d] = counts
                      ? static_cast<std::int8_t>(fminf(fmaxf(whole, -kLargestWhole), kLargestWhole))
                      : std::int8_t{0};
  }
  if (lane == 0) *to.scale = is_finite ? scale : NAN;
  return is_finite;
}

// Rounds a head x [head_dim] as it stands at its position and keeps it. Returns whether all of it
// is finite as an element. Called by all lanes of a warp.
template <Element kElement>
__device__ bool keep_vector(const float* x, const Angles& angles, int head_dim,
                            const KeptVector& to) {
  if constexpr (kElement == Element::int8) {
    return keep_int8(x, angles, head_dim, to);
  } else {
    using Kept = Stored<kElement>;
    auto* elements = reinterpret_cast<typename Kept::Type*>(to.elements);
    bool is_finite = true;
    for (int d = static_cast<int>(threadIdx.x % 32); d < head_dim; d += 32) {
      const typename Kept::Type element = Kept::round(turned(x, d, angles));
      elements[d] = element;
      is_finite = is_finite && isfinite(Kept::widen(element));
    }
    return __all_sync(kAllLanes, is_finite);
  }
}

// Returns the place of a position in a block of one head: its key (part 0) or its value (part 1).
template <Element kElement>
__device__ KeptVector kept_at(const CacheView& cache, std::byte* block, int head, int part,
                              int place) {
  std::byte* begin = block + (std::int64_t{head} * 2 + part) * cache.part_bytes;
  const std::int64_t row_bytes =
      std::int64_t{padded_dims(cache.head_dim)} * sizeof(typename Stored<kElement>::Type);
  return {begin + place * row_bytes,
          reinterpret_cast<float*>(begin + kCacheBlock * row_bytes) + place};
}

}  // namespace ttsrt::cuda
