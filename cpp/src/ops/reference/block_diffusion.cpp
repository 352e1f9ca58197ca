// ShiftBlock, GuessBlock and FinishBlock: steps that decide the codes of a block together.
#include "rules/block_diffusion.h"

#include <algorithm>

#include "core/check.h"
#include "ops/reference/run.h"
#include "ops/reference/weight_reader.h"

namespace ttsrt::ops::reference {
namespace {

// Draws and scores a guess for one place, of which `rows` are the logits of each branch.
rules::BlockGuess guess_place(const Slot& slot, std::int32_t place,
                              const std::vector<const float*>& rows,
                              const std::vector<float>& prior) {
  const auto vocab = static_cast<std::int32_t>(prior.size());
  std::vector<float> mix(rows[0], rows[0] + vocab);
  for (std::int32_t v = 0; rows.size() > 1 && v < vocab; ++v) {
    float& value = mix[static_cast<std::size_t>(v)];
    value = rules::guide(slot.rules.guidance, value, rows[1][v], slot.rules.cfg_scale);
  }
  rules::mask_logits(slot.rules, slot.state, mix.data(), vocab);
  std::vector<float> weights(prior.size());
  std::vector<std::int32_t> indices(prior.size());
  const rules::DrawRow row{mix.data(), vocab, weights.data(), indices.data(), nullptr};
  return rules::guess_block(rules::PlainPrimitives{}, slot.rules, slot.state, place, row, rows[0],
                            rows.size() > 1 ? rows[1] : nullptr, prior.data());
}

}  // namespace

void run(const ShiftBlock& op, Run& at) {
  const std::int64_t dim = at.width_of(op.x);
  const float* x = at.rows(op.x, dim);
  float* out = at.rows(op.out, dim);
  for (const step::Draw& draw : at.batch.draws) {
    Slot& slot = at.state.slot(draw.slot);
    const std::vector<std::int32_t> branches = at.branch_rows(draw);
    for (std::size_t b = 0; b < branches.size(); ++b) {
      const float* from = x + branches[b] * dim;
      float* kept = slot.context_rows.data() + static_cast<std::int64_t>(b) * at.state.spec().dim;
      float* to = std::copy(kept, kept + dim, out + branches[b] * dim);
      const float* last = from + (draw.rows - 1) * dim;
      std::copy(from, last, to);
      if (!slot.state.is_decided) continue;
      std::copy(last, last + dim, kept);
      at.check_finite(branches[b] + draw.rows - 1, kept, dim);
    }
  }
}

void run(const GuessBlock& op, Run& at) {
  const float* logits = at.rows(op.logits, op.vocab);
  float* scores = at.draws(op.scores, op.places);
  std::vector<float> prior(static_cast<std::size_t>(op.vocab));
  for (std::int32_t v = 0; v < op.vocab; ++v)
    prior[static_cast<std::size_t>(v)] = WeightReader(op.prior).at(0, v);
  for (std::size_t d = 0; d < at.batch.draws.size(); ++d) {
    const step::Draw& draw = at.batch.draws[d];
    const Slot& slot = at.state.slot(draw.slot);
    const auto first = static_cast<std::int64_t>(d) * op.places;
    for (std::int32_t place = 0; place < draw.rows; ++place) {
      const std::int32_t code = slot.last_codes[static_cast<std::size_t>(place)];
      at.state.outcome.sampled[static_cast<std::size_t>(first + place)] = code;
      scores[first + place] = 0.0F;
      if (code != slot.rules.block.mask_id) continue;
      std::vector<const float*> rows;
      for (const std::int32_t row : at.branch_rows(draw)) {
        rows.push_back(logits + std::int64_t{row + place} * op.vocab);
        at.check_finite(draw.conditional_row + place, rows.back(), op.vocab);
      }
      const rules::BlockGuess guess = guess_place(slot, place, rows, prior);
      at.add_fault_of(guess.drawn, draw.conditional_row + place);
      at.state.outcome.sampled[static_cast<std::size_t>(first + place)] = guess.drawn.code;
      scores[first + place] = guess.score;
    }
  }
}

void run(const FinishBlock& op, Run& at) {
  const float* scores = at.draws(op.scores, op.places);
  Outcome& outcome = at.state.outcome;
  outcome.draws.clear();
  for (std::size_t d = 0; d < at.batch.draws.size(); ++d) {
    const step::Draw& draw = at.batch.draws[d];
    Slot& slot = at.state.slot(draw.slot);
    TTSRT_CHECK(InternalError, slot.rules.block.steps > 0, "slot ", draw.slot,
                ": expected rules of a block");
    step::DrawOutput& output = outcome.draws.emplace_back();
    output.slot = draw.slot;
    const auto first = static_cast<std::int64_t>(d) * op.places;
    std::int32_t* sampled = outcome.sampled.data() + first;
    std::int32_t* codes = slot.last_codes.data();
    if (slot.state.is_decided) {  // its keys and values stay as they are
      output.has_codes = false;
      output.final_rows = draw.rows;
      rules::begin_block(slot.rules, slot.state, op.places, codes);
    } else {
      rules::decide_block(slot.rules, slot.state, draw.rows, sampled, scores + first, codes);
      output.end_frame = rules::end_pass(slot.rules, slot.state, draw.rows, codes);
      output.has_codes = slot.state.is_decided;
    }
    std::copy(slot.last_codes.begin(), slot.last_codes.end(), sampled);
  }
}

}  // namespace ttsrt::ops::reference
