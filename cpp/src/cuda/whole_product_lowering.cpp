// Lowering of Programs of many rows to the kernels of Hopper: products read and leave narrow rows,
// and take over what follows them (gated sums, and the preparation of queries, keys and values).
//
// Decided: the arithmetic is that of the ops one by one, so a trace, which has every activation,
// has the same bits. Without a trace, rows that nobody reads in float32 are not written in it.
#include <algorithm>
#include <variant>

#include "core/check.h"
#include "cuda/check.h"
#include "cuda/launch_rate.h"
#include "cuda/launch_whole.h"
#include "cuda/lowering.h"
#include "cuda/tensor_map.h"
#include "ops/uses.h"

namespace ttsrt::cuda {
namespace {

bool touches(const ops::Use& use, ops::BufferId buffer) {
  return use.part == ops::Part::buffer && use.index == buffer;
}

}  // namespace

void Lowering::start_narrow_rows() {
  uses_whole_products_ = program_.has_many_rows && has_whole_products();
  uses_narrow_convs_ = has_narrow_convs();
  narrow_.assign(program_.activations.size(), {});
}

// What an op overwrites is no longer there as narrow rows.
void Lowering::forget_narrow_rows(const ops::Op& op) {
  for (const ops::Use& use : ops::uses_of(op)) {
    if (use.part != ops::Part::buffer || !use.writes()) continue;
    Narrow& of = narrow_[static_cast<std::size_t>(use.index)];
    of.is_current = of.is_prepared = false;
  }
}

bool Lowering::multiplies_whole(const ops::Linear& op) const {
  const bool is_narrow = op.weight.dtype == DType::bfloat16 || op.weight.dtype == DType::float16;
  return uses_whole_products_ && is_narrow && op.weight.quantization == ops::Quantization::none &&
         op.addend == ops::kNoBuffer && op.x != op.out && op.weight.rows % kQuadOutputs == 0;
}

Lowering::Readers Lowering::readers_of(ops::BufferId buffer, std::size_t op) const {
  Readers readers;
  readers.wide = limits_.trace;
  bool has_changed = false;  // narrow rows from before are then old
  for (std::size_t later = op + 1; later < program_.ops.size(); ++later) {
    const ops::Uses uses = ops::uses_of(program_.ops[later]);
    const auto* linear = std::get_if<ops::Linear>(&program_.ops[later]);
    const bool is_whole = linear != nullptr && multiplies_whole(*linear) && linear->x == buffer;
    const bool takes_narrow = is_whole || convolves_narrow(program_.ops[later], buffer);
    bool is_overwritten = false;
    bool is_changed = false;
    for (const ops::Use& use : uses) {
      if (!touches(use, buffer)) continue;
      const bool is_narrow = takes_narrow && !use.writes();
      if (use.reads() && !is_narrow) readers.wide = true;
      readers.narrow |= is_narrow && !has_changed;
      is_overwritten |= use.access == ops::Access::write;
      is_changed |= use.writes();
    }
    if (is_overwritten) break;
    has_changed |= is_changed;
  }
  return readers;
}

// Columns behind the width are zeros, which convolutions read.
NarrowRows Lowering::narrow_rows_of(ops::BufferId buffer, Element element) {
  Narrow& of = narrow_[static_cast<std::size_t>(buffer)];
  if (of.rows.stride == 0) {
    const std::int64_t stride = ops::padded_to(width_of(buffer), kRateUnit);
    const auto values =
        static_cast<std::size_t>(std::int64_t{limits_.max_rows} * rate_of(buffer) * stride);
    of.rows.data = site_.memory.take<std::uint16_t>(values, "narrow activations");
    of.rows.stride = stride;
    of.rows.element = element;
    if (!site_.memory.counts_only())
      check(cudaMemset(of.rows.data, 0, values * sizeof(std::uint16_t)), "cudaMemset");
  }
  TTSRT_CHECK(InternalError, of.rows.element == element, program_.name, ": rows of ",
              program_.activations[static_cast<std::size_t>(buffer)].name, " in two types");
  of.is_current = true;
  return of.rows;
}

// Where an op leaves its rows for the products and convolutions behind it, in the type of the first
// of them: `out` becomes null where nobody reads float32.
NarrowRows Lowering::leave_rows(ops::BufferId buffer, std::size_t op, float*& out) {
  if (!uses_whole_products_) return {};
  const Readers readers = readers_of(buffer, op);
  if (!readers.narrow) return {};
  if (!readers.wide) out = nullptr;
  for (std::size_t later = op + 1; later < program_.ops.size(); ++later) {
    const ops::Op& of = program_.ops[later];
    const auto* linear = std::get_if<ops::Linear>(&of);
    if (linear != nullptr && linear->x == buffer && multiplies_whole(*linear))
      return narrow_rows_of(buffer, element_of(linear->weight.dtype));
    if (convolves_narrow(of, buffer))
      return narrow_rows_of(buffer, element_of(std::get<ops::TimeConv>(of).weight.dtype));
  }
  throw InternalError(message(program_.name, ": no reader of narrow rows"));
}

NarrowRows Lowering::narrow_inputs(const ops::Linear& op) {
  const Element element = element_of(op.weight.dtype);
  const bool is_current = narrow_[static_cast<std::size_t>(op.x)].is_current;
  const NarrowRows narrow = narrow_rows_of(op.x, element);
  if (is_current) return narrow;
  NarrowArgs args;
  args.num_rows = count(Count::rows);
  args.x = buffer(op.x);
  args.narrow = narrow;
  args.width = width_of(op.x);
  add("narrow rows", [args](const Bounds& bounds, cudaStream_t stream) mutable {
    args.max_rows = bounds.rows;
    narrow_rows(args, stream);
  });
  return narrow;
}

// The next op, where it may be part of this one: it is in the same part, and nothing but it reads
// `between`.
const ops::Op* Lowering::next_of(ops::BufferId between) const {
  const std::size_t next = op_ + 1;
  if (limits_.trace || next >= program_.ops.size()) return nullptr;
  const auto& parts = program_.part_begins;
  const bool begins_part =
      std::find(parts.begin(), parts.end(), static_cast<std::int32_t>(next)) != parts.end();
  const Readers later = readers_of(between, next);
  return begins_part || later.wide || later.narrow ? nullptr : &program_.ops[next];
}

bool Lowering::take_gate(const ops::Linear& op, WholeProductArgs& args) {
  const ops::Op* next = next_of(op.out);
  const auto* gated = next == nullptr ? nullptr : std::get_if<ops::AddModulated>(next);
  if (gated == nullptr || gated->x != op.out || op.accumulate) return false;
  args.schedule = site_.slots.view().schedule;
  args.schedule_width = site_.slots.view().schedule_width;
  if (args.schedule_width % kQuadOutputs != 0 || gated->gate % kQuadOutputs != 0) return false;
  forget_narrow_rows(*next);
  args.end = ProductEnd::gate;
  args.out = buffer(gated->out);
  args.gate = gated->gate;
  return true;
}

bool Lowering::take_heads(const ops::Linear& op, WholeProductArgs& args) {
  constexpr std::int32_t kHeadDim = 64;
  const ops::Op* next = next_of(op.out);
  const auto* attention = next == nullptr ? nullptr : std::get_if<ops::SelfAttention>(next);
  if (attention == nullptr || attention->qkv != op.out || op.accumulate) return false;
  const bool has_rope = attention->rope.is_present();
  const bool fits = attention->cache_layer < 0 && attention->head_dim == kHeadDim &&
                    !attention->causal && !attention->q_norm.is_present() &&
                    attention->segment_dtype == op.weight.dtype &&
                    (!has_rope || attention->rope.cols == kHeadDim);
  if (!fits) return false;
  args.end = ProductEnd::heads;
  args.out = nullptr;
  args.narrow = narrow_rows_of(op.out, args.element);
  narrow_[static_cast<std::size_t>(op.out)].is_prepared = true;
  args.rope = site_.weights.vector(attention->rope);
  args.rope_heads = attention->rope_heads;
  args.heads = attention->heads;
  args.kv_heads = attention->num_kv_heads();
  return true;
}

bool Lowering::lower_whole_product(const ops::Linear& op) {
  if (!multiplies_whole(op)) return false;
  WholeProductArgs args;
  args.rows = site_.rows;
  args.element = element_of(op.weight.dtype);
  args.inputs = static_cast<std::int32_t>(op.weight.cols);
  args.outputs = static_cast<std::int32_t>(op.weight.rows);
  args.bias = site_.weights.vector(op.bias);
  args.activate = activation_of(op.activate);
  args.out = buffer(op.out);
  args.accumulates = op.accumulate;
  args.leaves_settled = op_ >= static_cast<std::size_t>(program_.settled_begin);
  args.weights =
      map_matrix(site_.weights.matrix(op.weight), op.weight.rows, op.weight.cols, kWeightBoxRows);
  const NarrowRows x = narrow_inputs(op);
  args.x = map_matrix(x, limits_.max_rows, op.weight.cols, kProductBoxRows);
  for (std::size_t i = 0; i < std::size(kResidentRows); ++i)
    args.resident_x[i] = map_matrix(x, limits_.max_rows, op.weight.cols, kResidentRows[i]);
  const char* end = "";
  if (take_gate(op, args)) {
    end = ", gated";
    next_is_taken_ = true;
  } else if (take_heads(op, args)) {
    end = ", heads";
  } else {
    args.narrow = leave_rows(op.out, op_, args.out);
    if (op.accumulate) args.out = buffer(op.out);
  }
  add_rows("whole " + label_of(op.weight) + end, args, whole_product);
  return true;
}

// Padded rows, which all convolutions of a Program share: a launch pads again for each.
PaddedRows Lowering::padded_rows(std::int64_t width, Element element, std::int32_t gap) {
  const std::int64_t rows = most_padded(limits_.max_rows, gap);
  if (padded_.rows.data == nullptr && padded_.gap == 0) {
    padded_.rows.data = site_.memory.take<std::uint16_t>(static_cast<std::size_t>(rows * width),
                                                         "narrow activations");
    padded_.real_row =
        site_.memory.take<std::int32_t>(static_cast<std::size_t>(rows), "narrow activations");
    padded_.rows.stride = width;
    padded_.rows.element = element;
    padded_.gap = gap;
  }
  const bool fits =
      padded_.gap == gap && padded_.rows.stride == width && padded_.rows.element == element;
  return fits ? padded_ : PaddedRows{};
}

std::int32_t Lowering::most_padded(std::int32_t rows, std::int32_t gap) const {
  const std::int32_t segments = std::min(item_tiles().max_segments, rows);
  return rows + gap * (segments + 1);
}

bool Lowering::lower_whole_conv(const ops::GroupedConv& op) {
  const std::int64_t width = width_of(op.x);
  const bool fits = uses_whole_products_ && op.weight.dtype != DType::float32 &&
                    width == std::int64_t{op.groups} * kConvGroup &&
                    op.weight.rows == std::int64_t{op.groups} * kConvGroup && op.kernel > 1 &&
                    op.kernel <= kMostConvTaps;
  if (!fits) return false;
  const std::int32_t gap = op.kernel / 2;
  PadArgs pad;
  pad.rows = site_.rows;
  pad.x = buffer(op.x);
  pad.width = width;
  pad.padded = padded_rows(width, element_of(op.weight.dtype), gap);
  if (pad.padded.gap == 0) return false;
  WholeConvArgs args;
  args.rows = site_.rows;
  args.padded = pad.padded;
  args.bias = site_.weights.vector(op.bias);
  args.out = buffer(op.out);
  args.outputs = static_cast<std::int32_t>(op.weight.rows);
  args.kernel = op.kernel;
  args.activate = activation_of(op.activate);
  args.accumulates = op.accumulate;
  args.weights =
      map_matrix(site_.weights.matrix(op.weight), op.weight.rows, op.weight.cols, kHeadBoxRows);
  args.x = map_matrix(pad.padded.rows, most_padded(limits_.max_rows, gap), width, kProductBoxRows);
  add("grouped convolution",
      [tiles = item_tiles(), pad, args, gap](const Bounds& bounds, cudaStream_t stream) mutable {
        pad.max_rows = bounds.rows;
        args.max_padded = bounds.rows + gap * (std::min(tiles.max_segments, bounds.rows) + 1);
        pad_rows(pad, stream);
        whole_conv(args, stream);
      });
  return true;
}

}  // namespace ttsrt::cuda
