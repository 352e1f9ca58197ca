// Lowering of convolutions over time with narrow weights to the kernels of Hopper: causal ones that
// keep past rows, and those that see nothing but their own segment. They read narrow rows, and
// leave the half-snake of their outputs for the next one.
//
// Decided: the arithmetic is that of the ops one by one, so a trace, which has every activation,
// has the same bits. Without a trace, rows that nobody reads in float32 are not written in it.
#include <algorithm>
#include <variant>

#include "core/check.h"
#include "cuda/launch_rate.h"
#include "cuda/lowering.h"
#include "ops/uses.h"

namespace ttsrt::cuda {

NarrowConvArgs Lowering::narrow_conv_args(const ops::TimeConv& op) const {
  NarrowConvArgs args;
  args.rows = site_.rows;
  args.width = static_cast<std::int32_t>(width_of(op.x));
  args.outputs = static_cast<std::int32_t>(op.weight.rows);
  args.rate = rate_of(op.x);
  args.kernel = op.kernel;
  args.dilation = op.dilation;
  args.accumulates = op.accumulate;
  args.scale = op.scale;
  args.before = op.before;
  args.beyond = beyond_of(op.x);
  args.max_rows = limits_.max_rows;
  return args;
}

bool Lowering::convolves_causally(const ops::TimeConv& op) const {
  return op.past >= 0 || (op.kernel == 1 && op.before == 0 && beyond_of(op.x) == 0);
}

bool Lowering::convolves_segments(const ops::TimeConv& op) const {
  const bool reads_all = op.before <= (op.kernel - 1) * op.dilation;  // no rows before are skipped
  return !convolves_causally(op) && op.padding == ops::Padding::zeros && reads_all &&
         fits_segment_conv(narrow_conv_args(op));
}

bool Lowering::convolves_narrow(const ops::TimeConv& op) const {
  const bool is_narrow = op.weight.dtype == DType::bfloat16 || op.weight.dtype == DType::float16;
  const bool may = uses_narrow_convs_ && is_narrow && op.stride == 1 && op.x != op.out &&
                   op.activate == ops::Activate::none;
  return may &&
         (convolves_causally(op) ? fits_narrow_conv(narrow_conv_args(op)) : convolves_segments(op));
}

bool Lowering::convolves_narrow(const ops::Op& op, ops::BufferId buffer) const {
  const auto* conv = std::get_if<ops::TimeConv>(&op);
  return conv != nullptr && conv->x == buffer && conv->addend != buffer && conv->out != buffer &&
         convolves_narrow(*conv);
}

// Where an op leaves its rows for convolutions behind it: `out` becomes null where nobody reads
// float32.
NarrowRows Lowering::leave_conv_rows(ops::BufferId buffer, std::size_t op, float*& out) {
  if (!uses_narrow_convs_) return {};
  const Readers readers = readers_of(buffer, op);
  const auto begin = program_.ops.begin() + static_cast<std::ptrdiff_t>(op) + 1;
  const auto next = std::find_if(begin, program_.ops.end(), [&](const ops::Op& later) {
    return convolves_narrow(later, buffer);
  });
  if (!readers.narrow || next == program_.ops.end()) return {};
  if (!readers.wide) out = nullptr;
  return narrow_rows_of(buffer, element_of(std::get<ops::TimeConv>(*next).weight.dtype));
}

NarrowRows Lowering::conv_inputs(const ops::TimeConv& op) {
  const bool is_current = narrow_[static_cast<std::size_t>(op.x)].is_current;
  const NarrowRows narrow = narrow_rows_of(op.x, element_of(op.weight.dtype));
  if (is_current) return narrow;
  NarrowRateArgs args;
  args.num_rows = count(Count::rows);
  args.x = buffer(op.x);
  args.narrow = narrow;
  args.width = width_of(op.x);
  args.rate = rate_of(op.x);
  add_rows("narrow rows", args, narrow_rate_rows);
  return narrow;
}

// The half-snake of what an op leaves in `out`, where it is the next op and in the same part.
const ops::HalfSnake* Lowering::snake_behind(ops::BufferId out) const {
  const std::size_t next = op_ + 1;
  if (limits_.trace || !uses_narrow_convs_ || next >= program_.ops.size()) return nullptr;
  const auto* snake = std::get_if<ops::HalfSnake>(&program_.ops[next]);
  const auto& parts = program_.part_begins;
  const bool begins_part =
      std::find(parts.begin(), parts.end(), static_cast<std::int32_t>(next)) != parts.end();
  return snake != nullptr && snake->x == out && !begins_part ? snake : nullptr;
}

bool Lowering::lower_narrow_conv(const ops::TimeConv& op) {
  if (!convolves_narrow(op)) return false;
  NarrowConvArgs args = narrow_conv_args(op);
  const bool is_causal = convolves_causally(op);
  const std::int32_t unit = is_causal ? kCausalUnit : kSegmentUnit;
  args.weight = site_.weights.conv(op.weight, {args.outputs, args.width, args.kernel, unit});
  args.bias = site_.weights.vector(op.bias);
  args.addend = buffer(op.addend);
  args.out = buffer(op.out);
  args.past = past(op.past);
  args.x = conv_inputs(op);
  const char* end = take_snake(op.x, op.out, op.accumulate, args) ? ", snake" : "";
  void (*convolve)(const NarrowConvArgs&, cudaStream_t) = narrow_conv;
  if (!is_causal) convolve = segment_conv;
  add_rows(label_of_conv(op, args.width, args.rate) + end, args, convolve);
  return true;
}

}  // namespace ttsrt::cuda
