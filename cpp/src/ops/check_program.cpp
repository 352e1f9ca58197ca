// Whether Programs and lists of stages are sound.
#include <algorithm>
#include <variant>

#include "core/check.h"
#include "ops/check.h"
#include "ops/nested.h"
#include "ops/shapes.h"

namespace ttsrt::ops {
namespace {

// The shapes of one Program against its ops, its weights and the state.
class Shapes : public RateShapes {
 public:
  using RateShapes::check;
  using RateShapes::RateShapes;

  void check(const EmbedRows& op) const {
    const std::int64_t dim = width(op.out);
    check_table(op.code_tables, dim);
    for (const Weight& table : op.id_tables) check_table(table, dim);
    for (const Weight& table : op.position_tables) check_table(table, dim);
    expect(!op.code_tables.is_present() ||
               op.code_tables.rows >= std::int64_t{op.codebooks} * op.vocab,
           op.code_tables.name, ": expected ", op.codebooks, " tables of ", op.vocab, " rows");
  }

  void check(const Norm& op) const {
    expect_width(op.out, width(op.x));
    expect_vector(op.weight, width(op.x));
    if (op.bias.is_present()) expect_vector(op.bias, width(op.x));
  }

  void check(const Linear& op) const {
    expect(op.weight.cols == width(op.x) && op.weight.rows == width(op.out), op.weight.name,
           ": expected [", width(op.out), ", ", width(op.x), "], got [", op.weight.rows, ", ",
           op.weight.cols, "]");
    if (op.bias.is_present()) expect_vector(op.bias, op.weight.rows);
    if (op.addend != kNoBuffer) expect_width(op.addend, op.weight.rows);
  }

  void check(const Gate& op) const { expect_width(op.x, 2 * width(op.out)); }

  void check(const Unfold& op) const {
    expect_width(op.out, op.kernel * width(op.x));
    if (op.history < 0) return;
    expect(static_cast<std::size_t>(op.history) < spec_.convs.size(), "conv history ", op.history,
           " of ", spec_.convs.size());
    const StateSpec::Conv& conv = spec_.convs[static_cast<std::size_t>(op.history)];
    expect(op.causal && conv.kernel == op.kernel && conv.width == width(op.x), "conv history ",
           op.history, ": expected a causal kernel ", conv.kernel, " of width ", conv.width);
  }

  void check(const SelfAttention& op) const {
    const std::int32_t kv_heads = op.num_kv_heads();
    expect(kv_heads > 0 && op.heads % kv_heads == 0, "self-attention: ", op.heads, " heads on ",
           kv_heads, " of keys and values");
    expect_width(op.qkv, (std::int64_t{op.heads} + 2 * kv_heads) * op.head_dim);
    expect_width(op.out, std::int64_t{op.heads} * op.head_dim);
    expect(op.cache_layer < 0 ||
               (op.cache_layer < spec_.cache_layers && kv_heads == spec_.cache_heads &&
                op.head_dim == spec_.cache_head_dim),
           "self-attention: expected a layer of the cache with its heads, got layer ",
           op.cache_layer, " of ", spec_.cache_layers);
    check_scores(op);
    expect(op.q_norm.is_present() == op.k_norm.is_present(),
           "self-attention: expected norms of queries and of keys, or neither");
    if (op.q_norm.is_present()) {
      expect_vector(op.q_norm, std::int64_t{op.heads} * op.head_dim);
      expect_vector(op.k_norm, std::int64_t{kv_heads} * op.head_dim);
    }
    expect(op.rope_heads >= 0 && op.rope_heads <= kv_heads, "self-attention: ", op.rope_heads,
           " rotated heads of ", kv_heads);
    const Weight& rope = op.rope;
    if (!rope.is_present()) return;
    expect(rope.dtype == DType::float32 && rope.layout == Layout::dense && rope.cols % 2 == 0 &&
               rope.cols <= op.head_dim,
           rope.name, ": expected a float32 table of an even number of at most ", op.head_dim,
           " dimensions, got ", rope.cols);
    expect(op.cache_layer < 0 || rope.rows >= spec_.max_positions, rope.name, ": expected ",
           spec_.max_positions, " positions, got ", rope.rows);
  }

  void check(const StoreMemory& op) const {
    expect_layer(op.layer);
    expect_width(op.kv, std::int64_t{2} * spec_.memory_heads * spec_.memory_head_dim);
  }

  void check(const CrossAttention& op) const {
    expect_layer(op.layer);
    expect(op.heads == spec_.memory_heads && op.head_dim == spec_.memory_head_dim,
           "cross-attention: expected ", spec_.memory_heads, " heads of ", spec_.memory_head_dim,
           ", got ", op.heads, " of ", op.head_dim);
    expect_width(op.q, std::int64_t{op.heads} * op.head_dim);
    expect_width(op.out, width(op.q));
    if (op.scores != kNoBuffer) expect_width(op.scores, spec_.max_text_len, RowSpace::draws);
  }

  void check(const StoreContext& op) const { expect_kept(op.x); }
  void check(const ClearScores& op) const {
    expect_width(op.scores, spec_.max_text_len, RowSpace::draws);
  }
  void check(const UpdatePrior& op) const {
    expect_width(op.scores, spec_.max_text_len, RowSpace::draws);
  }

  void check(const SampleCodes& op) const {
    expect_codes(op.codebooks, op.vocab);
    const std::int64_t slices = std::int64_t{op.codebooks} * op.vocab;
    expect_width(op.logits, slices);
    if (op.guided != kNoBuffer) expect_width(op.guided, slices, RowSpace::draws);
  }

  void check(const PickCodes& op) const {
    expect_codes(op.codebooks, op.vocab);
    check_pick_codes(op, spec_.codebooks);
    expect_width(op.hidden, op.dim);
    if (op.pick_logits != kNoBuffer)
      expect_width(op.pick_logits, std::int64_t{op.codebooks} * op.vocab);
  }

  void check(const FinishStep& op) const {
    expect_codes(op.codebooks, 0);
    expect(op.frame_stacking > 0 && op.codebooks % op.frame_stacking == 0,
           "finish step: ", op.codebooks, " codes in ", op.frame_stacking, " frames");
  }

  void check(const ShiftBlock& op) const {
    expect_kept(op.x);
    expect_width(op.out, width(op.x));
    expect(spec_.max_context_rows >= 2, "blocks: expected 2 kept rows of a slot, got ",
           spec_.max_context_rows);
  }

  void check(const GuessBlock& op) const {
    expect_places(op.places);
    expect_width(op.logits, op.vocab);
    expect_width(op.scores, op.places, RowSpace::draws);
    expect_vector(op.prior, op.vocab);
  }

  void check(const FinishBlock& op) const {
    expect_places(op.places);
    expect_width(op.scores, op.places, RowSpace::draws);
  }

 private:
  void check_scores(const SelfAttention& op) const {
    if (op.scores == kNoBuffer) return;
    expect_width(op.scores, spec_.max_text_len, RowSpace::draws);
    const std::uint64_t beyond = op.heads < 64 ? op.score_heads >> op.heads : 0;
    expect(op.cache_layer >= 0 && op.score_heads != 0 && beyond == 0,
           "self-attention: expected scores of some of the ", op.heads,
           " heads of a layer of the cache");
  }

  void expect_layer(std::int32_t layer) const {
    expect(layer >= 0 && layer < spec_.memory_layers, "cross-attention: layer ", layer, " of ",
           spec_.memory_layers);
  }

  void expect_places(std::int32_t places) const {
    expect(places == spec_.codebooks && places <= rules::kMaxBlockRows, "blocks: expected at most ",
           rules::kMaxBlockRows, " places, as many as the slots' ", spec_.codebooks, " codes, got ",
           places);
  }

  // Rows that are kept may be narrower than those of others.
  void expect_kept(BufferId buffer) const {
    expect(width(buffer) <= spec_.dim, "kept rows of width ", width(buffer), ", expected at most ",
           spec_.dim);
  }

  void expect_codes(std::int32_t codebooks, std::int32_t vocab) const {
    expect(codebooks == spec_.codebooks, "codes: expected ", spec_.codebooks,
           " tables as the slots have, got ", codebooks);
    expect(spec_.seen_vocab == 0 || vocab <= spec_.seen_vocab, "codes: ids below ", vocab,
           ", and seen ids below ", spec_.seen_vocab);
  }
};

void check_parts(const Program& program) {
  std::int32_t last = 0;
  for (const std::int32_t begin : program.part_begins) {
    TTSRT_CHECK(InternalError, begin > last && static_cast<std::size_t>(begin) < program.ops.size(),
                program.name, ": a part begins at op ", begin, ", behind one at ", last,
                " and with ", program.ops.size(), " ops");
    last = begin;
  }
}

std::string name_of(const Program& program, const Use& use) {
  if (use.part != Part::buffer)
    return message("state ", static_cast<int>(use.part), " of the slots");
  return program.activations[static_cast<std::size_t>(use.index)].name;
}

// Whether an earlier phase of the op itself writes what this one reads.
bool is_written_before(const Uses& uses, const Use& read) {
  return std::any_of(uses.begin(), uses.end(), [&read](const Use& use) {
    return use.part == read.part && use.index == read.index && use.access == Access::write &&
           use.phase < read.phase;
  });
}

// Every buffer an op reads was written by an op before it, or by the op that holds a nested
// Program; taps and a nested Program's output are written somewhere.
void check_order(const Program& program, const NestedProgram* nested) {
  std::vector<bool> is_written(program.activations.size(), false);
  if (nested != nullptr) is_written[static_cast<std::size_t>(nested->input)] = true;
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Uses uses = uses_of(program.ops[i]);
    for (const Use& use : uses) {
      if (use.part != Part::buffer || !use.reads() || is_written_before(uses, use)) continue;
      TTSRT_CHECK(InternalError, is_written[static_cast<std::size_t>(use.index)], program.name,
                  ": op ", i, " reads ", name_of(program, use), ", which nothing has written");
    }
    for (const Use& use : uses) {
      if (use.part == Part::buffer && use.writes())
        is_written[static_cast<std::size_t>(use.index)] = true;
    }
  }
  for (const Tap& tap : program.taps) {
    TTSRT_CHECK(InternalError,
                tap.buffer >= 0 && static_cast<std::size_t>(tap.buffer) < is_written.size() &&
                    is_written[static_cast<std::size_t>(tap.buffer)],
                program.name, ": tap ", tap.name, " of a buffer that nothing writes");
  }
  TTSRT_CHECK(InternalError,
              nested == nullptr || is_written[static_cast<std::size_t>(nested->output)],
              program.name, ": an output that nothing writes");
}

void check_in_place(const Program& program) {
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Uses uses = uses_of(program.ops[i]);
    for (const Use& a : uses) {
      for (const Use& b : uses) {
        const bool is_safe = &a == &b || a.phase != b.phase || may_meet(a, b);
        TTSRT_CHECK(InternalError, is_safe, program.name, ": op ", i,
                    " can't write over its input ", name_of(program, a));
      }
    }
  }
}

void check_ops(const Program& program, const StateSpec& spec, const NestedProgram* nested) {
  const Shapes shapes(program, spec);
  for (const Activation& activation : program.activations) {
    TTSRT_CHECK(InternalError,
                activation.rate == 1 || (activation.rate > 1 && nested == nullptr &&
                                         activation.space == RowSpace::rows),
                program.name, ": ", activation.name, ": expected a rate of its rows, got ",
                activation.rate);
    TTSRT_CHECK(InternalError, activation.beyond >= 0 && activation.beyond <= activation.rate,
                program.name, ": ", activation.name, ": ", activation.beyond,
                " rows beyond an item, of rate ", activation.rate);
  }
  for (const Op& op : program.ops)
    std::visit([&shapes](const auto& record) { shapes.check(record); }, op);
  check_order(program, nested);
  check_in_place(program);
}

}  // namespace

void check_program(const Program& program, const StateSpec& spec) {
  check_parts(program);
  check_ops(program, spec, nullptr);
  for (const Op& op : program.ops) {
    const auto* pick = std::get_if<PickCodes>(&op);
    if (pick != nullptr) check_ops(*pick->network.program, spec, &pick->network);
  }
}

void check_stages(const std::vector<StageUses>& stages) {
  std::size_t first = 0;  // behind the last barrier
  for (std::size_t s = 0; s < stages.size(); ++s) {
    for (std::size_t before = first; before <= s; ++before) {
      for (const Use& a : stages[before].uses) {
        for (const Use& b : stages[s].uses) {
          const bool is_safe = &a == &b ? !a.writes() || a.share != Share::whole : may_meet(a, b);
          TTSRT_CHECK(InternalError, is_safe, "stages: ", stages[s].name, " and ",
                      stages[before].name, " touch the same pieces of ",
                      a.part == Part::buffer ? "buffer " : "state ",
                      a.part == Part::buffer ? a.index : static_cast<std::int32_t>(a.part),
                      " without a barrier between them");
        }
      }
    }
    if (stages[s].has_barrier) first = s + 1;
  }
}

}  // namespace ttsrt::ops
