#include "cuda/launch_limits.h"

#include <algorithm>
#include <variant>

namespace ttsrt::cuda {
namespace {

struct AsksForItems {
  bool operator()(const ops::SelfAttention& op) const { return is_item_attention(op); }
  bool operator()(const ops::ModulatedNorm&) const { return true; }
  bool operator()(const ops::AddModulated&) const { return true; }
  bool operator()(const ops::FlowStep&) const { return true; }
  bool operator()(const ops::GroupedConv&) const { return true; }
  bool operator()(const ops::ActivateRows& op) const { return op.shift >= 0; }
  bool operator()(const ops::RelativeAttention&) const { return true; }
  template <typename Other>
  bool operator()(const Other&) const {
    return false;
  }
};

}  // namespace

bool is_item_attention(const ops::SelfAttention& op) {
  return op.cache_layer < 0 &&
         (op.segment_dtype != DType::float32 || op.rope_heads > 0 || op.q_norm.is_present());
}

bool asks_for_items(const ops::Program& program) {
  return std::any_of(program.ops.begin(), program.ops.end(),
                     [](const ops::Op& op) { return std::visit(AsksForItems{}, op); });
}

RowLimits row_limits(const ops::Program& program, const ops::ProgramLimits& limits,
                     const ops::BatchNeeds& needs, const ops::StateSpec& spec) {
  RowLimits of;
  of.max_rows = limits.max_rows;
  of.max_draws = limits.max_draws;
  of.max_blocks = needs.uses_cache ? ops::most_blocks(spec) : 0;
  of.codebooks = spec.codebooks;
  of.max_drafts = limits.max_draws > 0 ? spec.max_drawn : 0;
  of.has_items = asks_for_items(program);
  of.tiles = item_tiles_of(limits);
  of.schedule_rows = spec.schedule_rows;
  for (const ops::Op& op : program.ops) {
    if (const auto* codes = std::get_if<ops::DequantizeCodes>(&op))
      of.code_width = std::max(of.code_width, codes->codebooks);
    const auto* embed = std::get_if<ops::EmbedRows>(&op);
    if (embed == nullptr) continue;
    of.code_width = std::max(of.code_width, embed->codebooks);
    of.dim = std::max(of.dim, program.activations[static_cast<std::size_t>(embed->out)].width);
  }
  return of;
}

BoundsLimits bounds_limits(const ops::Program& program, const ops::ProgramLimits& limits,
                           const ops::BatchNeeds& needs, const ops::StateSpec& spec) {
  BoundsLimits of;
  of.max_rows = limits.max_rows;
  of.max_draws = limits.max_draws;
  of.uses_cache = needs.uses_cache;
  of.has_many_rows = program.has_many_rows;
  of.has_drafts = needs.uses_cache && limits.max_draws > 0 && spec.max_drawn > 0;
  for (const ops::Op& op : program.ops) {
    if (const auto* block = std::get_if<ops::FinishBlock>(&op)) of.rows_per_draw = block->places;
    of.has_picks |= std::holds_alternative<ops::PickCodes>(op);
  }
  return of;
}

}  // namespace ttsrt::cuda
