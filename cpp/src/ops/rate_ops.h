// Ops of Programs whose activations have several rows for each row of the launch: neural codecs,
// whose rows are frames at one end and samples at the other.
//
// A buffer of rate r (ops/activation.h) has rows [p * r, (p + n) * r) for a segment of n rows at
// position p. The time of these ops is the row of such a buffer. What was before a segment is what
// the slot keeps of it: an op with `past` reads the last rows of its input there, which are zeros
// where the segment begins at position 0, and leaves those of the segment. Without `past`, nothing
// is before and behind a segment but padding.
//
// A length that no rate divides, such as the frames of a centred Fourier transform, is one of a
// segment with one row more than its item: the last Activation::beyond rows of a buffer then lie
// behind the item. Ops that look around a row take them for what is behind the segment; what other
// ops write there has no meaning.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/activation.h"
#include "ops/weight.h"

namespace ttsrt::ops {

// Looks up the vector of each code of a frame, and concatenates them: column c * width + i is
// table[code c, i]. Codes are those of the segment (step::Input::codes), one for each codebook.
struct DequantizeCodes {
  BufferId out = kNoBuffer;  // [rows, codebooks * width]
  Weight table;              // [codes, width] dense float32, one for all codebooks
  std::int32_t codebooks = 0;
};

// The first columns become x + sin^2(alpha x) / (alpha + epsilon), with an alpha each: all of them,
// or the first floor(width / 2). The others are multiplied by `slope` where they are negative, and
// without alphas, all are.
struct HalfSnake {
  BufferId x = kNoBuffer;    // [rows * rate, width]
  BufferId out = kNoBuffer;  // [rows * rate, width], or x itself
  Weight alpha = {};         // [width] or [width / 2] float32, or absent
  float slope = 0.01F;
  float epsilon = 1e-9F;
};

// What stands for rows before and behind an item; reflect: row -i is row i.
enum class Padding : std::int32_t { zeros, replicate, reflect };

// Convolves all columns over time: with i over the taps,
//   value[t] = bias + sum_i weight[i] x[t * stride + i * dilation - before], and
//   out[t] = activate(scale * (addend[t] + value[t])), or out[t] += scale * (addend[t] + value[t]).
// `past` names kept rows of the slots, as many as `before`; the convolution is then causal: before
// = (kernel - 1) * dilation, and stride 1.
struct TimeConv {
  BufferId x = kNoBuffer;    // [rows * rate, width]
  BufferId out = kNoBuffer;  // [rows * rate / stride, N]
  Weight weight;             // [N, kernel * width] panel16, taps first
  Weight bias;               // [N] float32, or absent
  std::int32_t kernel = 1;
  std::int32_t dilation = 1;
  std::int32_t stride = 1;
  std::int32_t before = 0;
  Padding padding = Padding::zeros;
  std::int32_t past = -1;       // index into StateSpec::past, -1: none
  BufferId addend = kNoBuffer;  // [rows * rate / stride, N], or none
  float scale = 1.0F;
  bool accumulate = false;
  Activate activate = Activate::none;  // none if it accumulates
};

// A causal transposed convolution with a kernel of 2 * factor and a group for each output column,
// which reads two inputs:
//   out[t * factor + j, n] = bias[n] + sum over c in {2n, 2n + 1} of
//     x[t, c] * weight[c, j] + x[t - 1, c] * weight[c, j + factor].
struct Upsample {
  BufferId x = kNoBuffer;    // [rows * rate, 2 * N]
  BufferId out = kNoBuffer;  // [rows * rate * factor, N]
  Weight weight;             // [2 * N, 2 * factor] dense float32
  Weight bias;               // [N] float32
  std::int32_t factor = 1;
  std::int32_t past = -1;  // of one row, index into StateSpec::past
};

// Limits every value to [least, most]. NaN stays.
struct Clamp {
  BufferId x = kNoBuffer;  // any width and rate
  float least = -1.0F;
  float most = 1.0F;
};

// Reads a row as several: the values stay in order, as the rate is multiplied by what the width is
// divided by, or the other way round.
struct SplitRows {
  BufferId x = kNoBuffer;    // [rows * rate, width]
  BufferId out = kNoBuffer;  // as many values
};

// Moves rows back: row t of an item becomes row |t - count| of the input, whose item has `count`
// rows less.
struct ShiftRows {
  BufferId x = kNoBuffer;    // [rows * rate, width]
  BufferId out = kNoBuffer;  // the same, and `count` rows less are beyond the item
  std::int32_t count = 1;
};

// Finite scalar quantization (https://arxiv.org/abs/2309.15505), as NeMo's FiniteScalarQuantizer: a
// group's code is the sum of its dimensions' indices times the product of the levels before them.
// With L levels, s = (L - 1) / 2 * (1 - 1e-3) and o = 0.5 where L is even, else 0, an index is
// round(s * tanh(x + tan(o / s)) - o) + floor(L / 2), ties to even.
struct QuantizeRows {
  BufferId x = kNoBuffer;            // [rows, groups * levels.size()]
  BufferId out = kNoBuffer;          // [rows, groups]: codes, as floats
  std::vector<std::int32_t> levels;  // of each dimension of a group
};

}  // namespace ttsrt::ops
