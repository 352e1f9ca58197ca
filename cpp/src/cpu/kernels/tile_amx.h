// Tiles of Intel AMX, and the vector operations that only kernels over tiles need. Instructions are
// written out, because GCC 12's intrinsics hide from it what they read: it then drops the stores of
// a configuration (GCC bug 114098) or moves those of a tile.
//
// Kernels over tiles know these only by name, so that another header can emulate them.
#pragma once

#include "cpu/kernels/tile_kernels.h"
#include "cpu/kernels/vec_avx512_bf16.h"

namespace ttsrt::cpu {
namespace {

struct Tiles {
  static constexpr const char* kName = "tiles of AMX";

  static void open(const TileConfig& config) { asm volatile("ldtilecfg %0" : : "m"(config)); }
  static void close() { asm volatile("tilerelease"); }

  template <int T>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(T));
  }
  // `stride`: bytes from row to row.
  template <int T>
  static void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  static void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(T) : "memory");
  }
  // Add the products of tiles A and B to tile Sums: of bfloat16; of signed bytes by unsigned ones
  // and by signed ones.
  template <int Sums, int A, int B>
  static void add_pairs() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(A), "i"(B));
  }
  template <int Sums, int A, int B>
  static void add_unsigned_bytes() {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(A), "i"(B));
  }
  template <int Sums, int A, int B>
  static void add_signed_bytes() {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(A), "i"(B));
  }
};

// 16 floats rounded to bfloat16.
struct Halves {
  __m256i v;
};
inline Halves rounded(Vec x) { return {reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x.v))}; }
inline Halves load_halves(const void* p, int32_t count) {
  return {_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1U << count) - 1U), p)};
}
inline Halves no_halves() { return {_mm256_setzero_si256()}; }
inline void store_halves(uint16_t* out, const Halves& x, int32_t count) {
  _mm256_mask_storeu_epi16(out, static_cast<__mmask16>((1U << count) - 1U), x.v);
}
// Stores two rows side by side, as pairs.
inline void store_paired(void* out, const Halves& first, const Halves& second) {
  _mm512_storeu_si512(out, _mm512_or_si512(_mm512_cvtepu16_epi32(first.v),
                                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(second.v), 16)));
}

// 2^x for x <= 0, with a relative error within 5e-5: its result is rounded to bfloat16.
inline Vec rough_power(Vec x) {
  const __m512 whole = _mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const Vec rest = {_mm512_sub_ps(x.v, whole)};
  Vec series = fma(set(9.618129e-3F), rest, set(5.550411e-2F));
  series = fma(series, rest, set(2.402265e-1F));
  series = fma(series, rest, set(6.931472e-1F));
  series = fma(series, rest, set(1.0F));
  return {_mm512_scalef_ps(series.v, whole)};
}

}  // namespace
}  // namespace ttsrt::cpu
