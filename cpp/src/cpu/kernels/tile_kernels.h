// Kernels over tiles (Intel AMX). A tile holds 16 rows of 64 bytes: 32 bfloat16 or 64 bytes of one
// operand, or 16 x 16 sums. What one instruction reads of a weight is 16 outputs of a panel16
// (ops/weight.h), as it is stored.
//
// A sum of bfloat16 is one chain over K, 32 inputs at a time: the even inputs of these are one
// chain of multiply-adds from zero and the odd ones another, whose sum is added to the total;
// subnormal numbers are zero, and rounding is to nearest even. That holds for any number of rows.
// Integer sums are exact, and what follows them is what the kernels of vectors do: the bits are the
// same. Included by files that are built with wide instructions, so it has no inline functions.
#pragma once

#include "cpu/kernels/kernels.h"

namespace ttsrt::cpu {

constexpr int32_t kTileInputs = 32;   // bfloat16 of one step over K
constexpr int32_t kTileHeight = 16;   // rows
constexpr int64_t kTileBytes = 1024;  // of a whole tile
constexpr int32_t kTileBlockRows = 256;

// What tiles hold, as the processor reads it.
struct TileConfig {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// Products of rows in one Format. Rows are packed in blocks of 16, of which the last may have
// unused rows; up to 16 rows are one block of just so many. A block is
//   [groups][parts][pieces][rows][bytes of a piece]
//                                      what one instruction reads of each row: 64 bytes, or 32 in
//                                      groups of 32 bytes
//   [groups][rows][2]                  int8 inputs: the scale as a float32, and the correction for
//                                      the offset of the weights as an int32 (RowShape)
// and takes RowShape::words for each row, which are whole cache lines.
struct TileLinear {
  int32_t fewest_rows;  // with fewer, LinearKernels give the same bits, and are faster
  int32_t few_panels;   // that up to 16 rows use at once
  int32_t many_panels;  // and more rows
  int32_t unpacked;     // bytes of LinearArgs::unpacked for each input
  // Prepares the thread's tiles for products of a launch of so many rows.
  void (*open)(const RowShape& shape, int32_t rows);
  // Packs x [depth] as row `row` of a block of `rows`.
  void (*prepare)(const float* x, const RowShape& shape, int32_t rows, int32_t row,
                  uint32_t* block);
  // As LinearKernels::product; first_row and last_row are those of blocks. Only between open and
  // TileKernels::close.
  void (*product)(const LinearArgs& args);
};

// A convolution of rows by panels. Row r of tap t has its inputs at rows + (r + t) * row_words.
// Rows up to the next multiple of 32 must be there, with any values.
struct TileProduct {
  const uint32_t* rows;  // pairs of bfloat16
  int64_t row_words;
  const unsigned char* weight;  // panel16 of bfloat16, [taps * inputs / 2][16][2] each
  int32_t taps;
  int32_t steps;     // of a tap: inputs / 32
  int32_t num_rows;  // at most kTileBlockRows
  int32_t panels;
};

// Keys and values of one head, as TileAttend reads them. Behind the last position they are zeros,
// up to a multiple of kTileInputs positions.
//   keys    [positions / 16][head_dim / 2][16 positions][2]
//   values  [positions / 32][head_dim / 16][16 pairs of positions][16][2]
struct TileAttend {
  const float* const* queries;  // [rows] each [head_dim]
  float* const* outs;           // [rows]
  const int32_t* lengths;       // [rows] positions that each row sees, or null: all
  int32_t rows;                 // at most kTileQueries
  const unsigned char* keys;
  const unsigned char* values;
  unsigned char* scratch;  // tile_scratch_bytes
  int32_t length;          // positions, of the row that sees most
  int32_t head_dim;        // a multiple of kTileInputs
  float scale;
  int32_t parts;   // 2: queries and shares are sums of two bfloat16, else rounded to one
  int32_t finite;  // a row that sees more positions is NaN
};

// kTileInputs positions of one head in a cache of bfloat16: two blocks of 16 as AttendArgs
// describes them.
struct TileCached {
  const unsigned char* blocks[2];  // where their keys begin; the second may be null
  int64_t value_offset;
  int32_t count;  // positions that are there; the others become zeros
  int32_t head_dim;
  unsigned char* keys;  // where the first position begins, as TileAttend reads it
  unsigned char* values;
};

constexpr int32_t kTileQueries = 32;

// As PeakKernels, of instructions that add 16 x 16 x 32 or 16 x 16 x 64 products to a tile of sums;
// `operands` are one tile.
struct TilePeaks {
  int32_t chains;
  float (*bfloat16)(const unsigned char* operands, int64_t steps);
  float (*int8)(const unsigned char* operands, int64_t steps);
};

struct TileKernels {
  const char* name;             // for people
  TileLinear linear[kFormats];  // without a product: tiles do not multiply this format
  void (*close)();              // gives the thread's tiles back
  void (*convolve)(const TileProduct& product, const ConvArgs& args);
  // As Kernels::time_convolve of bfloat16, whose rows are pairs with zeros up to whole pieces:
  // those are args.words. Rows up to the next multiple of 32 must be there, with any values.
  void (*time_convolve)(const TimeConvArgs& args);
  // Rounds `count` values to bfloat16.
  void (*round)(const float* x, int64_t count, uint32_t* out);
  // Stores the keys and values of kTileInputs positions, the first `count` of which are given; the
  // others become zeros. `keys` and `values`: where the first position begins.
  void (*store)(const float* const* key_rows, const float* const* value_rows, int32_t count,
                unsigned char* keys, unsigned char* values, int32_t head_dim);
  // Copies cached positions. Values that are not finite become zeros, so that rows that do not see
  // them are not spoilt; returns how many positions come before the first of these, or the count.
  int32_t (*gather)(const TileCached& args);
  // If a score is not finite, the row's output is NaN.
  void (*attend)(const TileAttend& args);
  TilePeaks peaks;
};

// Of TileAttend, for items of up to so many positions.
constexpr int64_t tile_scratch_bytes(int64_t positions, int64_t head_dim, int64_t parts) {
  const int64_t padded = (positions + kTileInputs - 1) / kTileInputs * kTileInputs + 64;
  return kTileQueries * (2 * parts * head_dim + (4 + 2 * parts) * padded + 4);
}

}  // namespace ttsrt::cpu
