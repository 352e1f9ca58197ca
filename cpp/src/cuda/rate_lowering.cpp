// Lowering of the ops with rates (ops/rate_ops.h).
#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "core/check.h"
#include "cuda/launch_rate.h"
#include "cuda/lowering.h"
#include "ops/uses.h"

namespace ttsrt::cuda {
namespace {

ConvEdge edge_of(ops::Padding padding) {
  if (padding == ops::Padding::reflect) return ConvEdge::reflect;
  return padding == ops::Padding::replicate ? ConvEdge::replicate : ConvEdge::zeros;
}

bool uses(const ops::Op& op, ops::BufferId buffer) {
  const ops::Uses uses = ops::uses_of(op);
  return std::any_of(uses.begin(), uses.end(), [buffer](const ops::Use& use) {
    return use.part == ops::Part::buffer && use.index == buffer;
  });
}

}  // namespace

std::int32_t Lowering::rate_of(ops::BufferId id) const {
  return program_.activations[static_cast<std::size_t>(id)].rate;
}

std::int32_t Lowering::beyond_of(ops::BufferId id) const {
  return program_.activations[static_cast<std::size_t>(id)].beyond;
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
  const std::int64_t curved = op.alpha.is_present() ? op.alpha.rows * op.alpha.cols : 0;
  snake.curved = static_cast<std::int32_t>(curved);
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

void Lowering::refuse(const char* what) const {
  throw ConfigError(message(program_.name, ": expected ops that run on a GPU, got ", what));
}

void Lowering::lower(const ops::TimeConv& op) {
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
  args.beyond = beyond_of(op.x);
  args.edge = edge_of(op.padding);
  args.activate = activation_of(op.activate);
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
  const char* label = take_snake(op.x, op.out, false, args) ? "upsample, snake" : "upsample";
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

// Splitting rows leaves their values in order, so that no copy is needed where the input is read
// for the last time and the output is not there before.
ops::BufferId Lowering::shares_with(ops::BufferId buffer) const {
  if (limits_.trace) return ops::kNoBuffer;
  const auto& all = program_.ops;
  const auto at = std::find_if(all.begin(), all.end(), [buffer](const ops::Op& op) {
    const auto* split = std::get_if<ops::SplitRows>(&op);
    return split != nullptr && split->out == buffer;
  });
  if (at == all.end()) return ops::kNoBuffer;
  const ops::BufferId x = std::get<ops::SplitRows>(*at).x;
  const bool is_free =
      x < buffer &&
      std::none_of(
          all.begin(), at, [&](const ops::Op& op) { return uses(op, buffer); }) &&
      std::none_of(at + 1, all.end(), [&](const ops::Op& op) { return uses(op, x); });
  return is_free ? x : ops::kNoBuffer;
}

// Where both buffers are one, there is nothing to do.
void Lowering::lower(const ops::SplitRows& op) {
  if (buffer(op.x) == buffer(op.out)) return;
  RowValuesArgs args;
  args.num_rows = count(Count::rows);
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.values = width_of(op.x) * rate_of(op.x);
  add_rows("split rows", args, split_rows);
}

void Lowering::lower(const ops::ShiftRows& op) {
  ShiftRowsArgs args;
  args.rows = site_.rows;
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.width = width_of(op.x);
  args.rate = rate_of(op.x);
  args.shift = op.count;
  add_rows("shift rows", args, shift_rows);
}

void Lowering::lower(const ops::HarmonicSource& op) {
  HarmonicSourceArgs args;
  args.rows = site_.rows;
  args.faults = faults();
  args.cycles = site_.slots.array(op.cycles);
  args.pitch = buffer(op.pitch);
  args.noise = buffer(op.noise);
  args.out = buffer(op.out);
  args.weight = site_.weights.vector(op.weight);
  args.bias = site_.weights.vector(op.bias);
  args.hop = static_cast<std::int32_t>(width_of(op.out));
  args.harmonics = static_cast<std::int32_t>(op.weight.rows * op.weight.cols);
  args.halo = op.halo;
  args.beyond = beyond_of(op.pitch);
  args.sample_rate = op.sample_rate;
  args.least_hz = op.least_hz;
  args.sine = op.sine;
  args.voiced_noise = op.voiced_noise;
  args.unvoiced_noise = op.unvoiced_noise;
  add_rows(message("source of ", args.harmonics, " harmonics"), args, harmonic_source);
}

void Lowering::lower(const ops::FadeIn& op) {
  FadeInArgs args;
  args.rows = site_.rows;
  args.x = buffer(op.x);
  args.factors = site_.weights.vector(op.factors);
  args.values = width_of(op.x) * rate_of(op.x);
  args.count = op.factors.rows * op.factors.cols;
  add_rows("fade in", args, fade_in);
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
