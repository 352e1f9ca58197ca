// Byte products on AVX-512 VNNI: one instruction multiplies 16 groups of four bytes and adds them.
#pragma once

#include "cpu/kernels/vec_avx512.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kBytesBy = "vpdpbusd";

// Four unsigned bytes of each of 16 outputs, and four int8 of an input.
struct Quads {
  __m512i v;
};
inline Quads byte_quads(Block a) { return {a.v}; }
template <int N>
Quads nibble_quads(Block a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4 * N), _mm512_set1_epi8(15))};
}
inline Quads set_quad(const uint32_t* p) { return {_mm512_set1_epi32(static_cast<int32_t>(*p))}; }
inline Ints dot_quads(const Quads& w, const Quads& x, Ints sum) {
  return ints_of(_mm512_dpbusd_epi32(raw(sum), w.v, x.v));
}

// For inputs that are split in two bytes.
inline Ints times_256(Ints a) { return ints_of(_mm512_slli_epi32(raw(a), 8)); }
// Turns 16 outputs of four inputs, int8, into byte_quads.
inline Block turned_block(Block a) {
  const __m512i lanes = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i bytes =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m512i turned = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(lanes, a.v), bytes);
  return {_mm512_xor_si512(turned, _mm512_set1_epi8(-128))};
}
// Rounds to the nearest bfloat16, as a float; NaN may become another number.
inline Vec rounded_to_bf16(Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
  return {_mm512_castsi512_ps(
      _mm512_and_si512(up, _mm512_set1_epi32(static_cast<int32_t>(0xFFFF0000U))))};
}
// Integers as 256 * high + low.
typedef signed char ByteLanes __attribute__((vector_size(16)));
struct SplitBytes {
  ByteLanes high, low;
};
inline SplitBytes split_bytes(Ints a) {
  const __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(raw(a), 24), 24);
  const __m512i high = _mm512_srai_epi32(_mm512_sub_epi32(raw(a), low), 8);
  return {reinterpret_cast<ByteLanes>(_mm512_cvtepi32_epi8(high)),
          reinterpret_cast<ByteLanes>(_mm512_cvtepi32_epi8(low))};
}

}  // namespace
}  // namespace ttsrt::cpu

#include "cpu/kernels/nibble_quads.h"
