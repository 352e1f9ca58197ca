// 16 floats in four NEON registers (ARMv8.0). Sums of byte products are in vec_neon_mull.h and
// vec_neon_dot.h.
#pragma once

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernels/kernels.h"

namespace ttsrt::cpu {
namespace {

constexpr const char* kPairsBy = "fmla of widened pairs";

constexpr int32_t kTileRows = 4;  // 16 of the 32 registers are sums
constexpr int32_t kWideRows = kTileRows;
constexpr int32_t kTimeRows = kTileRows;
constexpr int kQueryRows = 1;             // queries that attention handles together
constexpr int kQueryVecs = 4;             // and vectors of keys or values
constexpr bool kAlwaysPrefetches = true;  // prefetches panels for any number of rows
constexpr int32_t panels_in_flight(int32_t rows) { return rows <= 2 ? 2 : 1; }
constexpr int32_t kByteOffset = 0;  // offset of the weights in byte_quads, which makes them signed

template <class Register>
struct Four {
  Register a, b, c, d;
};
using Vec = Four<float32x4_t>;
using Ints = Four<int32x4_t>;

// Applies f to the first registers, to the second ones, and so on.
template <class F, class... Of>
inline auto each(F f, const Four<Of>&... x) -> Four<decltype(f(x.a...))> {
  return {f(x.a...), f(x.b...), f(x.c...), f(x.d...)};
}
template <class Register>
inline Four<Register> all_four(Register x) {
  return {x, x, x, x};
}

inline Vec set(float x) { return all_four(vdupq_n_f32(x)); }
inline Vec zero() { return set(0.0F); }
inline Vec load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
inline void store(float* p, const Vec& x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
inline Vec load_partial(const float* p, int32_t count) {
  float lanes[kLanes] = {};
  memcpy(lanes, p, static_cast<size_t>(count) * sizeof(float));
  return load(lanes);
}
inline void store_partial(float* p, const Vec& x, int32_t count) {
  float lanes[kLanes];
  store(lanes, x);
  memcpy(p, lanes, static_cast<size_t>(count) * sizeof(float));
}

inline Vec fma(const Vec& x, const Vec& y, const Vec& z) {
  return each([](auto p, auto q, auto r) { return vfmaq_f32(r, p, q); }, x, y, z);
}
inline Vec operator+(const Vec& x, const Vec& y) {
  return each([](auto p, auto q) { return vaddq_f32(p, q); }, x, y);
}
inline Vec operator-(const Vec& x, const Vec& y) {
  return each([](auto p, auto q) { return vsubq_f32(p, q); }, x, y);
}
inline Vec operator*(const Vec& x, const Vec& y) {
  return each([](auto p, auto q) { return vmulq_f32(p, q); }, x, y);
}
inline Vec operator/(const Vec& x, const Vec& y) {
  return each([](auto p, auto q) { return vdivq_f32(p, q); }, x, y);
}
// If an operand is NaN, returns the second one, as on the other levels. NEON's max and min
// instructions would return the number, or NaN.
inline float32x4_t larger_of(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcgtq_f32(x, y), x, y);
}
inline Vec larger(const Vec& x, const Vec& y) { return each(larger_of, x, y); }
inline Vec smaller(const Vec& x, const Vec& y) {
  return each([](auto p, auto q) { return vbslq_f32(vcltq_f32(p, q), p, q); }, x, y);
}
// x < limit ? y : z
inline Vec if_less(const Vec& x, const Vec& limit, const Vec& y, const Vec& z) {
  return each([](auto p, auto bar, auto q, auto r) { return vbslq_f32(vcltq_f32(p, bar), q, r); },
              x, limit, y, z);
}

inline float reduce_add(const Vec& x) {
  const float32x4_t s = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
  return vpadds_f32(vadd_f32(vget_low_f32(s), vget_high_f32(s)));
}
inline float reduce_max(const Vec& x) {
  return vmaxvq_f32(larger_of(larger_of(x.a, x.c), larger_of(x.b, x.d)));
}
inline Vec keep_first(const Vec& x, int32_t count, float fill) {
  float lanes[kLanes];
  store(lanes, x);
  for (int32_t i = count; i < kLanes; ++i) lanes[i] = fill;
  return load(lanes);
}
inline uint32_t mask_not_less(const Vec& x, const Vec& y) {
  constexpr uint32_t kBits[4] = {1, 2, 4, 8};
  const uint32x4_t bits = vld1q_u32(kBits);
  const Four<uint32_t> masks =
      each([&](auto p, auto q) { return vaddvq_u32(vandq_u32(vcgeq_f32(p, q), bits)); }, x, y);
  return masks.a | masks.b << 4 | masks.c << 8 | masks.d << 12;
}
// Returns p * 2^n for integers n in [-126, 128].
inline Vec scale_by_power(const Vec& p, const Vec& n) {
  return each(
      [](auto value, auto power) {
        const int32x4_t exponent =
            vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(power), vdupq_n_s32(127)), 23);
        return vmulq_f32(value, vreinterpretq_f32_s32(exponent));
      },
      p, n);
}

// Returns signed integers with the same order as the floats.
inline Ints order_keys(const Vec& x) {
  return each(
      [](auto p) {
        const int32x4_t bits = vreinterpretq_s32_f32(p);
        return veorq_s32(bits, vandq_s32(vshrq_n_s32(bits, 31), vdupq_n_s32(0x7FFFFFFF)));
      },
      x);
}
inline int32_t count_not_less(const Ints& keys, int32_t least) {
  const int32x4_t bar = vdupq_n_s32(least);
  const Ints found =
      each([&](auto p) { return vreinterpretq_s32_u32(vcgeq_s32(p, bar)); }, keys);  // -1 each
  return -vaddvq_s32(vaddq_s32(vaddq_s32(found.a, found.b), vaddq_s32(found.c, found.d)));
}

// A bfloat16 is the upper half of its float32.
inline float32x4_t widen_low(uint16x8_t x) {
  return vreinterpretq_f32_u16(vzip1q_u16(vdupq_n_u16(0), x));
}
inline float32x4_t widen_high(uint16x8_t x) {
  return vreinterpretq_f32_u16(vzip2q_u16(vdupq_n_u16(0), x));
}
inline Vec load_bf16(const uint16_t* p) {
  const uint16x8_t x = vld1q_u16(p);
  const uint16x8_t y = vld1q_u16(p + 8);
  return {widen_low(x), widen_high(x), widen_low(y), widen_high(y)};
}
inline Vec load_f16(const uint16_t* p) {
  const float16x8_t x = vreinterpretq_f16_u16(vld1q_u16(p));
  const float16x8_t y = vreinterpretq_f16_u16(vld1q_u16(p + 8));
  return {vcvt_f32_f16(vget_low_f16(x)), vcvt_high_f32_f16(x), vcvt_f32_f16(vget_low_f16(y)),
          vcvt_high_f32_f16(y)};
}

// 64 bytes: 16 words of bfloat16 pairs or of quantized weights.
using Words = Four<uint32x4_t>;
inline Words load_words(const void* p) {
  const auto* words = static_cast<const uint8_t*>(p);  // panels need no alignment here
  return each([](auto x) { return vreinterpretq_u32_u8(x); },
              Four<uint8x16_t>{vld1q_u8(words), vld1q_u8(words + 16), vld1q_u8(words + 32),
                               vld1q_u8(words + 48)});
}

// 16 pairs of bfloat16, and their dot products with one pair of an input.
struct Bf16Pairs {
  Vec even, odd;
};
inline Bf16Pairs split_pairs(const Words& words) {
  return {each([](auto x) { return vreinterpretq_f32_u32(vshlq_n_u32(x, 16)); }, words),
          each([](auto x) { return vreinterpretq_f32_u32(vandq_u32(x, vdupq_n_u32(0xFFFF0000U))); },
               words)};
}
inline Bf16Pairs load_pairs(const void* p) { return split_pairs(load_words(p)); }
// Packs floats that bfloat16 represents exactly.
inline void store_pairs(void* p, const Bf16Pairs& x) {
  const Words words = each(
      [](auto even, auto odd) {
        return vsriq_n_u32(vreinterpretq_u32_f32(odd), vreinterpretq_u32_f32(even), 16);
      },
      x.even, x.odd);
  auto* bytes = static_cast<uint8_t*>(p);
  vst1q_u8(bytes, vreinterpretq_u8_u32(words.a));
  vst1q_u8(bytes + 16, vreinterpretq_u8_u32(words.b));
  vst1q_u8(bytes + 32, vreinterpretq_u8_u32(words.c));
  vst1q_u8(bytes + 48, vreinterpretq_u8_u32(words.d));
}
// A pair of an input is packed as two floats, so that it is widened once and not for every panel.
constexpr int kPairWords = 2;
inline Bf16Pairs set_pair(const uint32_t* p, int64_t apart) {
  return {all_four(vreinterpretq_f32_u32(vdupq_n_u32(*p))),
          all_four(vreinterpretq_f32_u32(vdupq_n_u32(*(p + apart))))};
}
inline Vec dot_pairs(const Bf16Pairs& x, const Bf16Pairs& y, const Vec& sum) {
  return fma(x.odd, y.odd, fma(x.even, y.even, sum));
}

// Integers, for quantized inputs.
inline Ints set_ints(int32_t x) { return all_four(vdupq_n_s32(x)); }
inline Ints sum_of(const Ints& x, const Ints& y) {
  return each([](auto p, auto q) { return vaddq_s32(p, q); }, x, y);
}
inline Ints larger(const Ints& x, const Ints& y) {
  return each([](auto p, auto q) { return vmaxq_s32(p, q); }, x, y);
}
inline int32_t reduce_add(const Ints& x) {
  return vaddvq_s32(vaddq_s32(vaddq_s32(x.a, x.b), vaddq_s32(x.c, x.d)));
}
inline int32_t reduce_max(const Ints& x) {
  return vmaxvq_s32(vmaxq_s32(vmaxq_s32(x.a, x.b), vmaxq_s32(x.c, x.d)));
}
// Returns the bits of |x|, which have the same order as the magnitudes, with NaN last.
inline Ints magnitude_bits(const Vec& x) {
  return each([](auto p) { return vreinterpretq_s32_f32(vabsq_f32(p)); }, x);
}
// Rounds to nearest even.
inline Ints to_ints(const Vec& x) {
  return each([](auto p) { return vcvtnq_s32_f32(p); }, x);
}
inline Vec to_floats(const Ints& x) {
  return each([](auto p) { return vcvtq_f32_s32(p); }, x);
}
// Stores as int8 with saturation.
inline void store_bytes(void* p, const Ints& x) {
  const int16x8_t low = vqmovn_high_s32(vqmovn_s32(x.a), x.b);
  const int16x8_t high = vqmovn_high_s32(vqmovn_s32(x.c), x.d);
  vst1q_s8(static_cast<int8_t*>(p), vqmovn_high_s16(vqmovn_s16(low), high));
}

// 16 int8 as floats, and two such vectors, of one input and the next, as pairs.
inline Vec load_bytes(const unsigned char* p) {
  const int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(p));
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
  const int16x8_t high = vmovl_high_s8(bytes);
  return to_floats({vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low),
                    vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)});
}
inline Bf16Pairs load_byte_pairs(const unsigned char* p) {
  return {load_bytes(p), load_bytes(p + kLanes)};
}

// 64 bytes of quantized weights; nibble_pairs<N> returns the pair of inputs 2 N and 2 N + 1 of a
// block of 8.
struct Block {
  Words words;
};
inline Block load_block(const void* p) { return {load_words(p)}; }

// Returns the nibble below bit `Top` of each word, minus 8. With its highest bit inverted and
// shifted to the top of the word, the nibble is a signed integer times 2^28.
template <int Top>
inline Vec nibble_floats(const Words& words) {
  return each(
      [](auto x) {
        const uint32x4_t turned = veorq_u32(x, vdupq_n_u32(0x88888888U));
        const uint32x4_t nibble =
            vandq_u32(vshlq_n_u32(turned, 32 - Top), vdupq_n_u32(0xF0000000U));
        return vcvtq_n_f32_s32(vreinterpretq_s32_u32(nibble), 28);
      },
      words);
}
template <int N>
Bf16Pairs nibble_pairs(const Block& x) {
  return {nibble_floats<4 * N + 4>(x.words), nibble_floats<4 * N + 20>(x.words)};
}

// Four signed bytes of each of 16 outputs, and four int8 of an input.
using Quads = Four<int8x16_t>;
inline Quads byte_quads(const Block& x) {
  return each(
      [](auto words) {
        const uint8x16_t bytes = vreinterpretq_u8_u32(words);
        return vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80)));
      },
      x.words);
}
// The nibbles are in [0, 15], so they are valid signed bytes, and no offset was subtracted.
template <int N>
Quads nibble_quads(const Block& x) {
  return each(
      [](auto words) {
        const uint8x16_t bytes = vreinterpretq_u8_u32(words);
        if constexpr (N == 0) {
          return vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
        } else {
          return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
        }
      },
      x.words);
}
inline int8x16_t set_quad(const uint32_t* p) { return vreinterpretq_s8_u32(vdupq_n_u32(*p)); }

// Prefetches into the L2 cache, not the L1. It is always inlined, because GCC 12 treats a function
// that only prefetches as one without effect and drops its calls.
__attribute__((always_inline)) inline void prefetch_far(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

}  // namespace
}  // namespace ttsrt::cpu
