// Ops of Programs that see all rows of an item: flow matching, the text in front of it, vocoders.
//
// An item's rows of one branch are one segment (step/batch.h). Nothing here looks beyond a segment
// but FlowStep, which mixes the two branches of an item.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/activation.h"
#include "ops/weight.h"

namespace ttsrt::ops {

// Reads rows of an array of the slots (StateSpec::rows), those of the segment's positions and of
// its branch. An array that has one branch gives zeros to the other. Each row of the array is read
// `repeat` times: position p reads row floor(p / repeat).
struct LoadRows {
  BufferId out = kNoBuffer;  // [rows, width of the array]
  std::int32_t array = 0;
  std::int32_t repeat = 1;
};

// Keeps columns [first, first + width of the array) of rows in an array of the slots.
struct SaveRows {
  BufferId x = kNoBuffer;  // [rows, at least first + width]
  std::int32_t array = 0;
  std::int32_t first = 0;
};

// Keeps rows in the cache blocks of the segment, at its positions, beside keys and values. Row i is
// what evaluation i of a schedule adds and multiplies (Segment::schedule_row).
struct StoreSchedule {
  BufferId x = kNoBuffer;  // [rows, StateSpec::schedule_width]
};

// Computes (x - mean) / sqrt(variance + epsilon) * (1 + s) + t, where s and t are columns
// [scale, scale + width) and [shift, shift + width) of the segment's schedule row.
struct ModulatedNorm {
  BufferId x = kNoBuffer;    // [rows, width]
  BufferId out = kNoBuffer;  // [rows, width]
  std::int32_t scale = 0;
  std::int32_t shift = 0;
  float epsilon = 1e-6F;
};

// Computes out += x * g, where g is columns [gate, gate + width) of the segment's schedule row.
struct AddModulated {
  BufferId x = kNoBuffer;    // [rows, width]
  BufferId out = kNoBuffer;  // [rows, width]
  std::int32_t gate = 0;
};

// Sets the rows behind the text to zero: those of positions from the slot's text_len on, in both
// branches.
struct ClearFiller {
  BufferId x = kNoBuffer;  // [rows, width]
};

// Stretches the L rows of the text over all N rows of the segment: each stands floor(N / L) times,
// the last N mod L of them once more.
struct StretchText {
  BufferId x = kNoBuffer;    // [rows, width]
  BufferId out = kNoBuffer;  // [rows, width]
};

// Convolves every column with taps of its own over the rows of the segment; rows outside are zeros.
struct DepthwiseConv {
  BufferId x = kNoBuffer;    // [rows, width]
  BufferId out = kNoBuffer;  // [rows, width]
  Weight weight;             // [kernel, width] float32, an odd number of taps
  Weight bias;               // [width] float32
};

// Convolves groups of columns over the rows of the segment; rows outside are zeros. Outputs of
// group g, of N / groups each, read the inputs of group g, of width / groups each. Then, as Linear,
// out = activate(value + bias), or out += it.
struct GroupedConv {
  BufferId x = kNoBuffer;    // [rows, width]
  BufferId out = kNoBuffer;  // [rows, N]
  Weight weight;             // [N, kernel * width / groups] panel16, taps first
  Weight bias;               // [N] float32
  std::int32_t groups = 1;   // N / groups is a multiple of 16
  std::int32_t kernel = 1;   // odd
  Activate activate = Activate::none;
  bool accumulate = false;
};

// Global response norm: with G_c the root of the sum of x^2 of column c over all rows of the
// segment and n_c = G_c / (mean of G + epsilon), computes x = gamma * (x * n) + beta + x.
struct ResponseNorm {
  BufferId x = kNoBuffer;     // [rows, width]
  BufferId sums = kNoBuffer;  // [rows, width], scratch: the segment's first row is used
  Weight gamma;               // [width] float32
  Weight beta;                // [width] float32
  float epsilon = 1e-6F;
};

// One evaluation of an ordinary differential equation that each item integrates. With the
// velocities c and u of its branches, v = c + flow_scale * (c - u), or c where it has one branch.
// The slot's kept rows become y = base + v * step_size of the segment; base becomes y as well where
// the segment ends a step. In the last evaluation, rows whose `mask` is not 0 become those of
// `fixed` instead, and their velocity isn't read; without these arrays, no row does.
struct FlowStep {
  BufferId velocity = kNoBuffer;  // [rows, dim], at most StateSpec::dim
  std::int32_t base = 0;          // arrays of the slots: [rows, dim]
  std::int32_t fixed = 0;         // [rows, dim], or -1 with `mask`
  std::int32_t mask = 0;          // [rows, 1], or -1
};

// Concatenates the columns of buffers.
struct JoinColumns {
  std::vector<BufferId> parts;  // each [rows, any width]
  BufferId out = kNoBuffer;     // [rows, the sum of their widths]
};

// Computes out = scale * activate(x) + t, where t are columns [shift, shift + width) of the
// segment's schedule row; without `shift`, nothing is added.
struct ActivateRows {
  BufferId x = kNoBuffer;    // [rows, width]
  BufferId out = kNoBuffer;  // [rows, width], or x itself
  Activate activate = Activate::none;
  float scale = 1.0F;
  std::int32_t shift = -1;
};

// What stands for the distances of a row from the others of its segment: row m of the 2 n rows of a
// segment of n rows is the table's row of distance n - 1 - m.
struct DistanceRows {
  BufferId out = kNoBuffer;  // [rows * 2, width]
  Weight table;              // [2 * most rows, width] dense float32; distances most - 1 to -most
};

// Multi-head attention of every row of a segment to all of them, whose scores also know how far the
// query i is behind the key j (https://arxiv.org/abs/1901.02860):
//   score = ((q_i + content_offset) k_j + (q_i + distance_offset) p_(i - j)) / sqrt(head_dim).
// qkv rows are [Q | K | V], heads contiguous inside each. Of a segment of n rows, row m of its 2 n
// rows of `distances` is p of the distance n - 1 - m.
struct RelativeAttention {
  BufferId qkv = kNoBuffer;        // [rows, 3 * heads * head_dim]
  BufferId distances = kNoBuffer;  // [rows * 2, heads * head_dim]
  BufferId out = kNoBuffer;        // [rows, heads * head_dim]
  Weight content_offset;           // [heads * head_dim] float32
  Weight distance_offset;          // [heads * head_dim] float32
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
};

// Turns the logarithm m of a magnitude and a phase p of each bin into the bin's real and imaginary
// part: min(e^m, most) * (cos p, sin p).
struct PolarSpectrum {
  BufferId x = kNoBuffer;    // [rows * rate, 2 * bins]: m of all bins, then p
  BufferId out = kNoBuffer;  // [rows * rate, 2 * bins]: real parts, then imaginary parts
  float most = 100.0F;
  bool has_sine = false;  // the phase is the sine of what x has
};

// Adds up the frames of a segment at a distance of `hop` samples and divides by the sum of the
// squared windows there: the end of an inverse short-time Fourier transform. Row r gets samples
// [trim + r * hop, trim + (r + 1) * hop).
struct OverlapAdd {
  BufferId x = kNoBuffer;    // [rows * rate, samples of a frame], windowed
  BufferId out = kNoBuffer;  // [rows * rate, hop]
  Weight window;             // [samples of a frame] float32
  std::int32_t trim = 0;
};

// The rows leave the Program: they come back as StepOutput::rows, with width * rate values each.
struct EmitRows {
  BufferId x = kNoBuffer;  // [rows * rate, width]
};

}  // namespace ttsrt::ops
