// Lowering of the ops of whole items (ops/whole_ops.h) and of their attention, which has no cache.
// EmitRows launches nothing: the Executable copies the rows when its last part has run.
#include <algorithm>
#include <utility>

#include "core/check.h"
#include "cuda/launch_limits.h"
#include "cuda/launch_whole.h"
#include "cuda/lowering.h"
#include "cuda/tensor_map.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kBoxHead = 64;  // dimensions of heads that are read as boxes

}  // namespace

void Lowering::lower(const ops::LoadRows& op) {
  ItemRowsArgs args;
  args.rows = site_.rows;
  args.array = site_.slots.array(op.array);
  args.x = buffer(op.out);
  args.stride = width_of(op.out);
  args.repeat = op.repeat;
  add_rows("load rows", args, load_item_rows);
}

void Lowering::lower(const ops::SaveRows& op) {
  ItemRowsArgs args;
  args.rows = site_.rows;
  args.faults = faults();
  args.array = site_.slots.array(op.array);
  args.x = buffer(op.x);
  args.stride = width_of(op.x);
  args.first = op.first;
  add_rows("save rows", args, save_item_rows);
}

void Lowering::lower(const ops::StoreSchedule& op) {
  StoreScheduleArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = faults();
  args.x = buffer(op.x);
  args.slot_rows = site_.slots.spec().schedule_rows;
  add_rows("store schedule", args, store_schedule);
}

void Lowering::lower(const ops::ModulatedNorm& op) {
  ModulatedNormArgs args;
  args.rows = site_.rows;
  args.schedule = site_.slots.view().schedule;
  args.schedule_width = site_.slots.view().schedule_width;
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.width = width_of(op.x);
  args.scale = op.scale;
  args.shift = op.shift;
  args.epsilon = op.epsilon;
  args.narrow = leave_rows(op.out, op_, args.out);
  add_rows("modulated norm", args, modulated_norm);
}

void Lowering::lower(const ops::AddModulated& op) {
  AddModulatedArgs args;
  args.rows = site_.rows;
  args.schedule = site_.slots.view().schedule;
  args.schedule_width = site_.slots.view().schedule_width;
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.width = width_of(op.x);
  args.gate = op.gate;
  add_rows("add modulated", args, add_modulated);
}

void Lowering::lower(const ops::ClearFiller& op) {
  TextRowsArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.x = buffer(op.x);
  args.width = width_of(op.x);
  add_rows("clear filler", args, clear_filler);
}

void Lowering::lower(const ops::StretchText& op) {
  TextRowsArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.width = width_of(op.x);
  add_rows("stretch text", args, stretch_text);
}

void Lowering::lower(const ops::DepthwiseConv& op) {
  DepthwiseArgs args;
  args.rows = site_.rows;
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.weight = site_.weights.vector(op.weight);
  args.bias = site_.weights.vector(op.bias);
  args.width = width_of(op.x);
  args.kernel = static_cast<std::int32_t>(op.weight.rows);
  add_rows("depthwise convolution", args, depthwise_conv);
}

void Lowering::lower(const ops::GroupedConv& op) {
  if (lower_whole_conv(op)) return;
  GroupedConvArgs args;
  args.rows = site_.rows;
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.weight = site_.weights.product(op.weight);
  args.bias = site_.weights.vector(op.bias);
  args.width = width_of(op.x);
  args.groups = op.groups;
  args.kernel = op.kernel;
  args.activate = activation_of(op.activate);
  args.accumulates = op.accumulate;
  add_rows("grouped convolution", args, grouped_conv);
}

void Lowering::lower(const ops::ResponseNorm& op) {
  ResponseNormArgs args;
  args.rows = site_.rows;
  args.x = buffer(op.x);
  args.sums = buffer(op.sums);
  args.gamma = site_.weights.vector(op.gamma);
  args.beta = site_.weights.vector(op.beta);
  args.width = width_of(op.x);
  args.epsilon = op.epsilon;
  add_rows("response norm", args, response_norm);
}

void Lowering::lower(const ops::FlowStep& op) {
  FlowStepArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = faults();
  args.velocity = buffer(op.velocity);
  args.width = width_of(op.velocity);
  args.base = site_.slots.array(op.base);
  if (op.mask >= 0) {
    args.fixed = site_.slots.array(op.fixed);
    args.mask = site_.slots.array(op.mask);
  }
  add_rows("flow step", args, flow_step);
}

void Lowering::lower(const ops::PolarSpectrum& op) {
  PolarArgs args;
  args.num_rows = count(Count::rows);
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.bins = width_of(op.x) / 2;
  args.rate = rate_of(op.x);
  args.has_sine = op.has_sine;
  args.most = op.most;
  add_rows("polar spectrum", args, polar_spectrum);
}

void Lowering::lower(const ops::OverlapAdd& op) {
  OverlapArgs args;
  args.rows = site_.rows;
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.window = site_.weights.vector(op.window);
  args.samples = width_of(op.x);
  args.hop = width_of(op.out);
  args.rate = rate_of(op.x);
  args.beyond = beyond_of(op.x);
  args.trim = op.trim;
  add_rows("overlap-add", args, overlap_add);
}

void Lowering::lower(const ops::EmitRows& op) {
  TTSRT_CHECK(InternalError, lowered_.emitted == ops::kNoBuffer, program_.name,
              ": emits rows twice");
  lowered_.emitted = op.x;
}

bool Lowering::lower_item_attention(const ops::SelfAttention& op) {
  if (!is_item_attention(op)) return false;
  ItemAttentionArgs args;
  args.rows = site_.rows;
  args.qkv = buffer(op.qkv);
  args.rounded = element_of(op.segment_dtype);
  if (has_narrow_heads(op.head_dim, op.causal)) args.element = args.rounded;
  args.out = buffer(op.out);
  set_heads(op, site_.weights.vector(op.rope), args);
  args.rope_heads = op.rope_heads;
  args.q_norm = site_.weights.vector(op.q_norm);
  args.k_norm = site_.weights.vector(op.k_norm);
  args.head_norm_epsilon = op.head_norm_epsilon;
  const bool is_narrow = args.element != Element::float32;
  if (is_narrow) args.narrow = leave_rows(op.out, op_, args.out);
  args.has_boxes = is_narrow && op.head_dim == kBoxHead && has_whole_products();
  const Narrow& qkv = narrow_[static_cast<std::size_t>(op.qkv)];
  if (qkv.is_prepared) args.prepared = qkv.rows.data;
  add_item_attention(args, width_of(op.qkv), qkv.is_prepared);
  return true;
}

// Where the product before has not prepared the heads, they go to scratch memory.
void Lowering::add_item_attention(const ItemAttentionArgs& args, std::int64_t width,
                                  bool is_prepared) {
  const std::size_t bytes = args.element == Element::float32 ? sizeof(float) : 2;
  const std::int64_t rows = limits_.max_rows;
  if (!is_prepared) need_scratch(static_cast<std::size_t>(rows * width) * bytes);
  add("item attention",
      [args = args, is_prepared, width, rows, tiles = item_tiles(), scratch = site_.scratch](
          const Bounds& bounds, cudaStream_t stream) mutable {
        args.max_rows = bounds.rows;
        args.max_tiles = tiles.most(bounds.rows);
        if (!is_prepared) {
          args.prepared = *scratch;
          prepare_heads(args, stream);
        }
        if (args.has_boxes)
          args.boxes = map_matrix({args.prepared, width, args.element}, rows, width, kHeadBoxRows);
        item_attention(args, stream);
      });
}

}  // namespace ttsrt::cuda
