// Whether the ops of ops/rate_ops.h fit their buffers, their weights and the state.
#include "ops/shapes.h"

namespace ttsrt::ops {
namespace {

constexpr std::int64_t kMaxCodes = std::int64_t{1} << 24;  // that a float holds exactly

}  // namespace

void RateShapes::check_past(std::int32_t past, std::int64_t rows, std::int64_t width) const {
  if (past < 0) return;
  expect(static_cast<std::size_t>(past) < spec_.past.size(), "past rows ", past, " of ",
         spec_.past.size());
  const StateSpec::PastRows& found = spec_.past[static_cast<std::size_t>(past)];
  expect(found.rows == rows && found.width == width, "past rows ", past, ": expected [", rows, ", ",
         width, "], got [", found.rows, ", ", found.width, "]");
}

void RateShapes::check(const DequantizeCodes& op) const {
  expect(op.codebooks > 0, "dequantize: expected codebooks, got ", op.codebooks);
  expect(op.table.is_present() && op.table.layout == Layout::dense &&
             op.table.dtype == DType::float32 && op.table.rows > 0,
         op.table.name, ": expected a dense table of float32");
  expect_rated(op.out, op.codebooks * op.table.cols, 1);
}

void RateShapes::check(const HalfSnake& op) const {
  const Activation& x = activation_of(op.x);
  expect_rated(op.out, x.width, x.rate);
  if (!op.alpha.is_present()) return;
  const bool is_full = op.alpha.rows * op.alpha.cols == x.width;
  expect_vector(op.alpha, is_full ? x.width : x.width / 2);
}

void RateShapes::check(const TimeConv& op) const {
  const Activation& x = activation_of(op.x);
  expect(op.kernel > 0 && op.dilation > 0 && op.stride > 0 && op.before >= 0, op.weight.name,
         ": expected a kernel, a dilation and a stride, got ", op.kernel, ", ", op.dilation,
         " and ", op.stride, ", ", op.before, " before");
  expect(x.rate % op.stride == 0, x.name, ": rate ", x.rate, " at a stride of ", op.stride);
  expect_rated(op.out, op.weight.rows, x.rate / op.stride);
  expect(op.weight.is_present() && op.weight.layout == Layout::panel16 &&
             op.weight.quantization == Quantization::none && op.weight.cols == op.kernel * x.width,
         op.weight.name, ": expected panel16 floats [", op.weight.rows, ", ", op.kernel * x.width,
         "], got [", op.weight.rows, ", ", op.weight.cols, "]");
  if (op.bias.is_present()) expect_vector(op.bias, op.weight.rows);
  if (op.addend != kNoBuffer) expect_rated(op.addend, op.weight.rows, x.rate / op.stride);
  expect(!op.accumulate || op.activate == Activate::none, op.weight.name,
         ": expected no activation of what is added to a sum");
  if (op.past < 0) return;
  const std::int64_t reach = std::int64_t{op.kernel - 1} * op.dilation;
  expect(op.stride == 1 && op.before == reach && x.beyond == 0, op.weight.name,
         ": expected a causal convolution, stride 1 and ", reach, " rows before, got stride ",
         op.stride, " and ", op.before, ", and ", x.beyond, " rows beyond the item");
  check_past(op.past, op.before, x.width);
}

void RateShapes::check(const Upsample& op) const {
  const Activation& x = activation_of(op.x);
  expect(op.factor > 0 && x.width % 2 == 0, op.weight.name, ": expected pairs of inputs, got ",
         x.width, " at a factor of ", op.factor);
  expect_rated(op.out, x.width / 2, std::int64_t{x.rate} * op.factor);
  expect(op.weight.is_present() && op.weight.layout == Layout::dense &&
             op.weight.dtype == DType::float32 && op.weight.rows == x.width &&
             op.weight.cols == std::int64_t{2} * op.factor,
         op.weight.name, ": expected dense float32 [", x.width, ", ", 2 * op.factor, "], got [",
         op.weight.rows, ", ", op.weight.cols, "]");
  expect_vector(op.bias, x.width / 2);
  check_past(op.past, 1, x.width);
}

void RateShapes::check(const Clamp& op) const {
  activation_of(op.x);
  expect(op.least <= op.most, "clamp: expected at least ", op.least, " and at most ", op.most);
}

void RateShapes::check(const SplitRows& op) const {
  const Activation& x = activation_of(op.x);
  const Activation& out = activation_of(op.out);
  expect(op.x != op.out && x.values() == out.values(), out.name, ": expected ", x.values(),
         " values for each row, got ", out.values());
}

void RateShapes::check(const ShiftRows& op) const {
  const Activation& x = activation_of(op.x);
  const Activation& out = expect_rated(op.out, x.width, x.rate);
  expect(op.count > 0 && out.beyond == x.beyond - op.count, out.name, ": expected ",
         x.beyond - op.count, " rows beyond the item, ", op.count, " less than ", x.name, ", got ",
         out.beyond);
}

void RateShapes::check(const HarmonicSource& op) const {
  const std::int64_t harmonics = op.weight.rows * op.weight.cols;
  expect_width(op.pitch, 1);
  expect_width(op.noise, width(op.out) + harmonics);
  expect_vector(op.weight, harmonics);
  expect_vector(op.bias, 1);
  array_of(op.cycles, 2);
  expect(op.halo >= 0, "source: expected rows of a halo, got ", op.halo);
  expect(op.sample_rate > 0.0F, "source: expected a sample rate, got ", op.sample_rate);
}

void RateShapes::check(const FadeIn& op) const {
  activation_of(op.x);
  expect_vector(op.factors, op.factors.rows * op.factors.cols);
}

void RateShapes::check(const QuantizeRows& op) const {
  const auto dims = static_cast<std::int64_t>(op.levels.size());
  const Activation& x = activation_of(op.x);
  expect(dims > 0 && x.width % dims == 0, x.name, ": expected groups of ", dims,
         " dimensions, got ", x.width);
  expect_rated(op.x, x.width, 1);
  expect_rated(op.out, x.width / dims, 1);
  std::int64_t codes = 1;
  for (const std::int32_t levels : op.levels) {
    expect(levels > 1 && codes <= kMaxCodes / levels, "quantize: expected levels of at most ",
           kMaxCodes, " codes, got ", levels);
    codes *= levels;
  }
}

}  // namespace ttsrt::ops
