// Attention of one query head over keys and values in blocks of 16 positions.
//
// Decided: a sweep takes every kStride-th block, a lane takes fixed positions of each block, and
// every lane keeps a running softmax of its positions in float32. Lanes are merged by a fixed tree,
// and sweeps in order (attend_slices.cuh). So the result depends on the positions and their
// contents only, never on other rows or on how a prefill was cut. The first loads of a warp are
// issued before the query is there (Sweep::start), and each lane has several loads of 16 bytes
// under way.
//
// A score that is not finite becomes NaN. A maximum that drops NaN does no harm, because the
// weight, exp(NaN - maximum), is NaN again. Positions that are not seen are never loaded.
#pragma once

#include "cuda/check.h"
#include "cuda/kernels/attention.cuh"

namespace ttsrt::cuda {

// --- lanes --------------------------------------------------------------------------------------

// How a warp reads keys: kLanes lanes share a position, each with kChunks vectors of kVec elements.
// An exact shape covers head_dim without a remainder.
template <Element kStored, int kVecSize, int kLaneCount, int kChunkCount, bool kIsExact>
struct Shape {
  using Type = typename Stored<kStored>::Type;
  static constexpr Element kElement = kStored;
  static constexpr int kVec = kVecSize;
  static constexpr int kLanes = kLaneCount;
  static constexpr int kChunks = kChunkCount;
  static constexpr bool kExact = kIsExact;
  static constexpr int kFloats = kVec * kChunks;        // dimensions of a lane
  static constexpr int kDims = kFloats * kLanes;        // at least head_dim
  static constexpr int kGroups = 32 / kLanes;           // positions side by side
  static constexpr int kSteps = kCacheBlock / kGroups;  // positions of a lane in a block
  static constexpr int kMostLoads = 4 / kChunks;
  static constexpr int kUnroll = kSteps < kMostLoads ? kSteps : kMostLoads;
  static constexpr int kWindows = kSteps / kUnroll;  // of a block
  static constexpr int kVecBytes = kVec * static_cast<int>(sizeof(Type));
  static_assert(kDims <= kMaxHeadDim && kWindows * kUnroll * kGroups == kCacheBlock);

  __device__ static int place() { return static_cast<int>(threadIdx.x) % kLanes; }
  __device__ static int group() { return static_cast<int>(threadIdx.x) % 32 / kLanes; }
  // The first dimension of a vector of this lane.
  __device__ static int first(int chunk) { return (chunk * kLanes + place()) * kVec; }
  __device__ static bool has(int chunk, int head_dim) { return kExact || first(chunk) < head_dim; }
};

template <int kBytes>
struct alignas(kBytes) RawVector {
  std::uint32_t words[kBytes / 4];
};

// Loads a vector from global memory, or returns zeros. A predicated load keeps the loads of a
// window free of branches.
template <int kBytes>
__device__ RawVector<kBytes> load_if(bool is_read, const std::byte* from) {
  RawVector<kBytes> raw = {};
  auto& to = raw.words;
  const auto reads = static_cast<std::uint32_t>(is_read);
  if constexpr (kBytes == 16) {
    asm volatile(
        "{ .reg .pred p; setp.ne.u32 p, %5, 0; @p ld.global.v4.u32 {%0, %1, %2, %3}, [%4]; }"
        : "+r"(to[0]), "+r"(to[1]), "+r"(to[2]), "+r"(to[3])
        : "l"(from), "r"(reads));
  } else if constexpr (kBytes == 8) {
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %3, 0; @p ld.global.v2.u32 {%0, %1}, [%2]; }"
                 : "+r"(to[0]), "+r"(to[1])
                 : "l"(from), "r"(reads));
  } else {
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %2, 0; @p ld.global.u32 %0, [%1]; }"
                 : "+r"(to[0])
                 : "l"(from), "r"(reads));
  }
  return raw;
}

// Returns element i of a raw vector. Bytes become floats through the bits of 2^23 + byte.
template <Element kElement, int kBytes>
__device__ float widen(const RawVector<kBytes>& raw, int i) {
  if constexpr (kElement == Element::float32) {
    return __uint_as_float(raw.words[i]);
  } else if constexpr (kElement == Element::bfloat16) {
    const std::uint32_t word = raw.words[i / 2];
    return __uint_as_float(i % 2 == 0 ? word << 16 : word & 0xFFFF0000U);
  } else if constexpr (kElement == Element::float16) {
    const std::uint32_t word = raw.words[i / 2];
    return __half2float(
        __ushort_as_half(static_cast<unsigned short>(i % 2 == 0 ? word & 0xFFFFU : word >> 16)));
  } else {
    const std::uint32_t shifted = raw.words[i / 4] ^ 0x80808080U;  // byte + 128
    return __uint_as_float(__byte_perm(shifted, 0x4B000000U, 0x7440U | (i % 4))) - 8388736.0F;
  }
}

// --- where keys and values are ------------------------------------------------------------------

// 16 positions of one head; int8 scales are behind the elements of each part.
struct Part {
  const std::byte* keys = nullptr;
  const std::byte* values = nullptr;
  std::int64_t row_bytes = 0;  // from position to position
};

// Blocks of a CacheView, named by a table, or consecutive where that is null.
struct BlockSource {
  const std::byte* head = nullptr;  // of block 0
  std::int64_t part_bytes = 0;
  std::int64_t block_bytes = 0;
  std::int64_t row_bytes = 0;
  const std::int32_t* table = nullptr;

  template <typename S>
  __device__ static BlockSource of(const CacheView& cache, const std::byte* first, int head,
                                   const std::int32_t* table) {
    return {first + std::int64_t{head} * 2 * cache.part_bytes, cache.part_bytes, cache.block_bytes,
            padded_dims(cache.head_dim) * std::int64_t{sizeof(typename S::Type)}, table};
  }
  __device__ std::int32_t id(int block) const { return table == nullptr ? block : table[block]; }
  __device__ Part part(std::int32_t id) const {
    const std::byte* keys = head + id * block_bytes;
    return {keys, keys + part_bytes, row_bytes};
  }
};

// The key and the value of a row's own position, which is not read from the source.
struct OwnVectors {
  const std::byte* elements[2] = {};
  const float* scales[2] = {};
};

// The keys and values that a lane loads at once.
template <typename S>
struct Window {
  using Raw = RawVector<S::kVecBytes>;
  Raw keys[S::kUnroll][S::kChunks];
  Raw values[S::kUnroll][S::kChunks];
  float key_scales[S::kUnroll];
  float value_scales[S::kUnroll];

  // Loads the positions of window `index` of a block of which `count` may be read.
  __device__ void load(const Part& part, int index, int count, int head_dim) {
    load_keys(part, index, count, head_dim);
    load_half(part.values, part.row_bytes, index, count, head_dim, values, value_scales);
  }
  __device__ void load_keys(const Part& part, int index, int count, int head_dim) {
    load_half(part.keys, part.row_bytes, index, count, head_dim, keys, key_scales);
  }

  __device__ void take_own(const OwnVectors& own, int u, int head_dim) {
#pragma unroll
    for (int c = 0; c < S::kChunks; ++c) {
      if (!S::has(c, head_dim)) continue;
      const std::int64_t at = S::first(c) * std::int64_t{sizeof(typename S::Type)};
      keys[u][c] = *reinterpret_cast<const Raw*>(own.elements[0] + at);
      values[u][c] = *reinterpret_cast<const Raw*>(own.elements[1] + at);
    }
    if constexpr (S::kElement == Element::int8) {
      key_scales[u] = *own.scales[0];
      value_scales[u] = *own.scales[1];
    }
  }

  // The place in its block of a lane's position.
  __device__ static int place_of(int index, int u) {
    return (index * S::kUnroll + u) * S::kGroups + S::group();
  }

  // Returns the score of a position; all lanes of its group get the same bits.
  __device__ float score(int u, const float (&query)[S::kFloats], float scale) const {
    float sum = 0.0F;
#pragma unroll
    for (int c = 0; c < S::kChunks; ++c) {
#pragma unroll
      for (int i = 0; i < S::kVec; ++i)
        sum = fmaf(query[c * S::kVec + i], widen<S::kElement>(keys[u][c], i), sum);
    }
#pragma unroll
    for (int offset = S::kLanes / 2; offset > 0; offset /= 2)
      sum += __shfl_xor_sync(kAllLanes, sum, offset);
    sum = __fmul_rn(sum, scale);
    if constexpr (S::kElement == Element::int8) sum = __fmul_rn(sum, key_scales[u]);
    return isfinite(sum) ? sum : NAN;
  }

 private:
  __device__ static void load_half(const std::byte* elements, std::int64_t row_bytes, int index,
                                   int count, int head_dim, Raw (&raw)[S::kUnroll][S::kChunks],
                                   float (&scales)[S::kUnroll]) {
#pragma unroll
    for (int u = 0; u < S::kUnroll; ++u) {
      const int j = place_of(index, u);
      const bool is_there = j < count;
#pragma unroll
      for (int c = 0; c < S::kChunks; ++c) {
        const std::int64_t at =
            j * row_bytes + S::first(c) * std::int64_t{sizeof(typename S::Type)};
        const bool is_read = is_there && S::has(c, head_dim);
        raw[u][c] = load_if<S::kVecBytes>(is_read, elements + at);
      }
      if constexpr (S::kElement == Element::int8) {
        const std::byte* scale = elements + kCacheBlock * row_bytes + j * std::int64_t{4};
        scales[u] = __uint_as_float(load_if<4>(is_there, scale).words[0]);
      }
    }
  }
};

// --- running softmax ----------------------------------------------------------------------------

// The compiler may contract a product and a sum in one instance of a template and not in another,
// so what adds up to a result is written with intrinsics that it leaves alone.
__device__ inline float merged(float a, float share, float other, float other_share) {
  return __fmaf_rn(other, other_share, __fmul_rn(a, share));
}

// By what sums that were relative to `largest` are multiplied to be relative to `top`.
__device__ inline float share_of(float largest, float top) {
  return largest == top ? 1.0F : expf(largest - top);
}

template <typename S>
struct Softmax {
  float largest = -INFINITY;
  float sum = 0.0F;
  float mixed[S::kFloats] = {};

  // Raises the largest score to `top` and scales the sums.
  __device__ void raise(float top) {
    const float share = share_of(largest, top);
    largest = top;
    sum = __fmul_rn(sum, share);
#pragma unroll
    for (int i = 0; i < S::kFloats; ++i) mixed[i] = __fmul_rn(mixed[i], share);
  }

  __device__ void add(const Window<S>& window, int u, float weight) {
    sum = __fadd_rn(sum, weight);
    if constexpr (S::kElement == Element::int8) weight = __fmul_rn(weight, window.value_scales[u]);
#pragma unroll
    for (int c = 0; c < S::kChunks; ++c) {
#pragma unroll
      for (int i = 0; i < S::kVec; ++i) {
        float& at = mixed[c * S::kVec + i];
        at = fmaf(weight, widen<S::kElement>(window.values[u][c], i), at);
      }
    }
  }

  // Merges the groups of a warp; group 0 has the result.
  __device__ void merge_groups() {
#pragma unroll
    for (int offset = S::kLanes; offset < 32; offset *= 2) {
      const float other = __shfl_xor_sync(kAllLanes, largest, offset);
      const float top = fmaxf(largest, other);
      const float mine = share_of(largest, top);
      const float theirs = share_of(other, top);
      largest = top;
      sum = merged(sum, mine, __shfl_xor_sync(kAllLanes, sum, offset), theirs);
#pragma unroll
      for (int i = 0; i < S::kFloats; ++i)
        mixed[i] = merged(mixed[i], mine, __shfl_xor_sync(kAllLanes, mixed[i], offset), theirs);
    }
  }
};

// Leaves scores as they are; see Sweep::add.
struct PlainScores {
  __device__ float operator()(int /*position*/, float score) const { return score; }
};

// The way of one warp over every kStride-th block of the positions 0..seen-1 of one head. If
// kHasOwn, the last of them is not read from the source.
template <typename S, typename Source, int kStride, bool kHasOwn>
struct Sweep {
  Source source;
  int seen = 0;
  int head_dim = 0;
  int block = 0;
  int window_at = 0;
  std::int32_t next_id = 0;
  Part part;
  Window<S> window;

  __device__ void start(int first) {
    block = first;
    window_at = 0;
    if (!is_active()) return;
    next_id = source.id(block);
    fetch();
  }

  __device__ bool is_active() const { return block * kCacheBlock < seen; }

  __device__ void next() {
    if (++window_at == S::kWindows) {
      window_at = 0;
      block += kStride;
    }
    if (is_active()) fetch();
  }

  // Adds the window to the softmax. `change(position, score)` returns what becomes of a score; all
  // lanes of a group call it.
  template <typename Change>
  __device__ void add(const float (&query)[S::kFloats], float scale, const OwnVectors& own,
                      const Change& change, Softmax<S>& softmax) {
    float scores[S::kUnroll];
    float top = softmax.largest;
#pragma unroll
    for (int u = 0; u < S::kUnroll; ++u) {
      const int position = position_of(u);
      if (kHasOwn && position == seen - 1) window.take_own(own, u, head_dim);
      __syncwarp();
      scores[u] = window.score(u, query, scale);
      if (position < seen) {
        scores[u] = change(position, scores[u]);
        top = fmaxf(top, scores[u]);
      }
    }
    softmax.raise(top);
#pragma unroll
    for (int u = 0; u < S::kUnroll; ++u)
      softmax.add(window, u, position_of(u) < seen ? expf(scores[u] - top) : 0.0F);
  }

  __device__ int position_of(int u) const {
    return block * kCacheBlock + Window<S>::place_of(window_at, u);
  }

 private:
  __device__ void fetch() {
    if (window_at == 0) {
      part = source.part(next_id);
      const int after = block + kStride;
      if (after * kCacheBlock < seen) next_id = source.id(after);
    }
    const int readable = seen - (kHasOwn ? 1 : 0) - block * kCacheBlock;
    window.load(part, window_at, readable, head_dim);
  }
};

// Reads a lane's part of a query [S::kDims].
template <typename S>
__device__ void read_query(const float* query, float (&floats)[S::kFloats]) {
#pragma unroll
  for (int c = 0; c < S::kChunks; ++c) {
#pragma unroll
    for (int i = 0; i < S::kVec; ++i) floats[c * S::kVec + i] = query[S::first(c) + i];
  }
}

}  // namespace ttsrt::cuda
