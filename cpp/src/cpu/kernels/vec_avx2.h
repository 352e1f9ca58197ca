// 16 floats in two AVX2 registers (AVX2, FMA, F16C).
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernels/kernels.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kPairsBy = "vfmadd of widened pairs";
constexpr const char* kBytesBy = "vpmaddwd";

constexpr int32_t kTileRows = 4;
constexpr int32_t kWideRows = kTileRows;
constexpr int32_t kTimeRows = 6;  // of a convolution over time: 12 of the 16 registers are sums
// Queries that attention handles together, and vectors of keys or values: 8 of the 16 registers are
// sums.
constexpr int kQueryRows = 4;
constexpr int kQueryVecs = 1;
constexpr bool kAlwaysPrefetches = true;  // prefetches panels for any number of rows
constexpr int32_t panels_in_flight(int32_t rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }
constexpr int32_t kByteOffset = 128;  // offset of the weights in byte_quads

struct Vec {
  __m256 a, b;
};
struct Ints {
  __m256i a, b;
};

inline Vec set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Vec x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline __m256 half_partial(const float* p, int32_t count) {
  const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), places));
}
inline Vec load_partial(const float* p, int32_t count) {
  if (count <= 8) return {half_partial(p, count), _mm256_setzero_ps()};
  return {_mm256_loadu_ps(p), half_partial(p + 8, count - 8)};
}
// Pieces of 8, 4, 2 and 1: a masked store is slow on AMD processors.
inline void store_partial(float* p, Vec x, int32_t count) {
  if ((count & 8) != 0) {
    _mm256_storeu_ps(p, x.a);
    p += 8;
    x.a = x.b;
  }
  __m128 rest = _mm256_castps256_ps128(x.a);
  if ((count & 4) != 0) {
    _mm_storeu_ps(p, rest);
    p += 4;
    rest = _mm256_extractf128_ps(x.a, 1);
  }
  if ((count & 2) != 0) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
    p += 2;
    rest = _mm_movehl_ps(rest, rest);
  }
  if ((count & 1) != 0) _mm_store_ss(p, rest);
}

inline Vec fma(Vec x, Vec y, Vec z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline Vec operator+(Vec x, Vec y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Vec operator-(Vec x, Vec y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline Vec operator*(Vec x, Vec y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline Vec operator/(Vec x, Vec y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline Vec larger(Vec x, Vec y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline Vec smaller(Vec x, Vec y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
// x < limit ? y : z
inline Vec if_less(Vec x, Vec limit, Vec y, Vec z) {
  return {_mm256_blendv_ps(z.a, y.a, _mm256_cmp_ps(x.a, limit.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(z.b, y.b, _mm256_cmp_ps(x.b, limit.b, _CMP_LT_OQ))};
}

inline float reduce_add(Vec x) {
  const __m256 s = _mm256_add_ps(x.a, x.b);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
inline float reduce_max(Vec x) {
  const __m256 s = _mm256_max_ps(x.a, x.b);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
inline Vec keep_first(Vec x, int32_t count, float fill) {
  float lanes[kLanes];
  store(lanes, x);
  for (int32_t i = count; i < kLanes; ++i) lanes[i] = fill;
  return load(lanes);
}
inline uint32_t mask_not_less(Vec x, Vec y) {
  const auto low = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, _CMP_GE_OQ)));
  const auto high = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, _CMP_GE_OQ)));
  return low | high << 8;
}
// Returns p * 2^n for integers n in [-126, 128].
inline __m256 half_scale(__m256 p, __m256 n) {
  const __m256i exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(exponent));
}
inline Vec scale_by_power(Vec p, Vec n) { return {half_scale(p.a, n.a), half_scale(p.b, n.b)}; }

// Returns signed integers with the same order as the floats.
inline __m256i half_keys(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  return _mm256_xor_si256(
      bits, _mm256_and_si256(_mm256_srai_epi32(bits, 31), _mm256_set1_epi32(0x7FFFFFFF)));
}
inline Ints order_keys(Vec x) { return {half_keys(x.a), half_keys(x.b)}; }
inline int32_t count_not_less(Ints keys, int32_t least) {
  const __m256i bar = _mm256_set1_epi32(least);
  const int low = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(bar, keys.a)));
  const int high = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(bar, keys.b)));
  return kLanes - __builtin_popcount(static_cast<unsigned>(low | high << 8));
}

inline __m256 widen_bf16(const uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
inline Vec load_bf16(const uint16_t* p) { return {widen_bf16(p), widen_bf16(p + 8)}; }
inline __m256 widen_f16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Vec load_f16(const uint16_t* p) { return {widen_f16(p), widen_f16(p + 8)}; }

// 16 pairs of bfloat16, and their dot products with one pair of an input.
struct Bf16Pairs {
  Vec even, odd;
};
inline Vec low_halves(__m256i x, __m256i y) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(y, 16))};
}
inline Vec high_halves(__m256i x, __m256i y) {
  const __m256i high = _mm256_set1_epi32(static_cast<int32_t>(0xFFFF0000U));
  return {_mm256_castsi256_ps(_mm256_and_si256(x, high)),
          _mm256_castsi256_ps(_mm256_and_si256(y, high))};
}
inline Bf16Pairs load_pairs(const void* p) {
  const __m256i x = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  const __m256i y = _mm256_loadu_si256(static_cast<const __m256i*>(p) + 1);
  return {low_halves(x, y), high_halves(x, y)};
}
// Packs floats that bfloat16 represents exactly.
inline __m256i half_pairs(__m256 even, __m256 odd) {
  return _mm256_or_si256(_mm256_srli_epi32(_mm256_castps_si256(even), 16),
                         _mm256_castps_si256(odd));
}
inline void store_pairs(void* p, const Bf16Pairs& x) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), half_pairs(x.even.a, x.odd.a));
  _mm256_storeu_si256(static_cast<__m256i*>(p) + 1, half_pairs(x.even.b, x.odd.b));
}
// A pair of an input is packed as two floats, so that it is widened once and not for every panel.
constexpr int kPairWords = 2;
inline Bf16Pairs set_pair(const uint32_t* p, int64_t apart) {
  float even = 0.0F;
  float odd = 0.0F;
  memcpy(&even, p, sizeof(even));
  memcpy(&odd, p + apart, sizeof(odd));
  return {set(even), set(odd)};
}
inline Vec dot_pairs(Bf16Pairs x, Bf16Pairs y, Vec sum) {
  return fma(x.odd, y.odd, fma(x.even, y.even, sum));
}

// Integers, for quantized inputs.
inline Ints set_ints(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline Ints sum_of(Ints x, Ints y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
inline Ints larger(Ints x, Ints y) {
  return {_mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b)};
}
inline int32_t reduce_add(Ints x) {
  const __m256i s = _mm256_add_epi32(x.a, x.b);
  __m128i q = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
  q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(q, _mm_shuffle_epi32(q, 0xB1)));
}
inline int32_t reduce_max(Ints x) {
  const __m256i s = _mm256_max_epi32(x.a, x.b);
  __m128i q = _mm_max_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
  q = _mm_max_epi32(q, _mm_shuffle_epi32(q, 0x4E));
  return _mm_cvtsi128_si32(_mm_max_epi32(q, _mm_shuffle_epi32(q, 0xB1)));
}
// Returns the bits of |x|, which have the same order as the magnitudes, with NaN last.
inline Ints magnitude_bits(Vec x) {
  const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
  return {_mm256_and_si256(_mm256_castps_si256(x.a), mask),
          _mm256_and_si256(_mm256_castps_si256(x.b), mask)};
}
// Rounds to nearest even.
inline Ints to_ints(Vec x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
inline Vec to_floats(Ints x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
// Stores as int8 with saturation.
inline void store_bytes(void* p, Ints x) {
  const __m256i shorts = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xD8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(shorts), _mm256_extracti128_si256(shorts, 1));
  _mm_storeu_si128(static_cast<__m128i*>(p), bytes);
}

// 16 int8 as floats, and two such vectors, of one input and the next, as pairs.
inline __m256 half_bytes(const unsigned char* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
inline Vec load_bytes(const unsigned char* p) { return {half_bytes(p), half_bytes(p + 8)}; }
inline Bf16Pairs load_byte_pairs(const unsigned char* p) {
  return {load_bytes(p), load_bytes(p + kLanes)};
}

// 64 bytes of quantized weights; nibble_pairs<N> returns the pair of inputs 2 N and 2 N + 1 of a
// block of 8.
struct Block {
  __m256i a, b;
};
inline Block load_block(const void* p) {
  return {_mm256_loadu_si256(static_cast<const __m256i*>(p)),
          _mm256_loadu_si256(static_cast<const __m256i*>(p) + 1)};
}
inline __m256 nibble_floats(__m256i bits) {
  const __m256i nibbles = _mm256_and_si256(bits, _mm256_set1_epi32(15));
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(nibbles, _mm256_set1_epi32(8)));
}
template <int N>
Bf16Pairs nibble_pairs(Block x) {
  return {
      {nibble_floats(_mm256_srli_epi32(x.a, 4 * N)), nibble_floats(_mm256_srli_epi32(x.b, 4 * N))},
      {nibble_floats(_mm256_srli_epi32(x.a, 16 + 4 * N)),
       nibble_floats(_mm256_srli_epi32(x.b, 16 + 4 * N))}};
}

// Four unsigned bytes of each of 16 outputs, and four int8 of an input, split into even and odd and
// widened to 16 bits, because AVX2's byte product saturates its sums and the 16-bit one does not.
struct HalfQuads {
  __m256i even, odd;
};
struct Quads {
  HalfQuads a, b;
};
inline HalfQuads split_quads(__m256i x) {
  return {_mm256_and_si256(x, _mm256_set1_epi16(0xFF)), _mm256_srli_epi16(x, 8)};
}
inline Quads byte_quads(Block x) { return {split_quads(x.a), split_quads(x.b)}; }
inline __m256i set_word(const uint32_t* p) { return _mm256_set1_epi32(static_cast<int32_t>(*p)); }
inline HalfQuads set_quad(const uint32_t* p) {
  const __m256i x = set_word(p);
  return {_mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8), _mm256_srai_epi16(x, 8)};
}
inline __m256i half_dot(const HalfQuads& w, const HalfQuads& x, __m256i sum) {
  const __m256i even = _mm256_add_epi32(sum, _mm256_madd_epi16(w.even, x.even));
  return _mm256_add_epi32(even, _mm256_madd_epi16(w.odd, x.odd));
}
inline Ints dot_quads(const Quads& w, const HalfQuads& x, Ints sum) {
  return {half_dot(w.a, x, sum.a), half_dot(w.b, x, sum.b)};
}

// The nibbles of a block as bytes: of its first four inputs, and of the next four. With them the
// byte product does not saturate: the four products of a lane are at most 4 * 15 * 127.
struct Nibbles {
  Block low, high;
};
inline Nibbles nibbles_of(Block x) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {{_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)},
          {_mm256_and_si256(_mm256_srli_epi16(x.a, 4), mask),
           _mm256_and_si256(_mm256_srli_epi16(x.b, 4), mask)}};
}
inline __m256i half_nibble_dot(__m256i low, __m256i high, __m256i x, __m256i y, __m256i sum) {
  const __m256i pairs =
      _mm256_add_epi16(_mm256_maddubs_epi16(low, x), _mm256_maddubs_epi16(high, y));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
// Adds the products with four int8 at `low` and four at `high`.
inline Ints dot_nibbles(const Nibbles& w, const uint32_t* low, const uint32_t* high, Ints sum) {
  const __m256i x = set_word(low);
  const __m256i y = set_word(high);
  return {half_nibble_dot(w.low.a, w.high.a, x, y, sum.a),
          half_nibble_dot(w.low.b, w.high.b, x, y, sum.b)};
}

// Prefetches into the L2 cache, not the L1. It is always inlined, because GCC 12 treats a function
// that only prefetches as one without effect and drops its calls.
__attribute__((always_inline)) inline void prefetch_far(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}

}  // namespace
}  // namespace ttsrt::cpu
