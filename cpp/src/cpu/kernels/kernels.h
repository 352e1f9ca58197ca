// The table of kernels of one instruction set: plain structs and function pointers, chosen once
// when a backend is created.
//
// Files built with wide instructions include this header, so it has no inline functions and no
// standard containers. A vector always has 16 floats (one panel, one block of positions); narrower
// machines hold it in several registers. Every kernel gives a row the same bits, whatever other
// rows run with it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace ttsrt::cpu {

constexpr int32_t kLanes = 16;  // panel outputs, block positions
constexpr int32_t kElements = 3;
constexpr int32_t kMostQueryRows = 8;   // maximum over all levels
constexpr int32_t kMostTimeRows = 240;  // of a block of a convolution over time
constexpr int32_t kCacheElements = 4;   // element types of keys and values, with int8

// Types of stored elements that kernels read; they index the function tables.
enum class Element : int32_t { float32, bfloat16, float16, int8 };

// Storage formats of a product's weights; they index the table of products.
enum class Format : int32_t {
  float32,
  bfloat16,
  float16,
  w8a16,
  w4a16,
  w8a8,
  w4a8,
  w4a16_zeros,
  w4a8_zeros,
};
constexpr int32_t kFormats = 9;

// A packed input row of a product: [groups][head + group_words] of 32-bit words. A word is a
// float32, two bfloat16 (or one widened bfloat16, if a pair takes two words), or four int8. The
// head of an int8 group has two words: the scale as a float32, and the correction for the offset of
// the weights as an int32: -offset * sum of the group. An input that is split in two int8 is 256 *
// high + low, with a group's words of high parts before those of low ones. The head of a bfloat16
// group that meets weights with zero points has one word: the sum of the rounded inputs, a float32.
struct RowShape {
  int64_t depth;        // inputs, K
  int64_t words;        // total
  int64_t group_words;  // words of a group without its head
  int32_t groups;       // groups with a scale each; 1 if there are no groups
  int32_t parts = 1;    // of an input: 2 if it is split
};

// The activation that a product applies to a value after its bias.
enum class Activation : int32_t { none, gelu, silu, exact_gelu, mish, elu };

// A normalised row: x (minus its mean if is_centred), divided by the root of its mean square plus
// epsilon, times weight, plus bias.
struct NormArgs {
  const float* weight;  // [width]
  const float* bias;    // [width] or null
  int64_t width;
  float epsilon;
  bool is_centred;
  bool adds_one;  // it is multiplied by 1 + weight
};

// The rows of a product are packed before it: in one tile if they fit in wide_rows, else in tiles
// of tile_rows rows (the last one may be smaller). A tile has 1, 2, 4, 8, 12 or 16 rows, of which
// unused ones repeat the first, and is [words][rows of the tile] of 32-bit words.
struct LinearArgs {
  const void* weight;          // panel16
  const void* scales;          // [panels][groups][16], or null
  const unsigned char* zeros;  // zero points [panels][groups][16], or null
  const uint32_t* packed;      // tiles
  void* unpacked;              // scratch for panels in flight as bfloat16 (unpacked_bytes), or null
  float* out;                  // [rows, outputs]
  int64_t out_stride;
  const float* bias;    // [outputs] or null
  const float* addend;  // [rows, outputs] or null: added after the activation
  int64_t addend_stride;
  RowShape row;
  int32_t rows;
  int32_t first_row;  // first row to compute, at the beginning of a tile
  int32_t last_row;   // one past the last row, at the end of a tile or of all rows
  int32_t outputs;    // N
  int32_t first_panel;
  int32_t last_panel;   // one past the last panel
  int32_t near_panels;  // panels below this, at least last_panel, may be prefetched
  Activation activation;
  bool accumulate;
  const float* const* factors;  // of each row, or null: what outputs are multiplied by, from
  int64_t first_factor;         // here on [outputs], after the activation
};

// A block of rows by the panels of one group of a convolution. The inputs of the group are packed
// words of the rows [words][stride]: those of the taps before the block's first row, its own, those
// of the taps behind it, and zeros up to whole tiles of tile_rows.
struct ConvArgs {
  const void* weight;      // panel16 of the group
  const uint32_t* packed;  // [words][stride]
  int64_t stride;
  int64_t words;  // of the inputs of a row's group
  int32_t taps;
  int32_t rows;    // of the block
  int32_t panels;  // of the group
  float* out;      // of the block's first row and the group's first output
  int64_t out_stride;
  const float* bias;  // of the group
  Activation activation;
  bool accumulate;
};

// Output rows of a convolution over time by panels of outputs. The input of output row t and tap i
// is `words` packed words at rows + t * row_step + i * tap_step. A value is one chain over taps,
// then over inputs; out = scale * (addend + value), or out += that.
struct TimeConvArgs {
  const void* weight;    // panels of [taps][inputs of a tap, in whole pairs for bfloat16]
  int64_t panel_bytes;   // from panel to panel
  const uint32_t* rows;  // of the first output row and tap
  int64_t row_step;      // words
  int64_t tap_step;
  int64_t words;
  int32_t taps;
  int32_t count;    // output rows, at most kMostTimeRows
  int32_t outputs;  // N
  int32_t first_panel;
  int32_t last_panel;  // one past the last panel
  float* out;          // of the first output row: [count, outputs]
  int64_t out_stride;
  const float* bias;    // [outputs] or null
  const float* addend;  // as out, or null
  int64_t addend_stride;
  float scale;
  bool accumulate;
};

// Values of rows of `width` columns, which follow each other: those of the first `snakes` columns
// become x + sin^2(alpha x) * inverse, others are multiplied by `slope` where they are negative.
struct SnakeArgs {
  const float* x;  // out may be x
  float* out;
  int64_t count;
  int64_t first;  // column of the first value
  int64_t width;
  int64_t snakes;
  const float* alpha;    // [width + 16]: the columns, then again from the first column on
  const float* inverse;  // as alpha
  const float* share;    // as alpha: 1 for columns with an alpha, else 0
  float slope;
};

// One step of an integration of a row: state = base + velocity * step_size, where velocity is
// conditional + strength * (conditional - unconditional).
struct IntegrateArgs {
  const float* conditional;    // [count]
  const float* unconditional;  // [count] or null
  const float* base;
  float* state;
  float strength;
  float step_size;
  int64_t count;
};

struct LinearKernels {
  // Packs x [depth] into words [shape.words]; inputs beyond depth are zero.
  void (*prepare)(const float* x, const RowShape& shape, uint32_t* out);
  void (*product)(const LinearArgs& args);
};

// One query over the cached keys and values of one head. A block holds 16 positions: keys
// [head_dim][16], values [16][head_dim]. int8 elements are multiples of a scale per position:
// float32 scales [16] follow the keys, and [16] follow the values.
struct AttendArgs {
  const float* query;  // [head_dim]
  float* out;          // [head_dim]
  float* weights;  // scratch [positions to a multiple of 16]; on return unnormalised probabilities
  const unsigned char*
      cache;  // block b of this head's keys: cache + b * block_bytes; values: + value_offset
  int64_t block_bytes;
  int64_t value_offset;
  const int32_t* blocks;  // block table; null: blocks 0, 1, 2, ...
  const float* prior;     // [length] added to the scaled scores, or null
  int32_t length;         // positions to attend to
  int32_t head_dim;
  float scale;
};

struct AttentionKernels {
  // Returns the inverse of the sum of `weights`. If a score is not finite, the inverse and with it
  // the output are NaN.
  float (*attend)(const AttendArgs& args);
  // Handles Kernels::query_rows queries at once, which differ in query, out, weights, prior and
  // length. Each has weights for the longest query; those beyond its own blocks are scratch.
  void (*attend_rows)(const AttendArgs* rows);
  // Rounds the key and value of one head and stores them at position `place` of a block; returns
  // whether what was stored is finite.
  bool (*store)(const float* key, const float* value, void* keys, void* values, int32_t place,
                int32_t head_dim);
};

// Only the scaled scores of float32 attention, in `weights`: of the positions in all blocks of
// `length`. Those of query_rows queries at once have the same bits.
struct ScoreKernels {
  void (*one)(const AttendArgs& args);
  void (*rows)(const AttendArgs* rows);
};

struct Survivors {
  int32_t* indices;  // [vocab]
  float* weights;    // [vocab]
};

// Loops that run one instruction as fast as the processor can. `operands` has 16 vectors of 64
// bytes; the return values only keep the compiler from removing the work.
struct PeakKernels {
  int32_t chains;  // vectors of sums in flight; a step adds to each once
  float (*float32)(const unsigned char* operands, int64_t steps);   // 16 products per vector
  float (*bfloat16)(const unsigned char* operands, int64_t steps);  // 32
  float (*int8)(const unsigned char* operands, int64_t steps);      // 64
  float (*read)(const float* data, int64_t count);                  // count: a multiple of 64
};

struct TileKernels;

struct Kernels {
  const char* name;
  const char* pairs_by;  // the instruction that multiplies pairs of bfloat16, for people
  const char* bytes_by;  // the instruction that multiplies bytes
  int32_t tile_rows;     // maximum rows of a packed tile
  int32_t wide_rows;     // maximum rows of a single tile; at least tile_rows
  int32_t pair_words;    // words of a packed row per two inputs rounded to bfloat16: 1 or 2
  int32_t (*tile_of)(int32_t rows);           // rows of the single tile for `rows` rows
  int32_t (*panels_in_flight)(int32_t rows);  // panels that `rows` rows use at once
  int32_t (*block_rows)(int64_t words);  // rows that a product should handle at once, whole tiles
  int64_t (*unpacked_bytes)(int64_t inputs);  // size of LinearArgs::unpacked
  LinearKernels linear[kFormats];
  // Transposes [rows][words] to [words][tile]; rows beyond `rows` repeat the first.
  void (*interleave)(const uint32_t* rows_of_words, int32_t rows, int32_t tile, int64_t words,
                     uint32_t* out);
  int32_t query_rows;  // queries of AttentionKernels::attend_rows
  AttentionKernels attention[kCacheElements];
  // All outputs are NaN if the mean square is not finite.
  void (*norm)(const float* x, const NormArgs& args, float* out);
  // Turns the pairs (j, j + dims / 2) of the first `dims` values of x [count] by angles: their
  // cosines [dims / 2], then their sines. The other values are copied.
  void (*rotate)(const float* x, const float* angles, int32_t dims, int32_t count, float* out);
  // Writes activation(gate) * up.
  void (*gate)(const float* gate, const float* up, Activation activation, int64_t count,
               float* out);
  // Writes the mean of `count` table rows, summed in order.
  void (*mean_rows[kElements])(const void* const* rows, int32_t count, int64_t width, float* out);
  void (*add)(const float* x, int64_t count, float* out);  // out += x
  // Whether all numbers are finite.
  bool (*is_finite)(const float* x, int64_t count);
  // The next three return whether everything they wrote is finite.
  bool (*copy)(const float* x, int64_t count, float* out);
  // Guidance's two forms: scale * c + (1 - scale) * u, and c + scale * (c - u).
  bool (*mix)(const float* conditional, const float* unconditional, float scale, int64_t count,
              float* out);
  bool (*extrapolate)(const float* conditional, const float* unconditional, float scale,
                      int64_t count, float* out);
  int32_t (*argmax)(const float* values, int32_t count);
  float (*kth_largest)(const float* values, int32_t count, int32_t k);
  // Computes exp((x - largest) * inverse_temperature) of the values >= threshold, in index order,
  // and returns their number.
  int32_t (*survivors)(const float* values, int32_t count, float threshold, float largest,
                       float inverse_temperature, const Survivors& out);
  void (*exp)(const float* x, int64_t count, float* out);  // out may be x
  // Convolutions of float weights, by Format; the inputs are packed by `linear`'s prepare.
  void (*convolve[kElements])(const ConvArgs& args);
  // Adds to bias, for each tap whose row isn't null, weight [taps][width] times that row.
  void (*depthwise)(const float* const* rows, const float* weight, const float* bias, int32_t taps,
                    int64_t width, float* out);
  void (*add_products)(const float* x, const float* y, int64_t count, float* out);  // out += x * y
  float (*sum)(const float* x, int64_t count);
  // Writes x = gamma * x * norms * inverse + beta + x.
  void (*respond)(const float* norms, float inverse, const float* gamma, const float* beta,
                  int64_t count, float* x);
  // Returns whether the state is finite.
  bool (*integrate)(const IntegrateArgs& args);
  // Convolutions over time of float weights, by Format; the inputs are packed by `linear`'s
  // prepare.
  void (*time_convolve[kElements])(const TimeConvArgs& args);
  void (*half_snake)(const SnakeArgs& args);
  // Writes an activation of each value; out may be x.
  void (*activate)(const float* x, Activation activation, int64_t count, float* out);
  PeakKernels peaks;
  // Another table that multiplies quantized weights by inputs of 16 bits faster, and convolves by
  // bfloat16 over time; null: none does.
  const Kernels* a16 = nullptr;
  // Kernels over tiles (tile_kernels.h); null: the level has none.
  const TileKernels* tiles = nullptr;
  ScoreKernels scores = {};
  // Inputs of weights of a16 are split in two int8 each (RowShape).
  bool splits_inputs = false;
};

// Inputs of w8a16 that share a scale where they are split, so that their sums fit in 32 bits.
constexpr int32_t kSplitInputs = 256;

// The levels.
const Kernels& kernels_generic();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_avx512_vnni();
const Kernels& kernels_avx512_bf16();
const Kernels& kernels_avx512_amx();
const Kernels& kernels_neon();
const Kernels& kernels_neon_dot();

}  // namespace ttsrt::cpu
