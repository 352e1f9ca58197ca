// Fragments of queries, keys and values for attention on tensor cores.
//
// Decided: a float32 is the exact sum of three bfloat16, its parts. The keys of 16 positions, and
// later the values of 16 positions, are the operand A of mma.m16n8k16; the operand B has the parts
// of the queries, and later those of the weights, and their products are added up apart. So
// products are those of float32. Keys and values go from memory to registers in the order of
// fragments: which index of a product stands for which dimension is free.
//
// For two queries, the parts of a query are columns of one operand (the fourth column does not
// count); for eight, each part has an operand of its own. A query has the same bits either way and
// whatever the other columns hold.
#pragma once

#include "cuda/kernels/attend_slices.cuh"

namespace ttsrt::cuda {

// kQueryCount (2 or 8) queries of kHeadDim dimensions.
template <int kHeadDim, int kQueryCount>
struct MmaShape {
  using Type = __nv_bfloat16;
  static constexpr Element kElement = Element::bfloat16;
  static constexpr int kDims = kHeadDim;
  static constexpr int kQueries = kQueryCount;
  static constexpr bool kApart = kQueries == 8;     // parts are in operands of their own
  static constexpr int kOperands = kApart ? 3 : 1;  // with parts of queries or weights
  static constexpr int kMine = kApart ? 2 : 1;      // queries of a lane
  static constexpr int kKeyVectors = kDims / 32;
  static constexpr int kValueVectors = kDims / 64;
  static constexpr int kSteps = kDims / 16;
  static constexpr int kRowBytes = kDims * 2;
  // Warps of a multiprocessor that have the registers which this shape needs, and the most of a
  // thread block.
  static constexpr int kResidentWarps = kDims == 64 ? (kApart ? 16 : 20) : kApart ? 8 : 12;
  static constexpr int kBlockWarps = kDims > 64 && kApart ? 8 : kMostWarps;
};

// As MmaShape with fewer registers, so that more warps run at once: for launches of so many rows
// that the blocks at the end would leave a device half idle.
template <int kHeadDim, int kQueryCount>
struct DenseMmaShape : MmaShape<kHeadDim, kQueryCount> {
  static constexpr int kResidentWarps = 24;
};

// The place of a lane in fragments: a row (also the column of B) and a pair of columns.
__device__ inline int fragment_row() { return static_cast<int>(threadIdx.x) % 32 / 4; }
__device__ inline int fragment_pair() { return static_cast<int>(threadIdx.x) % 4; }

// --- parts of a float32 -------------------------------------------------------------------------

// The parts of a number: the high halves of x, of what is left behind the first part, and of what
// is left behind the second.
struct Parts {
  float x;
  float second;
  float third;

  __device__ explicit Parts(float number) : x(number) {
    second = __fsub_rn(x, high_half(x));
    third = __fsub_rn(second, high_half(second));
  }
  __device__ float part(int i) const {
    return i == 0 ? x : i == 1 ? second : i == 2 ? third : 0.0F;
  }

 private:
  __device__ static float high_half(float number) {
    return __uint_as_float(__float_as_uint(number) & 0xFFFF0000U);
  }
};

// Packs the high halves of two words, or the low ones; the first is in the low half of the result.
__device__ inline std::uint32_t high_halves(std::uint32_t low, std::uint32_t high) {
  return __byte_perm(low, high, 0x7632U);
}
__device__ inline std::uint32_t low_halves(std::uint32_t low, std::uint32_t high) {
  return __byte_perm(low, high, 0x5410U);
}
__device__ inline std::uint32_t packed_parts(float low, float high) {
  return high_halves(__float_as_uint(low), __float_as_uint(high));
}

// Transposes a matrix of 8 x 8 elements of 16 bits, of which a lane has two of its row.
__device__ inline std::uint32_t transposed(std::uint32_t pair) {
  std::uint32_t columns;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(columns) : "r"(pair));
  return columns;
}

__device__ inline void multiply(float (&sums)[4], const std::uint32_t (&a)[4], const uint2& b) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
}

// The fragments of the queries in shared memory. Index k of step 2c + h, lane pair t, stands for
// the dimensions 32c + 8t + 4h + 0..3.
template <typename M>
struct QueryFragments {
  uint2 words[M::kSteps][M::kOperands][32];

  static constexpr int kUnits = M::kQueries * M::kSteps * 4;  // of four dimensions

  __device__ static int query_of(int unit) { return unit / (M::kSteps * 4); }
  __device__ static int first_dim(int unit) {
    const int step = unit / 4 % M::kSteps;
    return step / 2 * 32 + unit % 4 * 8 + step % 2 * 4;
  }
  __device__ void set(int unit, const float (&x)[4]) {
    const Parts of[4] = {Parts(x[0]), Parts(x[1]), Parts(x[2]), Parts(x[3])};
    const int query = query_of(unit);
#pragma unroll
    for (int i = 0; i < (M::kApart ? 3 : 4); ++i) {
      const int column = M::kApart ? query : 4 * query + i;
      words[unit / 4 % M::kSteps][M::kApart ? i : 0][4 * column + unit % 4] = {
          packed_parts(of[0].part(i), of[1].part(i)), packed_parts(of[2].part(i), of[3].part(i))};
    }
  }
};

// --- keys and values ----------------------------------------------------------------------------

// A load that does not push other data out of the L1 cache.
__device__ inline RawVector<16> load_once(const std::byte* from) {
  RawVector<16> raw;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(raw.words[0]), "=r"(raw.words[1]), "=r"(raw.words[2]), "=r"(raw.words[3])
               : "l"(from));
  return raw;
}

// What a lane has of a block: of row r, the keys of positions r and r + 8; of pair t, the values of
// positions 2t, 2t + 1, 2t + 8 and 2t + 9. Positions that may not be read are zeros.
template <typename M>
struct BlockVectors {
  RawVector<16> keys[2][M::kKeyVectors];      // dimensions 32c + 8t + 0..7
  RawVector<16> values[4][M::kValueVectors];  // dimensions 64c + 8r + 0..7

  // How far the lane's position j is behind its first one, which is first_key() or first_value().
  struct KeySteps {
    __device__ static constexpr int at(int j) { return 8 * j; }
  };
  struct ValueSteps {
    __device__ static constexpr int at(int j) { return j % 2 + j / 2 * 8; }
  };
  __device__ static int first_key() { return fragment_row(); }
  __device__ static int first_value() { return 2 * fragment_pair(); }

  // `from`: the keys of the block, of which `count` may be read.
  __device__ void load_keys(const std::byte* from, int count) {
    load<KeySteps>(from + first_key() * M::kRowBytes + fragment_pair() * 16, count, first_key(),
                   keys);
  }
  __device__ void load_values(const std::byte* from, int count) {
    load<ValueSteps>(from + first_value() * M::kRowBytes + fragment_row() * 16, count,
                     first_value(), values);
  }

  __device__ void take_own(const OwnVectors& own, int place) {
    take<KeySteps>(own.elements[0] + fragment_pair() * 16, place - first_key(), keys);
    take<ValueSteps>(own.elements[1] + fragment_row() * 16, place - first_value(), values);
  }

  __device__ void keys_of(int step, std::uint32_t (&a)[4]) const {
    const int word = step % 2 * 2;
    a[0] = keys[0][step / 2].words[word];
    a[1] = keys[1][step / 2].words[word];
    a[2] = keys[0][step / 2].words[word + 1];
    a[3] = keys[1][step / 2].words[word + 1];
  }

  // Returns the fragment of values of step 4c + m: rows r and r + 8 stand for the dimensions
  // 64c + 8r + 2m + 0..1, and indexes for positions.
  __device__ void values_of(int step, std::uint32_t (&a)[4]) const {
    std::uint32_t words[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) words[j] = values[j][step / 4].words[step % 4];
    a[0] = low_halves(words[0], words[1]);
    a[1] = high_halves(words[0], words[1]);
    a[2] = low_halves(words[2], words[3]);
    a[3] = high_halves(words[2], words[3]);
  }

  // Leaves only the values of the first `count` positions.
  __device__ void mask_values(int count) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int c = 0; c < M::kValueVectors; ++c) {
        if (first_value() + ValueSteps::at(j) >= count) values[j][c] = RawVector<16>{};
      }
    }
  }

 private:
  // `from`: the lane's first position. Vectors are 32 or 64 dimensions apart.
  template <typename Steps, int kPlaces, int kVectors>
  __device__ static void load(const std::byte* from, int count, int first,
                              RawVector<16> (&to)[kPlaces][kVectors]) {
    constexpr int kApart = M::kRowBytes / kVectors;
    if (count >= kCacheBlock) {
#pragma unroll
      for (int j = 0; j < kPlaces; ++j) {
#pragma unroll
        for (int c = 0; c < kVectors; ++c)
          to[j][c] = load_once(from + (Steps::at(j) * M::kRowBytes + c * kApart));
      }
      return;
    }
#pragma unroll
    for (int j = 0; j < kPlaces; ++j) {
#pragma unroll
      for (int c = 0; c < kVectors; ++c)
        to[j][c] = load_if<16>(first + Steps::at(j) < count,
                               from + (Steps::at(j) * M::kRowBytes + c * kApart));
    }
  }

  template <typename Steps, int kPlaces, int kVectors>
  __device__ static void take(const std::byte* from, int step,
                              RawVector<16> (&to)[kPlaces][kVectors]) {
#pragma unroll
    for (int j = 0; j < kPlaces; ++j) {
      if (Steps::at(j) != step) continue;
#pragma unroll
      for (int c = 0; c < kVectors; ++c)
        to[j][c] = *reinterpret_cast<const RawVector<16>*>(from + c * (M::kRowBytes / kVectors));
    }
  }
};

}  // namespace ttsrt::cuda
