// Whether the ops of ops/whole_ops.h fit their buffers, their weights and the state.
#include "ops/shapes.h"

namespace ttsrt::ops {

const StateSpec::RowArray& WholeShapes::array_of(std::int32_t array, std::int64_t width) const {
  expect(array >= 0 && static_cast<std::size_t>(array) < spec_.rows.size(), "array of rows ", array,
         " of ", spec_.rows.size());
  const StateSpec::RowArray& found = spec_.rows[static_cast<std::size_t>(array)];
  expect(found.width == width, "array of rows ", array, ": expected width ", width, ", got ",
         found.width);
  return found;
}

void WholeShapes::check_columns(std::int32_t first, std::int64_t count) const {
  expect(first >= 0 && first + count <= spec_.schedule_width, "schedule: columns ", first, " to ",
         first + count, " of ", spec_.schedule_width);
}

void WholeShapes::check(const LoadRows& op) const { array_of(op.array, width(op.out)); }

void WholeShapes::check(const SaveRows& op) const {
  expect(op.array >= 0 && static_cast<std::size_t>(op.array) < spec_.rows.size(), "array of rows ",
         op.array, " of ", spec_.rows.size());
  const std::int64_t last =
      std::int64_t{op.first} + spec_.rows[static_cast<std::size_t>(op.array)].width;
  expect(op.first >= 0 && last <= width(op.x), "columns ", op.first, " to ", last, " of ",
         width(op.x));
}

void WholeShapes::check(const StoreSchedule& op) const { expect_width(op.x, spec_.schedule_width); }

void WholeShapes::check(const ModulatedNorm& op) const {
  expect_width(op.out, width(op.x));
  check_columns(op.scale, width(op.x));
  check_columns(op.shift, width(op.x));
}

void WholeShapes::check(const AddModulated& op) const {
  expect_width(op.out, width(op.x));
  check_columns(op.gate, width(op.x));
}

void WholeShapes::check(const ClearFiller& op) const { width(op.x); }

void WholeShapes::check(const StretchText& op) const { expect_width(op.out, width(op.x)); }

void WholeShapes::check(const DepthwiseConv& op) const {
  expect_width(op.out, width(op.x));
  expect_vector(op.weight, op.weight.rows * width(op.x));
  expect_vector(op.bias, width(op.x));
  expect(op.weight.rows % 2 == 1, op.weight.name, ": expected an odd number of taps, got ",
         op.weight.rows);
}

void WholeShapes::check(const GroupedConv& op) const {
  const std::int64_t inputs = width(op.x);
  const std::int64_t outputs = width(op.out);
  const std::int64_t groups = op.groups;
  expect(op.kernel > 0 && op.kernel % 2 == 1, op.weight.name,
         ": expected an odd number of taps, got ", op.kernel);
  expect(groups > 0 && inputs % groups == 0 && outputs % (groups * kPanel) == 0, op.weight.name,
         ": ", groups, " groups of ", inputs, " inputs and ", outputs, " outputs");
  expect(op.weight.rows == outputs && op.weight.cols == op.kernel * inputs / groups, op.weight.name,
         ": expected [", outputs, ", ", op.kernel * inputs / groups, "], got [", op.weight.rows,
         ", ", op.weight.cols, "]");
  expect(op.weight.layout == Layout::panel16 && op.weight.quantization == Quantization::none &&
             (inputs / groups) % 2 == 0,
         op.weight.name, ": expected panel16 floats of an even number of inputs");
  expect_vector(op.bias, outputs);
}

void WholeShapes::check(const ResponseNorm& op) const {
  expect_width(op.sums, width(op.x));
  expect_vector(op.gamma, width(op.x));
  expect_vector(op.beta, width(op.x));
}

void WholeShapes::check(const FlowStep& op) const {
  expect_width(op.velocity, spec_.dim);
  array_of(op.base, spec_.dim);
  array_of(op.fixed, spec_.dim);
  array_of(op.mask, 1);
}

void WholeShapes::check(const PolarSpectrum& op) const {
  const Activation& x = activation_of(op.x);
  expect_rated(op.out, x.width, x.rate);
  expect(x.width % 2 == 0, "spectrum: expected an even width, got ", x.width);
}

void WholeShapes::check(const OverlapAdd& op) const {
  const Activation& x = activation_of(op.x);
  const std::int64_t samples = x.width;
  const std::int64_t hop = activation_of(op.out).width;
  expect_rated(op.out, hop, x.rate);
  expect_vector(op.window, samples);
  expect(hop > 0 && samples % hop == 0, "overlap-add: frames of ", samples,
         " samples at a distance of ", hop);
  expect(op.trim >= 0 && op.trim < samples, "overlap-add: trims ", op.trim, " of ", samples);
}

void WholeShapes::check(const EmitRows& op) const { activation_of(op.x); }

}  // namespace ttsrt::ops
