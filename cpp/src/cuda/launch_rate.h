// Launchers of the kernels of ops with rates (ops/rate_ops.h): what cuda/launch.h is to the others,
// with the same promises. A buffer of rate r has r rows for each row of the launch.
//
// Decided: a slot keeps the last rows before a segment twice. A launch reads those that belong to
// its position and writes the others, so that no kernel waits for another one to have read them,
// and a launch that is repeated finds what it found.
#pragma once

#include "cuda/launch_whole.h"
#include "cuda/segment_taps.h"

namespace ttsrt::cuda {

// The last rows of an op's input, of every slot: two halves of [rows, row_bytes]. tags[slot][h] is
// the position behind the rows that half h holds. A segment at position 0 reads neither half, which
// are zeros for it, and leaves half 0.
struct PastView {
  std::byte* data = nullptr;     // [slots][2][half_bytes]
  std::int32_t* tags = nullptr;  // [slots][2]
  std::int64_t half_bytes = 0;
  std::int32_t rows = 0;
  std::int32_t width = 0;
};

// The snake of ops::HalfSnake: the first `curved` columns have an alpha each, all of them or half;
// the others have a slope.
struct SnakeView {
  const float* alpha = nullptr;  // [curved]
  std::int32_t curved = 0;
  float slope = 0.01F;
  float epsilon = 1e-9F;
};

// As ops::DequantizeCodes. `out` [rows, codebooks * table.cols].
struct DequantizeArgs {
  RowsView rows;
  FaultsView faults;
  float* out = nullptr;
  TableView table;  // [codes, width] float32
  std::int32_t codebooks = 0;
  std::int32_t max_rows = 0;
};
void dequantize_codes(const DequantizeArgs& args, cudaStream_t stream);

// As ops::HalfSnake. `x` and `out` [rows * rate, width]; `out` may be x, or null where `narrow` is
// there.
struct HalfSnakeArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  float* out = nullptr;
  NarrowRows narrow;
  SnakeView snake;
  std::int64_t width = 0;
  std::int32_t rate = 1;
  std::int32_t max_rows = 0;
};
void half_snake(const HalfSnakeArgs& args, cudaStream_t stream);

// As ops::TimeConv. `x` [rows * rate, width], of whose segments the last `beyond` rows are behind
// the item; `out` [rows * rate / stride, outputs].
struct TimeConvArgs {
  RowsView rows;
  const float* x = nullptr;
  float* out = nullptr;
  const void* weight = nullptr;  // [outputs, weight_stride] of the element
  std::int64_t weight_stride = 0;
  Element element = Element::float32;  // inputs are rounded to it
  const float* bias = nullptr;         // [outputs] or none
  const float* addend = nullptr;       // [rows * rate / stride, outputs] or none
  PastView past;                       // of float32; data null: none
  std::int32_t width = 0;
  std::int32_t outputs = 0;
  std::int32_t rate = 1;  // of x
  std::int32_t kernel = 1;
  std::int32_t dilation = 1;
  std::int32_t stride = 1;
  std::int32_t before = 0;
  std::int32_t beyond = 0;
  ConvEdge edge = ConvEdge::zeros;
  bool accumulates = false;
  float scale = 1.0F;
  Activation activate = Activation::none;
  std::int32_t max_rows = 0;
};
void time_conv(const TimeConvArgs& args, cudaStream_t stream);

// Narrow rows of a convolution have whole products of columns.
constexpr std::int32_t kRateUnit = kConvColumns;

// As ops::TimeConv, of narrow rows and weights on Hopper's tensor cores: narrow_conv() convolves
// causally, segment_conv() within segments. Every output is one sum, in an order that depends on
// the op alone. A launch writes `out`, unless it is null, and the snake of its outputs in float32
// or as narrow rows.
struct NarrowConvArgs {
  RowsView rows;
  NarrowRows x;                  // [rows * rate, padded width]; columns behind the width are zeros
  const void* weight = nullptr;  // as write_conv_weights() writes it (conv_weights.h)
  const float* bias = nullptr;
  const float* addend = nullptr;
  float* out = nullptr;  // [rows * rate, outputs], or none
  bool has_snake = false;
  SnakeView snake;
  float* snake_out = nullptr;  // [rows * rate, outputs], or none
  NarrowRows snake_narrow;
  PastView past;  // of narrow rows
  std::int32_t width = 0;
  std::int32_t outputs = 0;
  std::int32_t rate = 1;
  std::int32_t kernel = 1;
  std::int32_t dilation = 1;
  bool accumulates = false;
  float scale = 1.0F;
  // segment_conv() alone reads these: how many rows before its output the first tap reads, and how
  // many rows at the end of a segment no tap reads.
  std::int32_t before = 0;
  std::int32_t beyond = 0;
  std::int32_t max_rows = 0;
};
void narrow_conv(const NarrowConvArgs& args, cudaStream_t stream);
// The size of a thread block's tile: warpgroups, of 64 rows each, and outputs. All tiles give the
// same bits.
struct NarrowConvTile {
  std::int32_t groups = 1;
  std::int32_t outputs = 8;
};
NarrowConvTile narrow_conv_tile(const NarrowConvArgs& args);
void narrow_conv(const NarrowConvArgs& args, const NarrowConvTile& tile, cudaStream_t stream);
// Whether the current device runs such convolutions, and whether the shared memory of a thread
// block holds what this one needs.
bool has_narrow_convs();
bool fits_narrow_conv(const NarrowConvArgs& args);
// Convolutions without past rows: taps read rows of their own segment on both sides, and zeros
// elsewhere. Weights are cut into tiles of kSegmentUnit outputs.
void segment_conv(const NarrowConvArgs& args, cudaStream_t stream);
NarrowConvTile segment_conv_tile(const NarrowConvArgs& args, std::int32_t multiprocessors);
void segment_conv(const NarrowConvArgs& args, const NarrowConvTile& tile, cudaStream_t stream);
bool fits_segment_conv(const NarrowConvArgs& args);

// Rounds `x` [rows * rate, width] to narrow rows.
struct NarrowRateArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  NarrowRows narrow;
  std::int64_t width = 0;
  std::int32_t rate = 1;
  std::int32_t max_rows = 0;
};
void narrow_rate_rows(const NarrowRateArgs& args, cudaStream_t stream);

// As ops::Upsample. `x` [rows * rate, 2 * width], `out` [rows * rate * factor, width] or none,
// `weight` [2 * width, 2 * factor]. It may leave the snake of its outputs, in float32 or as narrow
// rows.
struct UpsampleArgs {
  RowsView rows;
  const float* x = nullptr;
  float* out = nullptr;
  const float* weight = nullptr;
  const float* bias = nullptr;  // [width]
  bool has_snake = false;
  SnakeView snake;
  float* snake_out = nullptr;
  NarrowRows snake_narrow;
  PastView past;  // of one row
  std::int32_t width = 0;
  std::int32_t rate = 1;
  std::int32_t factor = 1;
  std::int32_t max_rows = 0;
};
void upsample(const UpsampleArgs& args, cudaStream_t stream);

// As ops::Clamp and ops::SplitRows: of `values` values for each row of the launch. SplitRows only
// copies, as rows lie one behind the other.
struct RowValuesArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  float* out = nullptr;
  std::int64_t values = 0;
  float least = 0.0F;
  float most = 0.0F;
  std::int32_t max_rows = 0;
};
void clamp_rows(const RowValuesArgs& args, cudaStream_t stream);
void split_rows(const RowValuesArgs& args, cudaStream_t stream);

// As ops::ShiftRows. `x` and `out` [rows * rate, width].
struct ShiftRowsArgs {
  RowsView rows;
  const float* x = nullptr;
  float* out = nullptr;
  std::int64_t width = 0;
  std::int32_t rate = 1;
  std::int32_t shift = 1;
  std::int32_t max_rows = 0;
};
void shift_rows(const ShiftRowsArgs& args, cudaStream_t stream);

// As ops::HarmonicSource. `pitch` [rows], `noise` [rows, hop + harmonics], `out` [rows, hop]; the
// last `beyond` rows of a segment have no pitch.
struct HarmonicSourceArgs {
  RowsView rows;
  FaultsView faults;
  RowArrayView cycles;  // of width 2
  const float* pitch = nullptr;
  const float* noise = nullptr;
  float* out = nullptr;
  const float* weight = nullptr;  // [harmonics]
  const float* bias = nullptr;    // [1]
  std::int32_t hop = 0;
  std::int32_t harmonics = 0;
  std::int32_t halo = 0;
  std::int32_t beyond = 0;
  float sample_rate = 0.0F;
  float least_hz = 0.0F;
  float sine = 0.0F;
  float voiced_noise = 0.0F;
  float unvoiced_noise = 0.0F;
  std::int32_t max_rows = 0;
};
void harmonic_source(const HarmonicSourceArgs& args, cudaStream_t stream);

// As ops::FadeIn. `x` [rows, values], `factors` [count].
struct FadeInArgs {
  RowsView rows;
  float* x = nullptr;
  const float* factors = nullptr;
  std::int64_t values = 0;
  std::int64_t count = 0;
  std::int32_t max_rows = 0;
};
void fade_in(const FadeInArgs& args, cudaStream_t stream);

// As ops::QuantizeRows. `x` [rows, groups * dims], `out` [rows, groups].
constexpr std::int32_t kMaxQuantizeDims = 16;
struct QuantizeArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  float* out = nullptr;
  std::int32_t groups = 0;
  std::int32_t dims = 0;
  std::int32_t levels[kMaxQuantizeDims] = {};
  std::int32_t max_rows = 0;
};
void quantize_rows(const QuantizeArgs& args, cudaStream_t stream);

}  // namespace ttsrt::cuda
