// Pairs of bfloat16 on AVX-512 without its bfloat16 instructions: products are exact in float32.
#pragma once

#include "cpu/vec_avx512.h"

namespace ttsrt::cpu {
namespace {

struct Bf16Pairs {
  __m512 even, odd;
};
inline Bf16Pairs split_pairs(__m512i bits) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)),
          _mm512_castsi512_ps(
              _mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int32_t>(0xFFFF0000U))))};
}
inline Bf16Pairs load_pairs(const void* p) { return split_pairs(_mm512_loadu_si512(p)); }
inline Bf16Pairs set_pair(const uint32_t* p) {
  return split_pairs(_mm512_set1_epi32(static_cast<int32_t>(*p)));
}
inline Vec dot_pairs(Bf16Pairs a, Bf16Pairs b, Vec sum) {
  return {_mm512_fmadd_ps(a.odd, b.odd, _mm512_fmadd_ps(a.even, b.even, sum.v))};
}

// 64 int8: four products of each lane added to its int32.
struct Int8Quads {
  __m512i v;
};
inline Int8Quads load_quads(const void* p) { return {_mm512_loadu_si512(p)}; }
inline Int8Quads dot_quads(Int8Quads a, Int8Quads b, Int8Quads sum) {
  const __m512i pairs = _mm512_maddubs_epi16(a.v, b.v);
  return {_mm512_add_epi32(sum.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}

}  // namespace
}  // namespace ttsrt::cpu
