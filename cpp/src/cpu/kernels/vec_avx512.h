// 16 floats in one AVX-512 register (F, BW, DQ, VL).
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernels/kernels.h"

namespace ttsrt::cpu {
namespace {

constexpr int32_t kByteOffset = 128;  // offset of the weights in byte_quads

constexpr int kQueryRows = 4;  // queries that attention handles together
constexpr int kQueryVecs = 4;  // and vectors of keys or values

struct Vec {
  __m512 v;
};

inline Vec set(float x) { return {_mm512_set1_ps(x)}; }
inline Vec zero() { return {_mm512_setzero_ps()}; }
inline Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
inline __mmask16 first_lanes(int32_t count) { return static_cast<__mmask16>((1U << count) - 1U); }
inline Vec load_partial(const float* p, int32_t count) {
  return {_mm512_maskz_loadu_ps(first_lanes(count), p)};
}
inline void store_partial(float* p, Vec a, int32_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), a.v);
}

inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec larger(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec smaller(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
// x < limit ? a : b
inline Vec if_less(Vec x, Vec limit, Vec a, Vec b) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, limit.v, _CMP_LT_OQ), b.v, a.v)};
}

inline float reduce_add(Vec a) {
  const __m256 s = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
inline float reduce_max(Vec a) { return _mm512_reduce_max_ps(a.v); }
inline Vec keep_first(Vec a, int32_t count, float fill) {
  return {_mm512_mask_blend_ps(first_lanes(count), _mm512_set1_ps(fill), a.v)};
}
inline uint32_t mask_not_less(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ); }
// Returns p * 2^n for integers n in [-126, 128].
inline Vec scale_by_power(Vec p, Vec n) {
  const __m512i exponent =
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23);
  return {_mm512_mul_ps(p.v, _mm512_castsi512_ps(exponent))};
}

// 16 integers. The vector type is the same in all loops: if a sum is used as 8 wide integers in one
// place and 16 in another, GCC 12 keeps two copies, one of them in memory, which halves the speed
// of int8 products.
typedef int32_t Words __attribute__((vector_size(64)));
struct Ints {
  Words v;
};
inline __m512i raw(Ints a) { return reinterpret_cast<__m512i>(a.v); }
inline Ints ints_of(__m512i v) { return {reinterpret_cast<Words>(v)}; }

// Returns signed integers with the same order as the floats.
inline Ints order_keys(Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  return ints_of(_mm512_xor_si512(
      bits, _mm512_and_si512(_mm512_srai_epi32(bits, 31), _mm512_set1_epi32(0x7FFFFFFF))));
}
inline int32_t count_not_less(Ints keys, int32_t least) {
  return __builtin_popcount(_mm512_cmpge_epi32_mask(raw(keys), _mm512_set1_epi32(least)));
}

inline Vec load_bf16(const uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
inline Vec load_f16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

// Integers, for quantized inputs.
inline Ints set_ints(int32_t x) { return ints_of(_mm512_set1_epi32(x)); }
inline Ints sum_of(Ints a, Ints b) { return ints_of(_mm512_add_epi32(raw(a), raw(b))); }
inline Ints larger(Ints a, Ints b) { return ints_of(_mm512_max_epi32(raw(a), raw(b))); }
inline int32_t reduce_add(Ints a) { return _mm512_reduce_add_epi32(raw(a)); }
inline int32_t reduce_max(Ints a) { return _mm512_reduce_max_epi32(raw(a)); }
// Returns the bits of |x|, which have the same order as the magnitudes, with NaN last.
inline Ints magnitude_bits(Vec a) {
  return ints_of(_mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(0x7FFFFFFF)));
}
// Rounds to nearest even.
inline Ints to_ints(Vec a) { return ints_of(_mm512_cvtps_epi32(a.v)); }
inline Vec to_floats(Ints a) { return {_mm512_cvtepi32_ps(raw(a))}; }
// Stores as int8 with saturation.
inline void store_bytes(void* p, Ints a) {
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(raw(a)));
}

// 16 int8 as floats.
inline Vec load_bytes(const unsigned char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}

// 64 bytes of quantized weights.
struct Block {
  __m512i v;
};
inline Block load_block(const void* p) { return {_mm512_loadu_si512(p)}; }

// Prefetches into the L2 cache, not the L1. It is always inlined, because GCC 12 treats a function
// that only prefetches as one without effect and drops its calls.
__attribute__((always_inline)) inline void prefetch_far(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}

}  // namespace
}  // namespace ttsrt::cpu
