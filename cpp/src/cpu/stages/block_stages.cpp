#include "cpu/stages/block_stages.h"

#include <algorithm>

#include "core/check.h"
#include "cpu/stages/draw.h"
#include "cpu/stages/draw_stages.h"
#include "rules/block_diffusion.h"

namespace ttsrt::cpu {
namespace {

class ShiftBlockStage : public DrawStage {
 public:
  ShiftBlockStage(const Site& site, const Rows& x, const Rows& out)
      : DrawStage(site), x_(x), out_(out) {}

  std::string label() const override { return "shift block"; }
  void run(const Worker& worker) override {
    const Range draws = share_of(site_.launch->draws, worker);
    for (std::int64_t d = draws.begin; d < draws.end; ++d) {
      shift(draw(d), draw(d).conditional_row, 0);
      if (draw(d).unconditional_row >= 0) shift(draw(d), draw(d).unconditional_row, 1);
    }
  }

 private:
  void shift(const step::Draw& of, std::int32_t first, std::int32_t branch) const {
    float* kept = site_.slots->context_row(of.slot, branch);
    std::copy_n(kept, out_.width, out_.row(first));
    for (std::int32_t i = 1; i < of.rows; ++i)
      std::copy_n(x_.row(first + i - 1), out_.width, out_.row(first + i));
    if (!state(of.slot).is_decided) return;
    const std::int32_t last = first + of.rows - 1;
    if (!site_.kernels->copy(x_.row(last), out_.width, kept)) site_.add_fault(last);
  }

  Rows x_;
  Rows out_;
};

class GuessBlockStage : public DrawStage {
 public:
  GuessBlockStage(const Site& site, const ops::GuessBlock& op, const Rows& logits,
                  const Rows& scores)
      : DrawStage(site),
        op_(op),
        prior_(vector_of(op.prior, op.vocab)),
        logits_(logits),
        scores_(scores) {}

  std::string label() const override { return "guess block"; }
  std::size_t scratch_bytes() const override { return DrawScratch::bytes(op_.vocab); }

  // A unit is a place of a draw.
  void run(const Worker& worker) override {
    const Range units = share_of(std::int64_t{site_.launch->draws} * op_.places, worker);
    const DrawScratch scratch = DrawScratch::at(worker.scratch, op_.vocab);
    for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
      const auto place = static_cast<std::int32_t>(unit % op_.places);
      if (place < draw(unit / op_.places).rows) guess(unit / op_.places, place, scratch);
    }
  }

 private:
  void guess(std::int64_t index, std::int32_t place, const DrawScratch& scratch) const {
    const step::Draw& at = draw(index);
    const rules::SlotRules& slot_rules = rules(at.slot);
    std::int32_t& sampled =
        site_.slots->outcome.sampled[static_cast<std::size_t>(index * op_.places + place)];
    float& score = scores_.row(index)[place];
    sampled = site_.slots->last_codes(at.slot)[place];
    score = 0.0F;
    if (sampled != slot_rules.block.mask_id) return;
    const std::int32_t row = at.conditional_row + place;
    const float* conditional = logits_.row(row);
    const float* unconditional =
        at.unconditional_row < 0 ? nullptr : logits_.row(at.unconditional_row + place);
    if (!guide_logits(*site_.kernels, slot_rules.guidance, conditional, unconditional,
                      slot_rules.cfg_scale, op_.vocab, scratch))
      site_.add_fault(row);
    rules::mask_logits(slot_rules, state(at.slot), scratch.logits, op_.vocab);
    const rules::BlockGuess guess =
        rules::guess_block(KernelPrimitives{*site_.kernels}, slot_rules, state(at.slot), place,
                           {scratch.logits, op_.vocab, scratch.weights, scratch.indices, nullptr},
                           conditional, unconditional, prior_);
    add_fault_of(site_, guess.drawn, row);
    sampled = guess.drawn.code;
    score = guess.score;
  }

  ops::GuessBlock op_;
  const float* prior_;
  Rows logits_;
  Rows scores_;
};

class FinishBlockStage : public DrawStage {
 public:
  FinishBlockStage(const Site& site, const ops::FinishBlock& op, const Rows& scores)
      : DrawStage(site), op_(op), scores_(scores) {}

  std::string label() const override { return "finish block"; }
  void run(const Worker& worker) override {
    const Range draws = share_of(site_.launch->draws, worker);
    for (std::int64_t d = draws.begin; d < draws.end; ++d) finish(d);
    if (worker.thread == 0) site_.slots->outcome.finished = site_.launch->draws;
  }

 private:
  void finish(std::int64_t index) const {
    const step::Draw& at = draw(index);
    const rules::SlotRules& slot_rules = rules(at.slot);
    TTSRT_CHECK(InternalError, slot_rules.block.steps > 0, "slot ", at.slot,
                ": expected rules of a block");
    rules::SlotState& slot_state = state(at.slot);
    std::int32_t* codes = site_.slots->last_codes(at.slot);
    std::int32_t* sampled = site_.slots->outcome.sampled.data() + index * op_.places;
    step::DrawOutput output;
    output.slot = at.slot;
    if (slot_state.is_decided) {  // its keys and values stay: the next block begins
      output.has_codes = false;
      output.final_rows = at.rows;
      rules::begin_block(slot_rules, slot_state, op_.places, codes);
    } else {
      rules::decide_block(slot_rules, slot_state, at.rows, sampled, scores_.row(index), codes);
      output.end_frame = rules::end_pass(slot_rules, slot_state, at.rows, codes);
      output.has_codes = slot_state.is_decided;
    }
    std::copy_n(codes, op_.places, sampled);
    site_.slots->outcome.outputs[static_cast<std::size_t>(index)] = output;
  }

  ops::FinishBlock op_;
  Rows scores_;
};

}  // namespace

void add_shift_block(const Site& site, const Rows& x, const Rows& out, Stages& stages) {
  stages.push_back(std::make_unique<ShiftBlockStage>(site, x, out));
}

void add_guess_block(const Site& site, const ops::GuessBlock& op, const Rows& logits,
                     const Rows& scores, Stages& stages) {
  stages.push_back(std::make_unique<GuessBlockStage>(site, op, logits, scores));
}

void add_finish_block(const Site& site, const ops::FinishBlock& op, const Rows& scores,
                      Stages& stages) {
  stages.push_back(std::make_unique<FinishBlockStage>(site, op, scores));
}

}  // namespace ttsrt::cpu
