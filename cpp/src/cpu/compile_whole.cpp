// Lowering of the ops of whole items (ops/whole_ops.h).
#include <algorithm>
#include <utility>

#include "cpu/compile.h"
#include "cpu/stages/conv_stages.h"
#include "cpu/stages/item_stages.h"
#include "cpu/stages/relative_attention.h"
#include "cpu/stages/sound_stages.h"

namespace ttsrt::cpu {

void Lowering::lower(const ops::LoadRows& op) {
  add_load_rows(list_.site, op, rows_of(op.out), stages_);
}

void Lowering::lower(const ops::SaveRows& op) {
  add_save_rows(list_.site, op, rows_of(op.x), stages_);
}

void Lowering::lower(const ops::StoreSchedule& op) {
  add_store_schedule(list_.site, rows_of(op.x), stages_);
}

void Lowering::lower(const ops::ModulatedNorm& op) {
  add_modulated_norm(list_.site, op, rows_of(op.x), rows_of(op.out), stages_);
}

void Lowering::lower(const ops::AddModulated& op) {
  add_modulated(list_.site, op, rows_of(op.x), rows_of(op.out), stages_);
}

void Lowering::lower(const ops::ClearFiller& op) {
  add_clear_filler(list_.site, rows_of(op.x), stages_);
}

void Lowering::lower(const ops::StretchText& op) {
  add_stretch_text(list_.site, rows_of(op.x), rows_of(op.out), stages_);
}

void Lowering::lower(const ops::DepthwiseConv& op) {
  add_depthwise_conv(list_.site, op, rows_of(op.x), rows_of(op.out), stages_);
}

void Lowering::lower(const ops::GroupedConv& op) {
  add_grouped_conv(list_.site, op, rows_of(op.x), rows_of(op.out), program_.has_many_rows, stages_);
}

void Lowering::lower(const ops::ResponseNorm& op) {
  add_response_norm(list_.site, op, rows_of(op.x), rows_of(op.sums), stages_);
}

void Lowering::lower(const ops::FlowStep& op) {
  add_flow_step(list_.site, op, rows_of(op.velocity), stages_);
}

void Lowering::lower(const ops::JoinColumns& op) {
  std::vector<Rows> parts;
  for (const ops::BufferId part : op.parts) parts.push_back(rows_of(part));
  add_join_columns(list_.site, std::move(parts), rows_of(op.out), stages_);
}

void Lowering::lower(const ops::ActivateRows& op) {
  add_activate_rows(list_.site, op, rows_of(op.x), rows_of(op.out), stages_);
}

void Lowering::lower(const ops::DistanceRows& op) {
  add_distance_rows(list_.site, op, rows_of(op.out), stages_);
}

void Lowering::lower(const ops::RelativeAttention& op) {
  const RelativeRows rows{rows_of(op.qkv), rows_of(op.distances), rows_of(op.out)};
  list_.segment_room = std::max(list_.segment_room, relative_segment_bytes(op, list_.limits));
  add_relative_attention(list_.site, op, rows, &list_.segment_blocks, rows_.max_rows, stages_);
}

void Lowering::lower(const ops::PolarSpectrum& op) {
  add_polar_spectrum(list_.site, op, rows_of(op.x), rows_of(op.out), rate_of(op.x), stages_);
}

void Lowering::lower(const ops::OverlapAdd& op) {
  add_overlap_add(list_.site, op, {rows_of(op.x), rows_of(op.out), rate_of(op.x), beyond_of(op.x)},
                  stages_);
}

// The rows stay where they are until the flight is collected.
void Lowering::lower(const ops::EmitRows& op) { emitted_ = op.x; }

}  // namespace ttsrt::cpu
