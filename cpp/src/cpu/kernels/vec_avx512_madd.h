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
template <int Shift, int Mask>
Quads split_quads(__m512i x) {
  const __m512i mask = _mm512_set1_epi16(Mask);
  return {_mm512_and_si512(_mm512_srli_epi16(x, Shift), mask),
          _mm512_and_si512(_mm512_srli_epi16(x, 8 + Shift), mask)};
}
inline Quads byte_quads(Block a) { return split_quads<0, 0xFF>(a.v); }
template <int N>
Quads nibble_quads(Block a) {
  return split_quads<4 * N, 0xF>(a.v);
}
inline Quads set_quad(const uint32_t* p) {
  const __m512i x = _mm512_set1_epi32(static_cast<int32_t>(*p));
  return {_mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8), _mm512_srai_epi16(x, 8)};
}
inline Ints dot_quads(const Quads& w, const Quads& x, Ints sum) {
  const Ints even = sum_of(sum, ints_of(_mm512_madd_epi16(w.even, x.even)));
  return sum_of(even, ints_of(_mm512_madd_epi16(w.odd, x.odd)));
}

}  // namespace
}  // namespace ttsrt::cpu
