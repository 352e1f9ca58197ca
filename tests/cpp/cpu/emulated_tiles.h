// Tiles of AMX in plain C++, as Intel's manual defines their instructions ("Intel 64 and IA-32
// Architectures Software Developer's Manual", volume 2: LDTILECFG, TILELOADD, TDPBF16PS, TDPBSUD,
// TDPBSSD). It takes the place of cpu/kernels/tile_amx.h, over the plain vectors.
#pragma once

#include <math.h>
#include <string.h>

#include "cpu/kernels/tile_kernels.h"
#include "cpu/kernels/vec_generic.h"

namespace ttsrt::cpu {
namespace {

struct TileState {
  TileConfig config;
  bool is_open;
  unsigned char at[8][16][64];
};
inline thread_local TileState tile_state = {};

// A subnormal number as the instructions read and write it.
inline float flushed(float x) { return __builtin_fabsf(x) < 1.17549435e-38F ? x * 0.0F : x; }

struct Tiles {
  static constexpr const char* kName = "emulated tiles";

  static void open(const TileConfig& config) {
    tile_state.config = config;
    tile_state.is_open = true;
    memset(tile_state.at, 0, sizeof(tile_state.at));
  }
  static void close() {
    memset(tile_state.at, 0, sizeof(tile_state.at));
    tile_state.is_open = false;
  }
  template <int T>
  static void zero() {
    check();
    memset(tile_state.at[T], 0, sizeof(tile_state.at[T]));
  }
  template <int T>
  static void load(const void* from, int64_t stride) {
    zero<T>();
    for (int r = 0; r < rows(T); ++r)
      memcpy(tile_state.at[T][r], static_cast<const char*>(from) + r * stride, bytes(T));
  }
  template <int T>
  static void store(void* to, int64_t stride) {
    check();
    for (int r = 0; r < rows(T); ++r)
      memcpy(static_cast<char*>(to) + r * stride, tile_state.at[T][r], bytes(T));
  }

  template <int Sums, int A, int B>
  static void add_pairs() {
    check_product(Sums, A, B);
    for (int m = 0; m < rows(Sums); ++m) {
      float halves[2][16] = {};
      for (int k = 0; k < static_cast<int>(bytes(A)) / 4; ++k) {
        for (int half = 0; half < 2; ++half) {
          const float x = widened_half(A, m, 2 * k + half);
          for (int n = 0; n < 16; ++n) {
            const float w = widened_half(B, k, 2 * n + half);
            halves[half][n] = flushed(fmaf(x, w, halves[half][n]));
          }
        }
      }
      float sums[16];
      memcpy(sums, tile_state.at[Sums][m], sizeof(sums));
      for (int n = 0; n < 16; ++n)
        sums[n] = flushed(flushed(sums[n]) + flushed(halves[0][n] + halves[1][n]));
      memcpy(tile_state.at[Sums][m], sums, sizeof(sums));
    }
  }
  template <int Sums, int A, int B>
  static void add_unsigned_bytes() {
    add_bytes<uint8_t>(Sums, A, B);
  }
  template <int Sums, int A, int B>
  static void add_signed_bytes() {
    add_bytes<int8_t>(Sums, A, B);
  }

 private:
  // The processor faults where tiles are not configured, or do not fit each other.
  static void check() {
    if (!tile_state.is_open) __builtin_trap();
  }
  static void check_product(int sums, int a, int b) {
    check();
    const bool fits = rows(sums) == rows(a) && bytes(sums) == bytes(b) &&
                      bytes(a) == 4 * static_cast<size_t>(rows(b)) && rows(sums) > 0;
    if (!fits) __builtin_trap();
  }
  static int rows(int t) { return tile_state.config.rows[t]; }
  static size_t bytes(int t) { return tile_state.config.row_bytes[t]; }
  static float widened_half(int t, int row, int index) {
    uint16_t half;
    memcpy(&half, tile_state.at[t][row] + 2 * index, sizeof(half));
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return flushed(value);
  }
  // The sums of one instruction are below 2^24, and so exact as floats.
  template <class Weight>
  static void add_bytes(int sums_at, int a, int b) {
    check_product(sums_at, a, b);
    const int depth = static_cast<int>(bytes(a));
    float weights[64][16];
    for (int k = 0; k < depth; ++k) {
      for (int n = 0; n < 16; ++n)
        weights[k][n] = static_cast<Weight>(tile_state.at[b][k / 4][4 * n + k % 4]);
    }
    for (int m = 0; m < rows(sums_at); ++m) {
      float added[16] = {};
      for (int k = 0; k < depth; ++k) {
        const float x = static_cast<int8_t>(tile_state.at[a][m][k]);
        for (int n = 0; n < 16; ++n) added[n] += x * weights[k][n];
      }
      uint32_t sums[16];
      memcpy(sums, tile_state.at[sums_at][m], sizeof(sums));
      for (int n = 0; n < 16; ++n) sums[n] += static_cast<uint32_t>(static_cast<int32_t>(added[n]));
      memcpy(tile_state.at[sums_at][m], sums, sizeof(sums));
    }
  }
};

// 16 floats rounded to bfloat16.
struct Halves {
  uint16_t at[16];
};
inline Halves rounded(Vec x) {
  float values[16];
  store(values, x);
  Halves halves;
  for (int i = 0; i < 16; ++i) {
    uint32_t bits;
    memcpy(&bits, values + i, sizeof(bits));
    const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
    const uint32_t even = bits + 0x7FFFU + ((bits >> 16) & 1U);
    halves.at[i] = static_cast<uint16_t>((is_nan ? bits | 0x400000U : even) >> 16);
  }
  return halves;
}
inline Halves load_halves(const void* p, int32_t count) {
  Halves halves = {};
  memcpy(halves.at, p, static_cast<size_t>(count) * 2);
  return halves;
}
inline Halves no_halves() { return {}; }
inline void store_halves(uint16_t* out, const Halves& x, int32_t count) {
  memcpy(out, x.at, static_cast<size_t>(count) * 2);
}
inline void store_paired(void* out, const Halves& first, const Halves& second) {
  uint16_t pairs[32];
  for (int i = 0; i < 16; ++i) {
    pairs[2 * i] = first.at[i];
    pairs[2 * i + 1] = second.at[i];
  }
  memcpy(out, pairs, sizeof(pairs));
}

// For inputs that are split in two bytes, as cpu/kernels/vec_avx512_vnni.h has them.
inline Ints times_256(Ints a) { return a << 8; }
inline Block turned_block(Block a) {
  unsigned char from[64];
  unsigned char to[64];
  memcpy(from, &a, sizeof(from));
  for (int k = 0; k < 4; ++k) {
    for (int n = 0; n < 16; ++n) to[4 * n + k] = from[16 * k + n] ^ 0x80U;
  }
  memcpy(&a, to, sizeof(to));
  return a;
}
inline Vec rounded_to_bf16(Vec x) {
  float values[16];
  store(values, x);
  const Halves halves = rounded(x);
  for (int i = 0; i < 16; ++i) {
    const uint32_t bits = static_cast<uint32_t>(halves.at[i]) << 16;
    memcpy(values + i, &bits, sizeof(bits));
  }
  return load(values);
}
typedef signed char ByteLanes __attribute__((vector_size(16)));
struct SplitBytes {
  ByteLanes high, low;
};
inline SplitBytes split_bytes(Ints a) {
  SplitBytes parts;
  for (int i = 0; i < 16; ++i) {
    parts.low[i] = static_cast<signed char>(a[i]);
    parts.high[i] = static_cast<signed char>((a[i] - parts.low[i]) / 256);
  }
  return parts;
}

inline Vec rough_power(Vec x) {
  float values[16];
  store(values, x);
  for (float& value : values) value = exp2f(value);
  return load(values);
}

}  // namespace
}  // namespace ttsrt::cpu
