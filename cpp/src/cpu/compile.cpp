#include "cpu/compile.h"

#include <variant>

#include "core/check.h"
#include "cpu/stages/attention_stages.h"
#include "cpu/stages/draw_stages.h"
#include "cpu/stages/pick_stages.h"
#include "ops/nested.h"

namespace ttsrt::cpu {
namespace {

// Buffers that an op reads or writes.
template <typename Visit>
struct BufferVisitor {
  Visit visit;
  void operator()(const ops::EmbedRows& op) const { visit(op.out); }
  void operator()(const ops::Norm& op) const { each(op.x, op.out); }
  void operator()(const ops::Linear& op) const { each(op.x, op.out, op.addend); }
  void operator()(const ops::Gate& op) const { each(op.x, op.out); }
  void operator()(const ops::Unfold& op) const { each(op.x, op.out); }
  void operator()(const ops::SelfAttention& op) const { each(op.qkv, op.out); }
  void operator()(const ops::StoreMemory& op) const { visit(op.kv); }
  void operator()(const ops::CrossAttention& op) const { each(op.q, op.out, op.scores); }
  void operator()(const ops::StoreContext& op) const { visit(op.x); }
  void operator()(const ops::ClearScores& op) const { visit(op.scores); }
  void operator()(const ops::UpdatePrior& op) const { visit(op.scores); }
  void operator()(const ops::SampleCodes& op) const { each(op.logits, op.guided); }
  void operator()(const ops::PickCodes& op) const { each(op.hidden, op.pick_logits); }
  void operator()(const ops::FinishStep&) const {}

  template <typename... Ids>
  void each(Ids... ids) const {
    (visit(ids), ...);
  }
};

}  // namespace

Lowering::Lowering(Plan& plan, const ops::Program& program, const ProgramRows& rows, Stages& stages)
    : plan_(plan), program_(program), rows_(rows), stages_(stages) {}

void Lowering::run() {
  const std::vector<std::int32_t>& begins = program_.part_begins;
  part_stages_.push_back(0);
  for (std::size_t i = 0; i < program_.ops.size(); ++i) {
    const std::size_t part = part_stages_.size() - 1;
    if (part < begins.size() && static_cast<std::size_t>(begins[part]) == i)
      part_stages_.push_back(static_cast<std::int64_t>(stages_.size()));
    if (can_fuse(i)) {
      add_linear_after(std::get<ops::Linear>(program_.ops[i + 1]),
                       &std::get<ops::Norm>(program_.ops[i]));
      ++i;
    } else {
      std::visit([this](const auto& op) { lower(op); }, program_.ops[i]);
    }
  }
  part_stages_.resize(static_cast<std::size_t>(program_.num_parts()),
                      static_cast<std::int64_t>(stages_.size()));
}

// Whether op `index` is a Norm that only the Linear behind it reads, before another writes
// over it.
bool Lowering::can_fuse(std::size_t index) const {
  if (rows_.keeps_all || index + 1 >= program_.ops.size()) return false;
  const auto* norm = std::get_if<ops::Norm>(&program_.ops[index]);
  const auto* linear = std::get_if<ops::Linear>(&program_.ops[index + 1]);
  if (norm == nullptr || linear == nullptr || linear->x != norm->out || linear->out == norm->x ||
      norm->out == rows_.output)
    return false;
  if (linear->addend == norm->out) return false;
  for (const std::int32_t begin : program_.part_begins) {
    if (static_cast<std::size_t>(begin) == index + 1) return false;
  }
  for (std::size_t i = index + 2; i < program_.ops.size(); ++i) {
    const auto* next = std::get_if<ops::Norm>(&program_.ops[i]);
    if (next != nullptr && next->out == norm->out && next->x != norm->out) return true;
    bool is_used = false;
    const auto look = [&is_used, norm](ops::BufferId id) { is_used |= id == norm->out; };
    std::visit(BufferVisitor<decltype(look)>{look}, program_.ops[i]);
    if (is_used) return false;
  }
  return true;
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
  TTSRT_CHECK(InternalError, scores.width == plan_.site.slots->spec().max_text_len,
              "scores: expected width ", plan_.site.slots->spec().max_text_len, ", got ",
              scores.width);
  return scores;
}

Rows Lowering::optional(ops::BufferId buffer, ops::RowSpace space) const {
  return buffer == ops::kNoBuffer ? Rows{} : rows_of(buffer, space);
}

void Lowering::lower(const ops::EmbedRows& op) {
  add_embed_rows(plan_.site, op, rows_of(op.out), stages_);
}

void Lowering::lower(const ops::Norm& op) {
  add_norm(plan_.site, op, rows_of(op.x), rows_of(op.out), rows_.rows, stages_);
}

void Lowering::lower(const ops::Linear& op) { add_linear_after(op, nullptr); }

void Lowering::add_linear_after(const ops::Linear& op, const ops::Norm* norm) {
  TTSRT_CHECK(InternalError, op.x != op.out, op.weight.name,
              ": a product can't overwrite its input");
  LinearPlan linear;
  linear.x = rows_of(norm != nullptr ? norm->x : op.x);
  linear.out = rows_of(op.out);
  linear.owner = rows_.owner;
  linear.rows = rows_.rows;
  linear.max_rows = rows_.max_rows;
  linear.weight = &op.weight;
  linear.bias = vector_of(op.bias, op.weight.rows);
  linear.activation = activation_of(op.activate);
  linear.accumulate = op.accumulate;
  TTSRT_CHECK(InternalError, op.addend != op.out || op.addend == ops::kNoBuffer, op.weight.name,
              ": an addend can't be what is written");
  linear.addend = optional(op.addend, ops::RowSpace::rows);
  if (norm != nullptr) linear.norm = norm_args(*norm, linear.x.width);
  plan_.add_product(linear, stages_);
}

void Lowering::lower(const ops::Gate& op) {
  add_gate(plan_.site, op, rows_of(op.x), rows_of(op.out), rows_.rows, stages_);
}

void Lowering::lower(const ops::Unfold& op) {
  add_unfold(plan_.site, op, rows_of(op.x), rows_of(op.out), stages_);
}

void Lowering::lower(const ops::SelfAttention& op) {
  if (rows_.local != nullptr) {
    add_local_attention(plan_.site, op, rows_of(op.qkv), rows_of(op.out), *rows_.local,
                        rows_.local->caches.at(num_local_++), stages_);
    return;
  }
  SegmentBlocks segments;
  if (op.cache_layer >= 0) {
    uses_cache_ = true;
  } else {
    segments.data = &plan_.segment_blocks;
    segments.layout = BlockLayout::of(DType::float32, op.heads, op.head_dim);
    plan_.segment_room = std::max(
        plan_.segment_room, rows_.max_rows * segments.layout.block_bytes);  // one row each at worst
  }
  add_self_attention(plan_.site, op, rows_of(op.qkv), rows_of(op.out), segments, rows_.max_rows,
                     stages_);
}

void Lowering::lower(const ops::StoreMemory& op) {
  add_store_memory(plan_.site, op, rows_of(op.kv), stages_);
}

void Lowering::lower(const ops::CrossAttention& op) {
  const Rows scores = op.scores == ops::kNoBuffer ? Rows{} : scores_of(op.scores);
  add_cross_attention(plan_.site, op, rows_of(op.q), rows_of(op.out), scores, stages_);
}

void Lowering::lower(const ops::StoreContext& op) {
  add_store_context(plan_.site, rows_of(op.x), stages_);
}

void Lowering::lower(const ops::ClearScores& op) {
  add_clear_scores(plan_.site, scores_of(op.scores), stages_);
}

void Lowering::lower(const ops::UpdatePrior& op) {
  add_update_prior(plan_.site, scores_of(op.scores), stages_);
}

void Lowering::lower(const ops::SampleCodes& op) {
  const Rows guided = optional(op.guided, ops::RowSpace::draws);
  add_sample_codes(plan_.site, op, rows_of(op.logits), guided, stages_);
}

void Lowering::lower(const ops::PickCodes& op) {
  const Rows hidden = rows_of(op.hidden);
  const Rows kept = optional(op.pick_logits, ops::RowSpace::rows);
  TTSRT_CHECK(InternalError, hidden.width == op.dim, "pick codes: expected width ", op.dim,
              ", got ", hidden.width);
  ops::check_pick_codes(op, plan_.site.slots->spec().codebooks);
  add_clear_kept(plan_, kept);
  if (op.maskgit) {
    add_pick_maskgit(plan_, op, hidden, kept);
  } else {
    add_pick_autoregressive(plan_, op, hidden, kept);
  }
}

void Lowering::lower(const ops::FinishStep& op) { add_finish_step(plan_.site, op, stages_); }

}  // namespace ttsrt::cpu
