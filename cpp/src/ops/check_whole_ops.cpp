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

void WholeShapes::check(const LoadRows& op) const {
  array_of(op.array, width(op.out));
  expect(op.repeat >= 1, "array of rows ", op.array, ": expected each at least once, got ",
         op.repeat);
}

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
  const std::int64_t dim = width(op.velocity);
  expect(dim <= spec_.dim, "flow step: rows of width ", dim, ", expected at most ", spec_.dim);
  array_of(op.base, dim);
  expect((op.fixed < 0) == (op.mask < 0), "flow step: expected both of rows that stay, ", op.fixed,
         ", and a mask, ", op.mask, ", or neither");
  if (op.mask < 0) return;
  array_of(op.fixed, dim);
  array_of(op.mask, 1);
}

void WholeShapes::check(const JoinColumns& op) const {
  std::int64_t joined = 0;
  for (const BufferId part : op.parts) {
    expect(part != op.out, "joined columns can't be a part of themselves");
    joined += width(part);
  }
  expect_width(op.out, joined);
}

void WholeShapes::check(const ActivateRows& op) const {
  expect_width(op.out, width(op.x));
  if (op.shift >= 0) check_columns(op.shift, width(op.x));
}

// A buffer of two rows for each row of the launch.
void WholeShapes::expect_distances(BufferId buffer, std::int64_t width) const {
  const Activation& rows = activation_of(buffer);
  expect(rows.width == width && rows.rate == 2, rows.name, ": expected width ", width,
         " and rate 2, got ", rows.width, " and ", rows.rate);
}

void WholeShapes::check(const DistanceRows& op) const {
  expect_distances(op.out, op.table.cols);
  expect(op.table.is_present() && op.table.layout == Layout::dense &&
             op.table.dtype == DType::float32 && op.table.rows % 2 == 0,
         op.table.name, ": expected a dense table of float32 of an even number of rows");
}

void WholeShapes::check(const RelativeAttention& op) const {
  expect(op.heads > 0 && op.head_dim > 0, "relative attention: expected heads, got ", op.heads,
         " of ", op.head_dim);
  const std::int64_t inner = std::int64_t{op.heads} * op.head_dim;
  expect_width(op.qkv, 3 * inner);
  expect_width(op.out, inner);
  expect_distances(op.distances, inner);
  expect_vector(op.content_offset, inner);
  expect_vector(op.distance_offset, inner);
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
