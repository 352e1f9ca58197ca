// Launchers of the kernels of whole items (ops/whole_ops.h): what cuda/launch.h is to the others,
// with the same promises. A row's result depends on the rows of its own segment alone.
//
// Kernels that feed a product on tensor cores may leave their rows in the product's type beside
// float32 or instead of it (NarrowRows), so that no kernel has to convert them.
#pragma once

#include <iterator>

#include "cuda/launch.h"

namespace ttsrt::cuda {

// Rows in bfloat16 or float16: row r at data + r * stride. No data: there are none.
struct NarrowRows {
  void* data = nullptr;
  std::int64_t stride = 0;  // elements
  Element element = Element::bfloat16;
};

// A matrix of narrow rows as the copy engine of Hopper reads it in boxes of 64 columns
// (tensor_map.h).
struct alignas(128) TensorMap {
  std::uint64_t words[16] = {};
};
// Rows of such boxes.
constexpr std::int32_t kProductBoxRows = 32;          // of the rows of a product
constexpr std::int32_t kWeightBoxRows = 128;          // of its weights
constexpr std::int32_t kResidentRows[] = {160, 224};  // of a persistent block's tiles of rows
constexpr std::int32_t kHeadBoxRows = 64;             // of queries, keys and values

// --- rows of the slots --------------------------------------------------------------------------

// As ops::LoadRows: `x` [rows, array.width] is written, and each row of the array is read `repeat`
// times. As ops::SaveRows: the array gets columns [first, first + array.width) of `x` [rows,
// stride].
struct ItemRowsArgs {
  RowsView rows;
  FaultsView faults;
  RowArrayView array;
  float* x = nullptr;
  std::int64_t stride = 0;
  std::int32_t first = 0;
  std::int32_t repeat = 1;
  std::int32_t max_rows = 0;
};
void load_item_rows(const ItemRowsArgs& args, cudaStream_t stream);
void save_item_rows(const ItemRowsArgs& args, cudaStream_t stream);

// As ops::StoreSchedule. `x` [rows, slots.schedule_width].
struct StoreScheduleArgs {
  RowsView rows;
  SlotsView slots;
  FaultsView faults;
  const float* x = nullptr;
  std::int32_t slot_rows = 0;  // of the schedule of each slot; 0: it lies in blocks of the cache
  std::int32_t max_rows = 0;
};
void store_schedule(const StoreScheduleArgs& args, cudaStream_t stream);

// As ops::ClearFiller (`out` is null: `x` is changed) and ops::StretchText. `x`, `out` [rows,
// width].
struct TextRowsArgs {
  RowsView rows;
  SlotsView slots;
  float* x = nullptr;
  float* out = nullptr;
  std::int64_t width = 0;
  std::int32_t max_rows = 0;
};
void clear_filler(const TextRowsArgs& args, cudaStream_t stream);
void stretch_text(const TextRowsArgs& args, cudaStream_t stream);

// As ops::FlowStep. `velocity` [rows, width], at most slots.dim. No data of `mask`: no rows are
// fixed.
struct FlowStepArgs {
  RowsView rows;
  SlotsView slots;
  FaultsView faults;
  const float* velocity = nullptr;
  std::int64_t width = 0;
  RowArrayView base;
  RowArrayView fixed;
  RowArrayView mask;
  std::int32_t max_rows = 0;
};
void flow_step(const FlowStepArgs& args, cudaStream_t stream);

// --- modulation ---------------------------------------------------------------------------------

// As ops::ModulatedNorm. `x` and `out` [rows, width]; `out` may be null where `narrow` is there.
struct ModulatedNormArgs {
  RowsView rows;
  const float* schedule = nullptr;  // [schedule rows, schedule_width]
  std::int64_t schedule_width = 0;
  const float* x = nullptr;
  float* out = nullptr;
  NarrowRows narrow;
  std::int64_t width = 0;
  std::int32_t scale = 0;
  std::int32_t shift = 0;
  float epsilon = 1e-6F;
  std::int32_t max_rows = 0;
};
void modulated_norm(const ModulatedNormArgs& args, cudaStream_t stream);

// As ops::AddModulated. `x` and `out` [rows, width].
struct AddModulatedArgs {
  RowsView rows;
  const float* schedule = nullptr;
  std::int64_t schedule_width = 0;
  const float* x = nullptr;
  float* out = nullptr;
  std::int64_t width = 0;
  std::int32_t gate = 0;
  std::int32_t max_rows = 0;
};
void add_modulated(const AddModulatedArgs& args, cudaStream_t stream);

// --- convolutions -------------------------------------------------------------------------------

// As ops::DepthwiseConv. `x` and `out` [rows, width], `weight` [kernel, width].
struct DepthwiseArgs {
  RowsView rows;
  const float* x = nullptr;
  float* out = nullptr;
  const float* weight = nullptr;
  const float* bias = nullptr;  // [width]
  std::int64_t width = 0;
  std::int32_t kernel = 1;
  std::int32_t max_rows = 0;
};
void depthwise_conv(const DepthwiseArgs& args, cudaStream_t stream);

// As ops::GroupedConv. `x` [rows, width], `out` [rows, weight.outputs].
struct GroupedConvArgs {
  RowsView rows;
  const float* x = nullptr;
  float* out = nullptr;
  ProductWeight weight;  // float32, bfloat16 or float16
  const float* bias = nullptr;
  std::int64_t width = 0;
  std::int32_t groups = 1;
  std::int32_t kernel = 1;
  Activation activate = Activation::none;
  bool accumulates = false;
  std::int32_t max_rows = 0;
};
void grouped_conv(const GroupedConvArgs& args, cudaStream_t stream);

// Rows of items with `gap` rows of zeros before, between and behind them, so that a convolution
// needs no bounds: row r of segment s is row r + gap * (s + 1).
struct PaddedRows {
  NarrowRows rows;
  std::int32_t* real_row = nullptr;  // [padded rows], -1: zeros
  std::int32_t gap = 0;
};

// Rounds `x` [rows, width] to padded rows.
struct PadArgs {
  RowsView rows;
  const float* x = nullptr;
  PaddedRows padded;
  std::int64_t width = 0;  // a multiple of 4
  std::int32_t max_rows = 0;
};
void pad_rows(const PadArgs& args, cudaStream_t stream);

// As grouped_conv(), of padded rows, on Hopper's tensor cores: groups of 64 inputs and 64 outputs,
// at most kMostConvTaps taps.
constexpr std::int32_t kConvGroup = 64;
constexpr std::int32_t kMostConvTaps = 33;
struct WholeConvArgs {
  TensorMap weights;  // [outputs, kernel * 64] in boxes of kHeadBoxRows
  TensorMap x;        // the padded rows in boxes of kProductBoxRows
  RowsView rows;
  PaddedRows padded;
  const float* bias = nullptr;
  float* out = nullptr;  // [rows, outputs]
  std::int32_t outputs = 0;
  std::int32_t kernel = 1;
  Activation activate = Activation::none;
  bool accumulates = false;
  std::int32_t max_padded = 0;
};
void whole_conv(const WholeConvArgs& args, cudaStream_t stream);

// As ops::ResponseNorm. `x` and `sums` [rows, width].
struct ResponseNormArgs {
  RowsView rows;
  float* x = nullptr;
  float* sums = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  std::int64_t width = 0;
  float epsilon = 1e-6F;
  std::int32_t max_rows = 0;
};
void response_norm(const ResponseNormArgs& args, cudaStream_t stream);

// --- products -----------------------------------------------------------------------------------

// The epilogue of a product: what becomes of activate(sum + bias).
enum class ProductEnd : std::int32_t {
  store,  // out = value, or out += value; and narrow = value
  gate,   // out += value * gate, as ops::AddModulated
  heads,  // narrow = queries, keys and values as prepare_heads() leaves them; heads have 64
          // dimensions, all of which a rope rotates
};

// A product of rows of whole items with a narrow weight, on Hopper's tensor cores. Every output is
// one sum over the inputs in order, whatever the number of rows.
struct WholeProductArgs {
  TensorMap weights;                               // [outputs, inputs] in boxes of kWeightBoxRows
  TensorMap x;                                     // [max_rows, inputs] in boxes of kProductBoxRows
  TensorMap resident_x[std::size(kResidentRows)];  // the same in boxes of each of kResidentRows
  RowsView rows;
  Element element = Element::bfloat16;
  std::int32_t inputs = 0;
  std::int32_t outputs = 0;  // a multiple of 4
  const float* bias = nullptr;
  Activation activate = Activation::none;
  ProductEnd end = ProductEnd::store;
  float* out = nullptr;  // [rows, outputs], or none
  bool accumulates = false;
  NarrowRows narrow;
  const float* schedule = nullptr;
  std::int64_t schedule_width = 0;
  std::int32_t gate = 0;
  const float* rope = nullptr;  // [positions, 64], or none
  std::int32_t rope_heads = 0;  // 0: all
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  bool leaves_settled = false;  // tiles of settled rows aren't written
  std::int32_t max_rows = 0;
};
void whole_product(const WholeProductArgs& args, cudaStream_t stream);
// Whether the current device runs these products, and attention of boxes.
bool has_whole_products();

// Rounds `x` [rows, width] to narrow rows.
struct NarrowArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  NarrowRows narrow;
  std::int64_t width = 0;
  std::int32_t max_rows = 0;
};
void narrow_rows(const NarrowArgs& args, cudaStream_t stream);

// --- attention ----------------------------------------------------------------------------------

// As ops::SelfAttention without a cache, in two steps. prepare_heads() writes queries, keys and
// values as they are multiplied, normed, turned and rounded, to `prepared` [rows, (heads + 2
// kv_heads) * head_dim]; its element is float32, or narrow where item_attention() multiplies on
// tensor cores. `rounded` is what keys and values are rounded to.
struct ItemAttentionArgs {
  RowsView rows;
  const float* qkv = nullptr;  // null: `prepared` is there already
  void* prepared = nullptr;
  Element element = Element::float32;
  Element rounded = Element::float32;
  bool has_boxes = false;  // `prepared` is narrow, with heads of 64 dimensions, on Hopper
  TensorMap boxes;         // of `prepared`, in boxes of kHeadBoxRows
  float* out = nullptr;    // [rows, heads * head_dim], or none
  NarrowRows narrow;       // the same, or none
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  float scale = 0.0F;
  bool is_causal = false;
  const float* rope = nullptr;  // [positions, rope_width], or none
  std::int32_t rope_width = 0;
  std::int32_t rope_heads = 0;    // 0: all
  const float* q_norm = nullptr;  // [heads * head_dim], or none
  const float* k_norm = nullptr;  // [kv_heads * head_dim]
  float head_norm_epsilon = 1e-6F;
  std::int32_t max_rows = 0;
  std::int32_t max_tiles = 0;
};
void prepare_heads(const ItemAttentionArgs& args, cudaStream_t stream);
void item_attention(const ItemAttentionArgs& args, cudaStream_t stream);
// Launched by item_attention() where there are boxes.
void item_attention_of_boxes(const ItemAttentionArgs& args, cudaStream_t stream);
// Whether item_attention() multiplies heads of this size on tensor cores.
bool has_narrow_heads(std::int32_t head_dim, bool is_causal);

// --- sound --------------------------------------------------------------------------------------

// As ops::PolarSpectrum. `x` and `out` [rows * rate, 2 * bins].
struct PolarArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  float* out = nullptr;
  std::int64_t bins = 0;
  std::int32_t rate = 1;
  float most = 100.0F;
  bool has_sine = false;
  std::int32_t max_rows = 0;
};
void polar_spectrum(const PolarArgs& args, cudaStream_t stream);

// As ops::OverlapAdd. `x` [rows * rate, samples], of whose segments the last `beyond` rows are
// behind the item, `out` [rows * rate, hop], `window` [samples].
struct OverlapArgs {
  RowsView rows;
  const float* x = nullptr;
  float* out = nullptr;
  const float* window = nullptr;
  std::int64_t samples = 0;
  std::int64_t hop = 0;
  std::int32_t rate = 1;
  std::int32_t beyond = 0;
  std::int32_t trim = 0;
  std::int32_t max_rows = 0;
};
void overlap_add(const OverlapArgs& args, cudaStream_t stream);

}  // namespace ttsrt::cuda
