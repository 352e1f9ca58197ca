// Byte products on AVX-512 without VNNI.
#pragma once

#include "cpu/kernels/vec_avx512.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kBytesBy = "vpmaddwd";

// Four unsigned bytes of each of 16 outputs, and four int8 of an input, split into even and odd and
// widened to 16 bits, because this level's byte product saturates its sums and the 16-bit one does
// not.
struct Quads {
  __m512i even, odd;
};
inline Quads byte_quads(Block a) {
  return {_mm512_and_si512(a.v, _mm512_set1_epi16(0xFF)), _mm512_srli_epi16(a.v, 8)};
}
inline __m512i set_word(const uint32_t* p) { return _mm512_set1_epi32(static_cast<int32_t>(*p)); }
inline Quads set_quad(const uint32_t* p) {
  const __m512i x = set_word(p);
  return {_mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8), _mm512_srai_epi16(x, 8)};
}
inline Ints dot_quads(const Quads& w, const Quads& x, Ints sum) {
  const Ints even = sum_of(sum, ints_of(_mm512_madd_epi16(w.even, x.even)));
  return sum_of(even, ints_of(_mm512_madd_epi16(w.odd, x.odd)));
}

// The nibbles of a block as bytes: of its first four inputs, and of the next four. With them the
// byte product does not saturate: the four products of a lane are at most 4 * 15 * 127.
struct Nibbles {
  __m512i low, high;
};
inline Nibbles nibbles_of(Block a) {
  const __m512i mask = _mm512_set1_epi8(15);
  return {_mm512_and_si512(a.v, mask), _mm512_and_si512(_mm512_srli_epi16(a.v, 4), mask)};
}
// Adds the products with four int8 at `low` and four at `high`.
inline Ints dot_nibbles(const Nibbles& w, const uint32_t* low, const uint32_t* high, Ints sum) {
  const __m512i pairs = _mm512_add_epi16(_mm512_maddubs_epi16(w.low, set_word(low)),
                                         _mm512_maddubs_epi16(w.high, set_word(high)));
  return sum_of(sum, ints_of(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1))));
}

}  // namespace
}  // namespace ttsrt::cpu
