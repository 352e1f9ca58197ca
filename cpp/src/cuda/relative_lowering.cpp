// Lowering of ops that only flows and encoders with relative attention have: JoinColumns,
// ActivateRows, DistanceRows, RelativeAttention, and norms with an activation behind them.
//
// Decided: a norm also applies the activation behind it if no other op reads the norm's output, and
// leaves narrow rows, as products do (whole_product_lowering.cpp). The bits are those of the ops
// one by one.
#include <algorithm>
#include <utility>
#include <variant>

#include "core/check.h"
#include "cuda/launch_limits.h"
#include "cuda/launch_relative.h"
#include "cuda/lowering.h"

namespace ttsrt::cuda {

void Lowering::lower(const ops::JoinColumns& op) {
  JoinArgs args;
  args.num_rows = count(Count::rows);
  args.out = buffer(op.out);
  args.width = width_of(op.out);
  args.narrow = leave_rows(op.out, op_, args.out);
  const auto parts = static_cast<std::int32_t>(op.parts.size());
  for (std::int32_t first = 0; first < parts; first += kMaxJoined) {
    args.num_parts = std::min(parts - first, kMaxJoined);
    std::int64_t width = 0;
    for (std::int32_t i = 0; i < args.num_parts; ++i) {
      const ops::BufferId part = op.parts[static_cast<std::size_t>(first + i)];
      args.parts[i] = {buffer(part), width_of(part)};
      width += width_of(part);
    }
    add_rows("join columns", args, join_columns);
    args.first += width;
  }
}

RowEnd Lowering::end_of(const ops::ActivateRows& op) const {
  RowEnd end;
  end.activate = activation_of(op.activate);
  end.scale = op.scale;
  if (op.shift < 0) return end;
  end.schedule = site_.slots.view().schedule;
  end.schedule_row = site_.rows.schedule_row;
  end.schedule_width = site_.slots.view().schedule_width;
  end.shift = op.shift;
  return end;
}

void Lowering::lower(const ops::ActivateRows& op) {
  ActivateArgs args;
  args.num_rows = count(Count::rows);
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.end = end_of(op);
  args.width = width_of(op.x);
  args.narrow = leave_rows(op.out, op_, args.out);
  add_rows("activate rows", args, activate_rows);
}

bool Lowering::lower_whole_norm(const ops::Norm& op) {
  const ops::Op* next = next_of(op.out);
  const auto* activated = next == nullptr ? nullptr : std::get_if<ops::ActivateRows>(next);
  if (activated != nullptr && activated->x != op.out) activated = nullptr;
  WholeNormArgs args;
  args.norm = norm_args(op, row_buffers(), site_.weights);
  if (activated != nullptr) {
    forget_narrow_rows(*next);
    args.end = end_of(*activated);
    args.norm.out = buffer(activated->out);
    args.narrow = leave_rows(activated->out, op_ + 1, args.norm.out);
    next_is_taken_ = true;
  } else {
    args.narrow = leave_rows(op.out, op_, args.norm.out);
    if (args.narrow.stride == 0) return false;
  }
  add_rows(activated != nullptr ? "norm, activated" : "norm", args, whole_norm);
  return true;
}

void Lowering::lower(const ops::DistanceRows& op) {
  DistanceArgs args;
  args.rows = site_.rows;
  args.table = site_.weights.vector(op.table);
  args.most = op.table.rows / 2;
  args.out = buffer(op.out);
  args.width = width_of(op.out);
  args.narrow = leave_rows(op.out, op_, args.out);
  add_rows("distances", args, distance_rows);
}

// Attention rounds its operands to the type of the weights that the distances were multiplied by:
// that product has rounded its inputs to this type already.
Element Lowering::element_of_distances(const ops::RelativeAttention& op) const {
  for (std::size_t before = op_; before-- > 0;) {
    const auto* conv = std::get_if<ops::TimeConv>(&program_.ops[before]);
    if (conv == nullptr || conv->out != op.distances) continue;
    const bool is_narrow =
        conv->weight.quantization == ops::Quantization::none && has_narrow_distances(op.head_dim);
    return is_narrow ? element_of(conv->weight.dtype) : Element::float32;
  }
  return Element::float32;
}

void Lowering::lower(const ops::RelativeAttention& op) {
  check_head_dim(program_, op.head_dim);
  RelativeArgs args;
  args.rows = site_.rows;
  args.qkv = buffer(op.qkv);
  args.distances = buffer(op.distances);
  args.content_offset = site_.weights.vector(op.content_offset);
  args.distance_offset = site_.weights.vector(op.distance_offset);
  args.element = element_of_distances(op);
  args.out = buffer(op.out);
  args.narrow = leave_rows(op.out, op_, args.out);
  args.heads = op.heads;
  args.head_dim = op.head_dim;
  args.scale = attention_scale(0.0F, op.head_dim);
  const bool is_narrow = args.element != Element::float32;
  // For each row: queries with either offset, a key, a value, and two rows of distances.
  const std::int64_t rows = limits_.max_rows;
  const std::int64_t values = rows * 4 * op.heads * op.head_dim;
  if (is_narrow) need_scratch(static_cast<std::size_t>(values + values / 2) * 2);
  add("relative attention",
      [args, is_narrow, values, tiles = item_tiles(), scratch = site_.scratch](
          const Bounds& bounds, cudaStream_t stream) mutable {
        args.max_rows = bounds.rows;
        args.max_tiles = tiles.most(bounds.rows);
        if (is_narrow) {
          args.prepared = *scratch;
          args.prepared_distances = *scratch + 2 * values;
          prepare_relative(args, stream);
        }
        relative_attention(args, stream);
      });
}

}  // namespace ttsrt::cuda
