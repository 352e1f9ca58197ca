// Pairs of bfloat16 on AVX-512 BF16: one instruction multiplies 16 pairs and adds both products.
#pragma once

#include "cpu/vec_avx512.h"

namespace ttsrt::cpu {
namespace {

struct Bf16Pairs {
  __m512i v;
};
inline Bf16Pairs load_pairs(const void* p) { return {_mm512_loadu_si512(p)}; }
inline Bf16Pairs set_pair(const uint32_t* p) {
  return {_mm512_set1_epi32(static_cast<int32_t>(*p))};
}
inline Vec dot_pairs(Bf16Pairs a, Bf16Pairs b, Vec sum) {
  return {
      _mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a.v), reinterpret_cast<__m512bh>(b.v))};
}

// 64 int8: four products of each lane added to its int32.
struct Int8Quads {
  __m512i v;
};
inline Int8Quads load_quads(const void* p) { return {_mm512_loadu_si512(p)}; }
inline Int8Quads dot_quads(Int8Quads a, Int8Quads b, Int8Quads sum) {
  return {_mm512_dpbusd_epi32(sum.v, a.v, b.v)};
}

}  // namespace
}  // namespace ttsrt::cpu
