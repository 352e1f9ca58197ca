// Products of bfloat16 pairs on AVX-512 BF16: one instruction multiplies 16 pairs and adds both
// products of each. The level that includes it says whether it prefetches panels for any number of
// rows (kAlwaysPrefetches).
#pragma once

#include "cpu/kernels/vec_avx512.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kPairsBy = "vdpbf16ps";

// Measured on Zen 4, which starts one vector product per cycle, so products are the limit and not
// loads.
constexpr int32_t kTileRows = 12;
constexpr int32_t kWideRows = 16;
constexpr int32_t kTimeRows = kTileRows;
constexpr int32_t panels_in_flight(int32_t rows) {
  return rows <= 4 ? 4 : rows == 8 ? 3 : rows == 12 ? 2 : 1;
}

struct Bf16Pairs {
  __m512i v;
};
inline Bf16Pairs load_pairs(const void* p) { return {_mm512_loadu_si512(p)}; }
inline void store_pairs(void* p, const Bf16Pairs& a) { _mm512_storeu_si512(p, a.v); }
constexpr int kPairWords = 1;
inline Bf16Pairs set_pair(const uint32_t* p, int64_t) {
  return {_mm512_set1_epi32(static_cast<int32_t>(*p))};
}
inline Vec dot_pairs(Bf16Pairs a, Bf16Pairs b, Vec sum) {
  return {
      _mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a.v), reinterpret_cast<__m512bh>(b.v))};
}

// Two vectors of 16 int8, of one input and the next, as pairs; an 8-bit integer is exact in the
// upper half of a float32, which is a bfloat16.
inline Bf16Pairs load_byte_pairs(const unsigned char* p) {
  const __m512i even = _mm512_srli_epi32(_mm512_castps_si512(load_bytes(p).v), 16);
  const __m512i odd = _mm512_castps_si512(load_bytes(p + kLanes).v);
  return {_mm512_or_si512(even, odd)};
}

// Returns the pair of inputs 2 N and 2 N + 1 of a block of 8 nibbles. The permutation uses the low
// 5 bits of each index; the table is repeated, so that the bit that the shift leaves above the
// nibble has no effect.
alignas(64) constexpr uint16_t kNibbles[32] = {
    0xC100, 0xC0E0, 0xC0C0, 0xC0A0, 0xC080, 0xC040, 0xC000, 0xBF80, 0x0000, 0x3F80, 0x4000,
    0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0, 0xC100, 0xC0E0, 0xC0C0, 0xC0A0, 0xC080, 0xC040,
    0xC000, 0xBF80, 0x0000, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0};
template <int N>
Bf16Pairs nibble_pairs(Block a) {
  return {_mm512_permutexvar_epi16(_mm512_srli_epi16(a.v, 4 * N), _mm512_load_si512(kNibbles))};
}

}  // namespace
}  // namespace ttsrt::cpu
