// Kernels over tiles of bfloat16 (Intel AMX), for Programs of whole items: only they have many rows
// in every launch. A tile holds 16 rows of 32 values of one operand, or 16 x 16 sums in float32.
//
// Every output is one chain over K, 32 inputs at a time, whatever the number of rows. Included by
// files that are built with wide instructions, so it has no inline functions.
#pragma once

#include "cpu/kernels/kernels.h"

namespace ttsrt::cpu {

constexpr int32_t kTileInputs = 32;  // of one step over K

constexpr int32_t kTileBlockRows = 256;

// Rows by panels. Row r of tap t has its inputs at rows + (r + t) * row_words; a plain product has
// one tap. Rows up to the next multiple of 32 must be there, with any values.
struct TileProduct {
  const uint32_t* rows;  // pairs of bfloat16
  int64_t row_words;
  const unsigned char* weight;  // panel16 of bfloat16, [taps * inputs / 2][16][2] each
  int32_t taps;
  int32_t steps;     // of a tap: inputs / 32
  int32_t num_rows;  // at most kTileBlockRows
  int32_t panels;
};

// Keys and values of one head of an item, as TileAttend reads them. Behind the item's last position
// they are zeros, up to a multiple of kTileInputs positions.
//   keys    [positions / 16][head_dim / 2][16 positions][2]
//   values  [positions / 32][head_dim / 16][16 pairs of positions][16][2]
struct TileAttend {
  const float* const* queries;  // [rows] each [head_dim]
  float* const* outs;           // [rows]
  int32_t rows;                 // at most kTileQueries
  const unsigned char* keys;
  const unsigned char* values;
  unsigned char* scratch;  // tile_scratch_bytes
  int32_t length;          // positions
  int32_t head_dim;        // a multiple of kTileInputs
  float scale;
};

constexpr int32_t kTileQueries = 32;

struct TileKernels {
  // Writes args.num_rows rows of a Linear, as LinearKernels::product does; `args.packed` is not
  // read, and args' rows and panels are those of the product.
  void (*linear)(const TileProduct& product, const LinearArgs& args);
  void (*convolve)(const TileProduct& product, const ConvArgs& args);
  // Rounds `count` values to bfloat16.
  void (*round)(const float* x, int64_t count, uint32_t* out);
  // Stores the keys and values of kTileInputs positions, the first `count` of which are given; the
  // others become zeros. `keys` and `values`: where the first position begins.
  void (*store)(const float* const* key_rows, const float* const* value_rows, int32_t count,
                unsigned char* keys, unsigned char* values, int32_t head_dim);
  // If a score is not finite, the row's output is NaN.
  void (*attend)(const TileAttend& args);
};

// Of TileAttend, for items of up to so many positions.
constexpr int64_t tile_scratch_bytes(int64_t positions, int64_t head_dim) {
  const int64_t padded = (positions + kTileInputs - 1) / kTileInputs * kTileInputs + 64;
  return kTileQueries * (2 * head_dim + 6 * padded + 4);
}

}  // namespace ttsrt::cpu
