// Lowering of the ops of whole items (ops/whole_ops.h).
#include "cpu/compile.h"
#include "cpu/stages/conv_stages.h"
#include "cpu/stages/item_stages.h"
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
