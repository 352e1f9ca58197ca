// 16 floats without wide instructions, as compiler vectors, which use the instructions of the base
// machine.
#pragma once

#include <stdint.h>
#include <string.h>

#include "cpu/kernels/kernels.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kPairsBy = "multiply and add of widened pairs";
constexpr const char* kBytesBy = "multiply and add of 16 bits";

constexpr int32_t kTileRows = 2;
constexpr int32_t kWideRows = kTileRows;
constexpr int32_t kTimeRows = kTileRows;
constexpr int kQueryRows = 1;             // queries that attention handles together
constexpr int kQueryVecs = 4;             // and vectors of keys or values
constexpr bool kAlwaysPrefetches = true;  // prefetches panels for any number of rows
constexpr int32_t panels_in_flight(int32_t rows) { return rows == 1 ? 2 : 1; }
constexpr int32_t kByteOffset = 128;  // offset of the weights in byte_quads

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));

struct Vec {
  Floats v;
};

inline Vec set(float x) { return {Floats{} + x}; }
inline Vec zero() { return {Floats{}}; }
inline Vec load(const float* p) {
  Vec r;
  memcpy(&r.v, p, sizeof(r.v));
  return r;
}
inline void store(float* p, Vec a) { memcpy(p, &a.v, sizeof(a.v)); }
inline Vec load_partial(const float* p, int32_t count) {
  Vec r = zero();
  memcpy(&r.v, p, static_cast<size_t>(count) * sizeof(float));
  return r;
}
inline void store_partial(float* p, Vec a, int32_t count) {
  memcpy(p, &a.v, static_cast<size_t>(count) * sizeof(float));
}

inline Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
inline Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
inline Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
inline Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
inline Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
inline Vec larger(Vec a, Vec b) { return {a.v > b.v ? a.v : b.v}; }
inline Vec smaller(Vec a, Vec b) { return {a.v < b.v ? a.v : b.v}; }
// x < limit ? a : b
inline Vec if_less(Vec x, Vec limit, Vec a, Vec b) { return {x.v < limit.v ? a.v : b.v}; }

inline float reduce_add(Vec a) {
  float s[8];
  for (int i = 0; i < 8; ++i) s[i] = a.v[i] + a.v[i + 8];
  for (int width = 4; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) s[i] += s[i + width];
  }
  return s[0];
}
inline float reduce_max(Vec a) {
  float m = a.v[0];
  for (int i = 1; i < kLanes; ++i) m = a.v[i] > m ? a.v[i] : m;
  return m;
}
inline Vec keep_first(Vec a, int32_t count, float fill) {
  for (int32_t i = count; i < kLanes; ++i) a.v[i] = fill;
  return a;
}
inline uint32_t mask_not_less(Vec a, Vec b) {
  const Ints m = a.v >= b.v;
  uint32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= static_cast<uint32_t>(m[i] & 1) << i;
  return bits;
}
// Returns p * 2^n for integers n in [-126, 128].
inline Vec scale_by_power(Vec p, Vec n) {
  const Ints exponent = (__builtin_convertvector(n.v, Ints) + 127) << 23;
  Vec power;
  memcpy(&power.v, &exponent, sizeof(exponent));
  return {p.v * power.v};
}

// Returns signed integers with the same order as the floats.
inline Ints order_keys(Vec a) {
  Ints bits;
  memcpy(&bits, &a.v, sizeof(bits));
  return bits ^ ((bits >> 31) & 0x7FFFFFFF);
}
inline int32_t count_not_less(Ints keys, int32_t least) {
  const Ints m = keys >= (Ints{} + least);
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) count -= m[i];
  return count;
}

inline float scalar_from_f16(uint16_t h) {
  const uint32_t magnitude = static_cast<uint32_t>(h & 0x7FFFU) << 13;
  uint32_t bits = magnitude + 0x38000000U;
  if (magnitude >= 0x0F800000U) bits += 0x38000000U;  // infinity, NaN
  float value = 0.0F;
  if (magnitude < 0x00800000U) {  // subnormal: h * 2^-24
    value = static_cast<float>(h & 0x3FFU) * (1.0F / 16777216.0F);
    memcpy(&bits, &value, sizeof(bits));
  }
  bits |= static_cast<uint32_t>(h & 0x8000U) << 16;
  memcpy(&value, &bits, sizeof(value));
  return value;
}
inline Vec load_bf16(const uint16_t* p) {
  Ints bits;
  for (int i = 0; i < kLanes; ++i)
    bits[i] = static_cast<int32_t>(static_cast<uint32_t>(p[i]) << 16);
  Vec r;
  memcpy(&r.v, &bits, sizeof(bits));
  return r;
}
inline Vec load_f16(const uint16_t* p) {
  Vec r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = scalar_from_f16(p[i]);
  return r;
}

// 16 pairs of bfloat16, and their dot products with one pair of an input.
struct Bf16Pairs {
  Floats even;
  Floats odd;
};
inline Bf16Pairs split_pairs(Ints bits) {
  const Ints low = bits << 16;
  const Ints high = bits & static_cast<int32_t>(0xFFFF0000U);
  Bf16Pairs r;
  memcpy(&r.even, &low, sizeof(low));
  memcpy(&r.odd, &high, sizeof(high));
  return r;
}
inline Bf16Pairs load_pairs(const void* p) {
  Ints bits;
  memcpy(&bits, p, sizeof(bits));
  return split_pairs(bits);
}
// Packs floats that bfloat16 represents exactly.
inline void store_pairs(void* p, const Bf16Pairs& a) {
  uint32_t even[kLanes];
  uint32_t odd[kLanes];
  memcpy(even, &a.even, sizeof(even));
  memcpy(odd, &a.odd, sizeof(odd));
  for (int i = 0; i < kLanes; ++i) odd[i] |= even[i] >> 16;
  memcpy(p, odd, sizeof(odd));
}
// A pair of an input is packed as two floats, so that it is widened once and not for every panel.
constexpr int kPairWords = 2;
inline Bf16Pairs set_pair(const uint32_t* p, int64_t apart) {
  float even = 0.0F;
  float odd = 0.0F;
  memcpy(&even, p, sizeof(even));
  memcpy(&odd, p + apart, sizeof(odd));
  return {Floats{} + even, Floats{} + odd};
}
inline Vec dot_pairs(Bf16Pairs a, Bf16Pairs b, Vec sum) {
  return {a.odd * b.odd + (a.even * b.even + sum.v)};
}

// Integers, for quantized inputs.
typedef int16_t Shorts __attribute__((vector_size(64)));

inline Ints set_ints(int32_t x) { return Ints{} + x; }
inline Ints sum_of(Ints a, Ints b) { return a + b; }
inline Ints larger(Ints a, Ints b) { return a > b ? a : b; }
inline int32_t reduce_add(Ints a) {
  int32_t sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += a[i];
  return sum;
}
inline int32_t reduce_max(Ints a) {
  int32_t m = a[0];
  for (int i = 1; i < kLanes; ++i) m = a[i] > m ? a[i] : m;
  return m;
}
// Returns the bits of |x|, which have the same order as the magnitudes, with NaN last.
inline Ints magnitude_bits(Vec a) {
  Ints bits;
  memcpy(&bits, &a.v, sizeof(bits));
  return bits & 0x7FFFFFFF;
}
// Rounds to nearest even. Magnitudes must be below 2^22, so that the spacing of the sum is 1.
inline Ints to_ints(Vec a) {
  const Floats magic = Floats{} + 12582912.0F;  // 1.5 * 2^23
  return __builtin_convertvector((a.v + magic) - magic, Ints);
}
inline Vec to_floats(Ints a) { return {__builtin_convertvector(a, Floats)}; }
inline void store_bytes(void* p, Ints a) {
  int8_t bytes[kLanes];
  for (int i = 0; i < kLanes; ++i) bytes[i] = static_cast<int8_t>(a[i]);
  memcpy(p, bytes, sizeof(bytes));
}

// 16 int8 as floats, and two such vectors, of one input and the next, as pairs.
inline Vec load_bytes(const unsigned char* p) {
  Vec r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = static_cast<float>(static_cast<int8_t>(p[i]));
  return r;
}
inline Bf16Pairs load_byte_pairs(const unsigned char* p) {
  return {load_bytes(p).v, load_bytes(p + kLanes).v};
}

// 64 bytes of quantized weights; nibble_pairs<N> returns the pair of inputs 2 N and 2 N + 1 of a
// block of 8.
struct Block {
  Ints v;
};
inline Block load_block(const void* p) {
  Block r;
  memcpy(&r.v, p, sizeof(r.v));
  return r;
}
inline Floats nibble_floats(Ints bits) { return __builtin_convertvector((bits & 15) - 8, Floats); }
template <int N>
Bf16Pairs nibble_pairs(Block a) {
  return {nibble_floats(a.v >> (4 * N)), nibble_floats(a.v >> (16 + 4 * N))};
}

// Four unsigned bytes of each of 16 outputs, and four int8 of an input, split into even and odd.
// Products fit in 16 bits, because 255 * 127 < 2^15.
struct Quads {
  Shorts even, odd;
};
inline Shorts as_shorts(Ints a) {
  Shorts r;
  memcpy(&r, &a, sizeof(r));
  return r;
}
inline Quads byte_quads(Block a) {
  return {as_shorts(a.v & 0x00FF00FF), as_shorts((a.v >> 8) & 0x00FF00FF)};
}
template <int N>
Quads nibble_quads(Block a) {
  return {as_shorts((a.v >> (4 * N)) & 0x000F000F), as_shorts((a.v >> (8 + 4 * N)) & 0x000F000F)};
}
inline Quads set_quad(const uint32_t* p) {
  const Shorts x = as_shorts(Ints{} + static_cast<int32_t>(*p));
  return {(x << 8) >> 8, x >> 8};
}
inline Ints widened(Shorts a) {
  Ints bits;
  memcpy(&bits, &a, sizeof(bits));
  return ((bits << 16) >> 16) + (bits >> 16);
}
inline Ints dot_quads(const Quads& w, const Quads& x, Ints sum) {
  return sum + widened(w.even * x.even) + widened(w.odd * x.odd);
}

// Prefetches into the L2 cache, not the L1. It is always inlined, because GCC 12 treats a function
// that only prefetches as one without effect and drops its calls.
__attribute__((always_inline)) inline void prefetch_far(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

}  // namespace
}  // namespace ttsrt::cpu

#include "cpu/kernels/nibble_quads.h"
