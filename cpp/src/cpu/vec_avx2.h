// 16 floats in two AVX2 registers (AVX2, FMA, F16C).
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernels.h"

namespace ttsrt::cpu {
namespace {

constexpr int32_t kTileRows = 4;
constexpr int32_t panels_in_flight(int32_t rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

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
inline Vec load_part(const float* p, int32_t count) {
  float lanes[kLanes] = {};
  memcpy(lanes, p, static_cast<size_t>(count) * sizeof(float));
  return load(lanes);
}
inline void store_part(float* p, Vec x, int32_t count) {
  float lanes[kLanes];
  store(lanes, x);
  memcpy(p, lanes, static_cast<size_t>(count) * sizeof(float));
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
// p * 2^n for whole n in [-126, 128].
inline __m256 half_scale(__m256 p, __m256 n) {
  const __m256i exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(exponent));
}
inline Vec scale_by_power(Vec p, Vec n) { return {half_scale(p.a, n.a), half_scale(p.b, n.b)}; }

// Signed whole numbers that order as the floats do.
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
inline __m256 widen_i8(const int8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
inline Vec load_i8(const int8_t* p) { return {widen_i8(p), widen_i8(p + 8)}; }

// 16 pairs of bfloat16 and the dot product with one pair of an input.
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
inline Bf16Pairs set_pair(const uint32_t* p) {
  const __m256i x = _mm256_set1_epi32(static_cast<int32_t>(*p));
  return {low_halves(x, x), high_halves(x, x)};
}
inline Vec dot_pairs(Bf16Pairs x, Bf16Pairs y, Vec sum) {
  return fma(x.odd, y.odd, fma(x.even, y.even, sum));
}

// 64 int8: four products of each lane added to its int32.
struct Int8Quads {
  __m256i a, b;
};
inline Int8Quads load_quads(const void* p) {
  return {_mm256_loadu_si256(static_cast<const __m256i*>(p)),
          _mm256_loadu_si256(static_cast<const __m256i*>(p) + 1)};
}
inline __m256i half_dot(__m256i x, __m256i y, __m256i sum) {
  const __m256i pairs = _mm256_maddubs_epi16(x, y);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
inline Int8Quads dot_quads(Int8Quads x, Int8Quads y, Int8Quads sum) {
  return {half_dot(x.a, y.a, sum.a), half_dot(x.b, y.b, sum.b)};
}

inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

}  // namespace
}  // namespace ttsrt::cpu
