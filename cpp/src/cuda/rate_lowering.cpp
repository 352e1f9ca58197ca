// Lowering of the ops with rates (ops/rate_ops.h).
#include <algorithm>
#include <string>
#include <utility>

#include "core/check.h"
#include "cuda/launch_rate.h"
#include "cuda/lowering.h"

namespace ttsrt::cuda {
std::int32_t Lowering::rate_of(ops::BufferId id) const {
  return program_.activations[static_cast<std::size_t>(id)].rate;
}

PastView Lowering::past(std::int32_t index) const {
  return index < 0 ? PastView{} : site_.slots.past(index);
}

void Lowering::lower(const ops::DequantizeCodes& op) {
  DequantizeArgs args;
  args.rows = site_.rows;
  args.faults = faults();
  args.out = buffer(op.out);
  args.table = site_.weights.table(op.table);
  args.codebooks = op.codebooks;
  add_rows("dequantize codes", args, dequantize_codes);
}

SnakeView Lowering::snake_of(const ops::HalfSnake& op) {
  SnakeView snake;
  snake.alpha = site_.weights.vector(op.alpha);
  const std::int64_t half = width_of(op.x) / 2;
  if (op.alpha.rows * op.alpha.cols > half) refuse("HalfSnake of all columns");
  snake.curved = op.alpha.is_present() ? static_cast<std::int32_t>(half) : 0;
  snake.slope = op.slope;
  snake.epsilon = op.epsilon;
  return snake;
}

void Lowering::lower(const ops::HalfSnake& op) {
  HalfSnakeArgs args;
  args.num_rows = count(Count::rows);
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.snake = snake_of(op);
  args.width = width_of(op.x);
  args.rate = rate_of(op.x);
  args.narrow = leave_conv_rows(op.out, op_, args.out);
  add_rows("half-snake", args, half_snake);
}

std::string label_of_conv(const ops::TimeConv& op, std::int64_t width, std::int32_t rate) {
  return message("convolution ", op.weight.rows, " x ", width, " x ", op.kernel, " ",
                 name_of(op.weight.dtype), " at rate ", rate);
}

void Lowering::lower(const ops::ShiftRows& /*op*/) { refuse("ShiftRows"); }
void Lowering::lower(const ops::HarmonicSource& /*op*/) { refuse("HarmonicSource"); }
void Lowering::lower(const ops::FadeIn& /*op*/) { refuse("FadeIn"); }

void Lowering::refuse(const char* what) const {
  throw ConfigError(message(program_.name, ": expected ops that run on a GPU, got ", what));
}

void Lowering::lower(const ops::TimeConv& op) {
  if (op.padding == ops::Padding::reflect || op.activate != ops::Activate::none)
    refuse("TimeConv with reflected ends or an activation");
  if (lower_narrow_conv(op)) return;
  TimeConvArgs args;
  args.rows = site_.rows;
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.element = element_of(op.weight.dtype);
  if (args.element == Element::float32) {
    const ProductWeight weight = site_.weights.product(op.weight);
    args.weight = weight.data;
    args.weight_stride = weight.padded_inputs;
  } else {
    const NarrowRows weight = site_.weights.matrix(op.weight);
    args.weight = weight.data;
    args.weight_stride = weight.stride;
  }
  args.bias = site_.weights.vector(op.bias);
  args.addend = buffer(op.addend);
  args.past = past(op.past);
  args.width = static_cast<std::int32_t>(width_of(op.x));
  args.outputs = static_cast<std::int32_t>(op.weight.rows);
  args.rate = rate_of(op.x);
  args.kernel = op.kernel;
  args.dilation = op.dilation;
  args.stride = op.stride;
  args.before = op.before;
  args.replicates = op.padding == ops::Padding::replicate;
  args.accumulates = op.accumulate;
  args.scale = op.scale;
  add_rows(label_of_conv(op, args.width, args.rate), args, time_conv);
}

void Lowering::lower(const ops::Upsample& op) {
  UpsampleArgs args;
  args.rows = site_.rows;
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.weight = site_.weights.vector(op.weight);
  args.bias = site_.weights.vector(op.bias);
  args.past = past(op.past);
  args.width = static_cast<std::int32_t>(width_of(op.out));
  args.rate = rate_of(op.x);
  args.factor = op.factor;
  const char* label = take_snake(op.out, false, args) ? "upsample, snake" : "upsample";
  add_rows(label, args, upsample);
}

void Lowering::lower(const ops::Clamp& op) {
  RowValuesArgs args;
  args.num_rows = count(Count::rows);
  args.x = buffer(op.x);
  args.out = buffer(op.x);
  args.values = width_of(op.x) * rate_of(op.x);
  args.least = op.least;
  args.most = op.most;
  add_rows("clamp", args, clamp_rows);
}

void Lowering::lower(const ops::SplitRows& op) {
  RowValuesArgs args;
  args.num_rows = count(Count::rows);
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.values = width_of(op.x) * rate_of(op.x);
  add_rows("split rows", args, split_rows);
}

void Lowering::lower(const ops::QuantizeRows& op) {
  QuantizeArgs args;
  args.num_rows = count(Count::rows);
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.dims = static_cast<std::int32_t>(op.levels.size());
  TTSRT_CHECK(ConfigError, args.dims <= kMaxQuantizeDims, program_.name, ": expected at most ",
              kMaxQuantizeDims, " dimensions of a group on a GPU, got ", args.dims);
  args.groups = static_cast<std::int32_t>(width_of(op.out));
  std::copy(op.levels.begin(), op.levels.end(), args.levels);
  add_rows("quantize rows", args, quantize_rows);
}

}  // namespace ttsrt::cuda
