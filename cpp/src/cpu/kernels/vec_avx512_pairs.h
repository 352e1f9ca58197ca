// Products of bfloat16 pairs on AVX-512 without bfloat16 instructions: they are exact in float32.
#pragma once

#include "cpu/kernels/vec_avx512.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kPairsBy = "vfmadd of widened pairs";

// Measured on Ice Lake, which starts two vector products per cycle, but hardly more than one load:
// tiles of 8 rows by 3 panels take 11 loads for 24 products (one core, float32: 176 GFLOP/s of
// 194), 12 by 2 take 14 loads (155), 16 by 1 take 17 (90).
constexpr int32_t kTileRows = 8;
constexpr int32_t kWideRows = kTileRows;
constexpr int32_t kTimeRows = kTileRows;
constexpr bool kAlwaysPrefetches = false;  // prefetches panels for any number of rows
constexpr int32_t panels_in_flight(int32_t rows) { return rows <= 4 ? 4 : 3; }

struct Bf16Pairs {
  __m512 even, odd;
};
inline Bf16Pairs split_pairs(__m512i bits) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)),
          _mm512_castsi512_ps(
              _mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int32_t>(0xFFFF0000U))))};
}
inline Bf16Pairs load_pairs(const void* p) { return split_pairs(_mm512_loadu_si512(p)); }
// Packs floats that bfloat16 represents exactly.
inline void store_pairs(void* p, const Bf16Pairs& a) {
  const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(a.even), 16);
  _mm512_storeu_si512(p, _mm512_or_si512(low, _mm512_castps_si512(a.odd)));
}
// A pair of an input is packed as two floats, so that it is widened once and not for every panel.
constexpr int kPairWords = 2;
inline Bf16Pairs set_pair(const uint32_t* p, int64_t apart) {
  float even = 0.0F;
  float odd = 0.0F;
  memcpy(&even, p, sizeof(even));
  memcpy(&odd, p + apart, sizeof(odd));
  return {_mm512_set1_ps(even), _mm512_set1_ps(odd)};
}
inline Vec dot_pairs(Bf16Pairs a, Bf16Pairs b, Vec sum) {
  return {_mm512_fmadd_ps(a.odd, b.odd, _mm512_fmadd_ps(a.even, b.even, sum.v))};
}

// Two vectors of 16 int8, of one input and the next, as pairs.
inline Bf16Pairs load_byte_pairs(const unsigned char* p) {
  return {load_bytes(p).v, load_bytes(p + kLanes).v};
}

// Returns the pair of inputs 2 N and 2 N + 1 of a block of 8 nibbles. The permutation uses the low
// 4 bits of each index, so the bits that the shift leaves above the nibble have no effect.
template <int N>
Bf16Pairs nibble_pairs(Block a) {
  const __m512 values = _mm512_setr_ps(-8.0F, -7.0F, -6.0F, -5.0F, -4.0F, -3.0F, -2.0F, -1.0F, 0.0F,
                                       1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F, 7.0F);
  return {_mm512_permutexvar_ps(_mm512_srli_epi32(a.v, 4 * N), values),
          _mm512_permutexvar_ps(_mm512_srli_epi32(a.v, 16 + 4 * N), values)};
}

}  // namespace
}  // namespace ttsrt::cpu
