#include "cpu/compile.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "core/check.h"
#include "cpu/stages/attention_stages.h"
#include "cpu/stages/block_stages.h"
#include "cpu/stages/draw_stages.h"
#include "cpu/stages/item_stages.h"
#include "cpu/stages/pick_stages.h"
#include "cpu/stages/tile_attention.h"
#include "cpu/stages/tile_prefill.h"
#include "ops/check.h"

namespace ttsrt::cpu {
namespace {

// Divides the uses of an op among the stages from `first` on that it became: phase by phase, and
// the phases that are left to the last stage.
void add_uses(const ops::Uses& uses, const Stages& stages, std::size_t first,
              std::vector<ops::StageUses>& all) {
  for (std::size_t s = first; s < stages.size(); ++s) {
    const auto phase = static_cast<std::int32_t>(s - first);
    const bool is_last = s + 1 == stages.size();
    ops::StageUses& stage = all.emplace_back();
    stage.name = stages[s]->label();
    for (const ops::Use& use : uses) {
      if (use.phase == phase || (is_last && use.phase > phase)) stage.uses.push_back(use);
    }
  }
}

// The uses of a Linear that normalises its input as it packs it, and multiplies and adds its
// outputs as it writes them: every thread reads all rows of the norm's input.
ops::Uses fused_uses(const Fusion& fusion) {
  ops::Uses uses = ops::uses_of(*fusion.linear);
  for (ops::Use& use : uses) {
    if (use.part != ops::Part::buffer) continue;
    if (fusion.norm_out != ops::kNoBuffer && use.index == fusion.norm_out)
      use.index = fusion.norm_x;
    if (fusion.gate != nullptr && use.index == fusion.linear->out && use.writes())
      use = {ops::Part::buffer, fusion.gate->out, ops::Access::update, ops::Share::column, 0};
  }
  const bool reads_schedule = fusion.modulated != nullptr || fusion.gate != nullptr;
  if (reads_schedule)
    uses.push_back({ops::Part::schedule, 0, ops::Access::read, ops::Share::whole, 0});
  return uses;
}

// The uses of a nested Program's attention: one stage, whose threads each keep, read and attend the
// heads of a group of rows that are their own.
ops::Uses local_uses(ops::Uses uses) {
  std::erase_if(uses, [](const ops::Use& use) { return use.part == ops::Part::segment_blocks; });
  for (ops::Use& use : uses) {
    use.share = ops::Share::column;
    use.phase = 0;
  }
  return uses;
}

}  // namespace

Lowering::Lowering(StageList& list, const ops::Program& program, const ProgramRows& rows,
                   Stages& stages)
    : list_(list), program_(program), rows_(rows), stages_(stages) {}

void Lowering::run() {
  std::vector<ops::StageUses> uses;
  const std::vector<std::int32_t>& begins = program_.part_begins;
  part_stages_.push_back(0);
  for (std::size_t i = 0; i < program_.ops.size(); ++i) {
    const std::size_t part = part_stages_.size() - 1;
    if (part < begins.size() && static_cast<std::size_t>(begins[part]) == i)
      part_stages_.push_back(static_cast<std::int64_t>(stages_.size()));
    const std::size_t first = stages_.size();
    if (rows_.local == nullptr) list_.site.op = i;  // a nested Program belongs to its PickCodes
    const Fusion fusion = fusion_at(i);
    if (fusion.linear != nullptr) {
      i += fusion.count - 1;
      add_fused(fusion);
      add_uses(fused_uses(fusion), stages_, first, uses);
    } else if (const ops::HalfSnake* snake = snake_behind(i)) {
      const auto& conv = std::get<ops::TimeConv>(program_.ops[i]);
      add_conv(conv, snake, !conv.accumulate && is_for_next(i, conv.out));
      ops::Uses of = ops::uses_of(program_.ops[i]);
      ops::add_buffer(of, snake->out, ops::Access::write, ops::Share::column);
      add_uses(of, stages_, first, uses);
      ++i;
    } else {
      std::visit([this](const auto& op) { lower(op); }, program_.ops[i]);
      const bool is_local =
          rows_.local != nullptr && std::holds_alternative<ops::SelfAttention>(program_.ops[i]);
      const ops::Uses of = ops::uses_of(program_.ops[i]);
      add_uses(is_local ? local_uses(of) : of, stages_, first, uses);
    }
  }
  ops::check_stages(uses);
  part_stages_.resize(static_cast<std::size_t>(program_.num_parts()),
                      static_cast<std::int64_t>(stages_.size()));
}

bool Lowering::begins_part(std::size_t index) const {
  const std::vector<std::int32_t>& begins = program_.part_begins;
  return std::find(begins.begin(), begins.end(), static_cast<std::int32_t>(index)) != begins.end();
}

// Whether op `index` + 1 is the only reader of what op `index` writes before another op overwrites
// it, in the same part and in no trace.
bool Lowering::is_for_next(std::size_t index, ops::BufferId buffer) const {
  if (rows_.keeps_all || index + 1 >= program_.ops.size() || buffer == rows_.output) return false;
  if (begins_part(index + 1)) return false;
  for (std::size_t i = index + 2; i < program_.ops.size(); ++i) {
    bool is_overwritten = false;
    for (const ops::Use& use : ops::uses_of(program_.ops[i])) {
      if (use.part != ops::Part::buffer || use.index != buffer) continue;
      if (use.reads()) return false;
      is_overwritten = true;
    }
    if (is_overwritten) return true;
  }
  return true;
}

// A norm, a Linear and a gated sum that are one stage, from op `index` on; without a Linear: none.
Fusion Lowering::fusion_at(std::size_t index) const {
  Fusion fusion;
  const auto op_at = [this](std::size_t at) {
    return at < program_.ops.size() ? &program_.ops[at] : nullptr;
  };
  fusion.norm = std::get_if<ops::Norm>(op_at(index));
  fusion.modulated = std::get_if<ops::ModulatedNorm>(op_at(index));
  if (fusion.norm != nullptr) {
    fusion.norm_x = fusion.norm->x;
    fusion.norm_out = fusion.norm->out;
  } else if (fusion.modulated != nullptr) {
    fusion.norm_x = fusion.modulated->x;
    fusion.norm_out = fusion.modulated->out;
  }
  const bool has_norm = fusion.norm_out != ops::kNoBuffer;
  const std::size_t at = index + (has_norm ? 1 : 0);
  const auto* linear = op_at(at) == nullptr ? nullptr : std::get_if<ops::Linear>(op_at(at));
  if (linear == nullptr) return {};
  const bool reads_norm = has_norm && linear->x == fusion.norm_out &&
                          linear->out != fusion.norm_x && linear->addend != fusion.norm_out &&
                          is_for_next(index, fusion.norm_out);
  if (has_norm && !reads_norm) return {};
  fusion.linear = linear;
  fusion.count = at + 1 - index;
  const auto* gate =
      op_at(at + 1) == nullptr ? nullptr : std::get_if<ops::AddModulated>(op_at(at + 1));
  const ops::BufferId input = has_norm ? fusion.norm_x : linear->x;
  const bool is_plain = !linear->accumulate && linear->addend == ops::kNoBuffer;
  if (gate != nullptr && gate->x == linear->out && is_plain && gate->out != input &&
      is_for_next(at, linear->out)) {
    fusion.gate = gate;
    ++fusion.count;
  }
  return fusion.count > 1 ? fusion : Fusion{};
}

Rows Lowering::rows_of(ops::BufferId buffer, ops::RowSpace space) const {
  TTSRT_CHECK(InternalError,
              buffer >= 0 && static_cast<std::size_t>(buffer) < rows_.activations.size(),
              program_.name, ": buffer ", buffer, " of ", rows_.activations.size());
  const ops::Activation& activation = program_.activations[static_cast<std::size_t>(buffer)];
  TTSRT_CHECK(InternalError, activation.space == space, program_.name, ": ", activation.name,
              ": expected one row per ", space == ops::RowSpace::rows ? "row" : "draw");
  return rows_.activations[static_cast<std::size_t>(buffer)];
}

Rows Lowering::scores_of(ops::BufferId buffer) const {
  const Rows scores = rows_of(buffer, ops::RowSpace::draws);
  TTSRT_CHECK(InternalError, scores.width == list_.site.slots->spec().max_text_len,
              "scores: expected width ", list_.site.slots->spec().max_text_len, ", got ",
              scores.width);
  return scores;
}

Rows Lowering::optional(ops::BufferId buffer, ops::RowSpace space) const {
  return buffer == ops::kNoBuffer ? Rows{} : rows_of(buffer, space);
}

void Lowering::lower(const ops::EmbedRows& op) {
  add_embed_rows(list_.site, op, rows_of(op.out), stages_);
}

void Lowering::lower(const ops::Norm& op) {
  add_norm(list_.site, op, rows_of(op.x), rows_of(op.out), rows_.rows, stages_);
}

void Lowering::lower(const ops::Linear& op) {
  Fusion fusion;
  fusion.linear = &op;
  add_fused(fusion);
}

void Lowering::add_fused(const Fusion& fusion) {
  const ops::Linear& op = *fusion.linear;
  const bool has_norm = fusion.norm_out != ops::kNoBuffer;
  LinearSpec linear;
  linear.x = rows_of(has_norm ? fusion.norm_x : op.x);
  linear.out = rows_of(fusion.gate != nullptr ? fusion.gate->out : op.out);
  linear.owner = rows_.owner;
  linear.rows = rows_.rows;
  linear.max_rows = rows_.max_rows;
  linear.weight = &op.weight;
  linear.bias = vector_of(op.bias, op.weight.rows);
  linear.activation = activation_of(op.activate);
  linear.accumulate = op.accumulate || fusion.gate != nullptr;
  linear.addend = optional(op.addend, ops::RowSpace::rows);
  linear.leaves_settled = list_.site.op >= static_cast<std::size_t>(program_.settled_begin);
  if (fusion.norm != nullptr) linear.norm = norm_args(*fusion.norm, linear.x.width);
  if (fusion.modulated != nullptr)
    linear.modulation = modulation_of(*fusion.modulated, linear.x.width);
  if (fusion.gate != nullptr) linear.factor = fusion.gate->gate;
  list_.add_product(linear, stages_);
}

void Lowering::lower(const ops::Gate& op) {
  add_gate(list_.site, op, rows_of(op.x), rows_of(op.out), rows_.rows, stages_);
}

void Lowering::lower(const ops::Unfold& op) {
  add_unfold(list_.site, op, rows_of(op.x), rows_of(op.out), stages_);
}

void Lowering::lower(const ops::SelfAttention& op) {
  if (rows_.local != nullptr) {
    add_local_attention(list_.site, op, rows_of(op.qkv), rows_of(op.out), *rows_.local,
                        rows_.local->caches.at(num_local_++), stages_);
    return;
  }
  if (uses_tiles(list_, op)) {
    list_.segment_room = std::max(list_.segment_room, tile_segment_bytes(op, list_.limits));
    add_tile_attention(list_.site, op, rows_of(op.qkv), rows_of(op.out),
                       {&list_.segment_blocks, rows_.max_rows}, stages_);
    return;
  }
  if (attends_prefill_by_tiles(list_.site, program_, op)) {
    add_prefill_attention(list_.site, op, {rows_of(op.qkv), rows_of(op.out), {}}, stages_);
    return;
  }
  SegmentBlocks segments;
  if (op.cache_layer < 0) {
    segments.data = &list_.segment_blocks;
    segments.layout = BlockLayout::of(op.segment_dtype, op.num_kv_heads(), op.head_dim);
    list_.segment_room = std::max(list_.segment_room, list_.limits.segment_blocks(ops::kBlockSize) *
                                                          segments.layout.block_bytes);
  }
  const Rows scores = op.scores == ops::kNoBuffer ? Rows{} : scores_of(op.scores);
  add_self_attention(list_.site, op, {rows_of(op.qkv), rows_of(op.out), scores}, segments,
                     rows_.max_rows, stages_);
}

void Lowering::lower(const ops::StoreMemory& op) {
  add_store_memory(list_.site, op, rows_of(op.kv), stages_);
}

void Lowering::lower(const ops::CrossAttention& op) {
  const Rows scores = op.scores == ops::kNoBuffer ? Rows{} : scores_of(op.scores);
  add_cross_attention(list_.site, op, rows_of(op.q), rows_of(op.out), scores, stages_);
}

void Lowering::lower(const ops::StoreContext& op) {
  add_store_context(list_.site, rows_of(op.x), stages_);
}

void Lowering::lower(const ops::ClearScores& op) {
  add_clear_scores(list_.site, scores_of(op.scores), stages_);
}

void Lowering::lower(const ops::UpdatePrior& op) {
  add_update_prior(list_.site, scores_of(op.scores), stages_);
}

void Lowering::lower(const ops::SampleCodes& op) {
  const Rows guided = optional(op.guided, ops::RowSpace::draws);
  add_sample_codes(list_.site, op, rows_of(op.logits), guided, stages_);
}

void Lowering::lower(const ops::PickCodes& op) {
  const Rows hidden = rows_of(op.hidden);
  const Rows kept = optional(op.pick_logits, ops::RowSpace::rows);
  add_clear_kept(list_, kept);
  if (op.maskgit) {
    add_pick_maskgit(list_, op, hidden, kept);
  } else {
    add_pick_autoregressive(list_, op, hidden, kept);
  }
}

void Lowering::lower(const ops::FinishStep& op) { add_finish_step(list_.site, op, stages_); }

void Lowering::lower(const ops::ShiftBlock& op) {
  add_shift_block(list_.site, rows_of(op.x), rows_of(op.out), stages_);
}

void Lowering::lower(const ops::GuessBlock& op) {
  add_guess_block(list_.site, op, rows_of(op.logits), rows_of(op.scores, ops::RowSpace::draws),
                  stages_);
}

void Lowering::lower(const ops::FinishBlock& op) {
  add_finish_block(list_.site, op, rows_of(op.scores, ops::RowSpace::draws), stages_);
}

}  // namespace ttsrt::cpu
