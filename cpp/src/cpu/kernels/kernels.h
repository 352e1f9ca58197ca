// The table of kernels of one instruction set: plain structs and function pointers, chosen once
// when a backend is made.
//
// Decided: included by files built with wide instructions, so no inline functions and no standard
// containers here. A vector is always 16 floats wide (one panel, one block of positions); narrower
// machines hold it in several registers. Every kernel gives a row the same bits whatever stands
// beside it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace ttsrt::cpu {

constexpr int32_t kLanes = 16;  // panel outputs, block positions
constexpr int32_t kElements = 3;
constexpr int32_t kMostQueryRows = 8;  // of any level
constexpr int32_t kCacheElements = 4;  // of keys and values: int8 too

// Stored elements that kernels read: index of the function tables.
enum class Element : int32_t { float32, bfloat16, float16, int8 };

// What a product's weights are stored as: index of the table of products.
enum class Format : int32_t { float32, bfloat16, float16, w8a16, w4a16, w8a8, w4a8 };
constexpr int32_t kFormats = 7;

// A row of a product as it is packed: [groups][head + group_words] of 32-bit words. A word is a
// float32, two bfloat16 (one, widened, where two words are a pair), or four int8. The head of a
// group of int8 is two words: the scale, a float32, and what takes away the offset that the weights
// are multiplied with, an int32: -offset * sum of the group.
struct RowShape {
  int64_t depth;        // inputs, K
  int64_t words;        // all of them
  int64_t group_words;  // without the head
  int32_t groups;       // that share a scale; 1 where there are none
};

// Rows of a product are packed before it: one tile where wide_rows hold them, else tiles of
// tile_rows rows (the last one smaller). A tile has 1, 2, 4, 8, 12 or 16 rows, unused ones repeat
// the first, each [words][rows of the tile] of 32-bit words.
struct LinearArgs {
  const void* weight;      // panel16
  const void* scales;      // [panels][groups][16], or null
  const uint32_t* packed;  // tiles
  void* unpacked;          // scratch for panels in flight as bfloat16 (unpacked_bytes), or null
  float* out;              // [rows, outputs]
  int64_t out_stride;
  const float* bias;  // [outputs] or null
  RowShape row;
  int32_t rows;
  int32_t first_row;  // of those to compute, where a tile begins
  int32_t last_row;   // one past: all rows, or where a tile ends
  int32_t outputs;    // N
  int32_t first_panel;
  int32_t last_panel;   // one past
  int32_t near_panels;  // up to here, at least last_panel, panels are likely to be asked for next
  bool gelu;
  bool accumulate;
};

struct LinearKernels {
  // x [depth] to words [shape.words]; inputs beyond depth are zero.
  void (*prepare)(const float* x, const RowShape& shape, uint32_t* out);
  void (*product)(const LinearArgs& args);
};

// One query over the cached keys and values of one head. A block holds 16 positions: keys
// [head_dim][16], values [16][head_dim]. Elements of int8 are multiples of a scale of their
// position: float32 scales [16] stand behind the keys, and [16] behind the values.
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
  int32_t length;         // positions seen
  int32_t head_dim;
  float scale;
};

struct AttentionKernels {
  // Returns the inverse of the sum of `weights`.
  float (*attend)(const AttendArgs& args);
  // The same for Kernels::query_rows queries at once that differ in query, out, weights and length
  // and have no prior. Each has weights for the longest; what lies behind its own blocks is scores.
  void (*attend_rows)(const AttendArgs* rows);
  // Rounds one head's key and value into position `place` of a block.
  void (*store)(const float* key, const float* value, void* keys, void* values, int32_t place,
                int32_t head_dim);
};

struct Survivors {
  int32_t* indices;  // [vocab]
  float* weights;    // [vocab]
};

// Loops that do one thing as fast as the instruction set can. `operands`: 16 vectors of 64 bytes;
// what they return only keeps the work from being left out.
struct PeakKernels {
  int32_t chains;  // vectors of sums in flight; a step adds to each of them once
  float (*float32)(const unsigned char* operands, int64_t steps);   // 16 products a vector
  float (*bfloat16)(const unsigned char* operands, int64_t steps);  // 32
  float (*int8)(const unsigned char* operands, int64_t steps);      // 64
  float (*read)(const float* data, int64_t count);                  // a multiple of 64
};

struct Kernels {
  const char* name;
  const char* pairs_by;  // the instruction that multiplies pairs of bfloat16, for people
  const char* bytes_by;  // the one that multiplies bytes
  int32_t tile_rows;     // most rows of a packed tile
  int32_t wide_rows;     // most rows of one that stands alone; at least tile_rows
  int32_t pair_words;    // words of a row that two inputs rounded to bfloat16 take: 1 or 2
  int32_t (*tile_of)(int32_t rows);           // rows of the tile that holds so many alone
  int32_t (*panels_in_flight)(int32_t rows);  // that a product of so many rows takes at once
  int32_t (*block_rows)(int64_t words);       // rows that a product had better take at once: tiles
  int64_t (*unpacked_bytes)(int64_t inputs);  // of LinearArgs::unpacked
  LinearKernels linear[kFormats];
  // [rows][words] to [words][tile]; rows beyond `rows` repeat the first.
  void (*interleave)(const uint32_t* rows_of_words, int32_t rows, int32_t tile, int64_t words,
                     uint32_t* out);
  int32_t query_rows;  // of AttentionKernels::attend_rows
  AttentionKernels attention[kCacheElements];
  void (*layer_norm)(const float* x, const float* weight, int64_t width, float epsilon, float* out);
  // out = mean of `count` table rows, summed in order.
  void (*mean_rows[kElements])(const void* const* rows, int32_t count, int64_t width, float* out);
  void (*add)(const float* x, int64_t count, float* out);  // out += x
  void (*mix)(const float* conditional, const float* unconditional, float scale, int64_t count,
              float* out);
  int32_t (*argmax)(const float* values, int32_t count);
  float (*kth_largest)(const float* values, int32_t count, int32_t k);
  // exp((x - largest) * inverse_temperature) of the values >= threshold, in index order; returns
  // how many.
  int32_t (*survivors)(const float* values, int32_t count, float threshold, float largest,
                       float inverse_temperature, const Survivors& out);
  // For tests: exp and gelu of each value.
  void (*exp)(const float* x, int64_t count, float* out);
  void (*gelu)(const float* x, int64_t count, float* out);
  PeakKernels peaks;
};

const Kernels& kernels_generic();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_avx512_vnni();
const Kernels& kernels_avx512_bf16();
const Kernels& kernels_neon();
const Kernels& kernels_neon_dot();

}  // namespace ttsrt::cpu
