#include "cpu/stages/draw_stages.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "cpu/stages/draw.h"
#include "rules/ahead.h"
#include "rules/analyzer.h"
#include "rules/philox.h"
#include "rules/prior.h"
#include "rules/stop.h"

namespace ttsrt::cpu {
namespace {

class UpdatePriorStage : public DrawStage {
 public:
  UpdatePriorStage(const Site& site, const Rows& scores) : DrawStage(site), scores_(scores) {}

  std::string label() const override { return "update prior"; }
  bool is_needed() const override { return site_.launch->reads_scores; }
  void run(const Worker& worker) override {
    const Range draws = share_of(site_.launch->draws, worker);
    for (std::int64_t d = draws.begin; d < draws.end; ++d) {
      const std::int32_t slot = draw(d).slot;
      if (!are_scores_sound(slot, d)) site_.add_fault(draw(d).conditional_row);
      rules::update_prior(rules(slot), state(slot), site_.slots->counts(slot), scores_.row(d));
      rules::update_analyzer(rules(slot), state(slot), scores_.row(d));
      if (!rules(slot).keep_scores) continue;
      std::copy_n(scores_.row(d), scores_.width,
                  site_.slots->outcome.scores.begin() + d * scores_.width);
    }
  }

 private:
  // Whether the scores of a draw are finite, or are used for nothing.
  bool are_scores_sound(std::int32_t slot, std::int64_t index) const {
    const rules::SlotRules& of = rules(slot);
    return !rules::reads_scores(of) || site_.kernels->is_finite(scores_.row(index), of.text_len);
  }

  Rows scores_;
};

class SampleCodesStage : public DrawStage {
 public:
  SampleCodesStage(const Site& site, const ops::SampleCodes& op, const Rows& logits,
                   const Rows& guided)
      : DrawStage(site), op_(op), logits_(logits), guided_(guided) {}

  std::string label() const override { return "sample codes"; }
  std::size_t scratch_bytes() const override { return DrawScratch::bytes(op_.vocab); }

  // A unit is a slice of a draw.
  void run(const Worker& worker) override {
    const Range units = share_of(std::int64_t{site_.launch->draws} * op_.codebooks, worker);
    const DrawScratch scratch = DrawScratch::at(worker.scratch, op_.vocab);
    for (std::int64_t unit = units.begin; unit < units.end; ++unit)
      sample(unit / op_.codebooks, static_cast<std::int32_t>(unit % op_.codebooks), scratch);
  }

 private:
  // Returns the seen set, or null if the rules have no penalty. Sets know no drafts.
  const std::uint32_t* seen_by(const step::Draw& at, std::int32_t slice) const {
    const std::uint32_t* seen = site_.slots->seen(at.slot, slice);
    TTSRT_CHECK(InternalError, seen == nullptr || at.ahead == 0,
                "seen sets: expected no drafts, got a draw behind ", at.ahead);
    return seen;
  }

  void sample(std::int64_t index, std::int32_t slice, const DrawScratch& scratch) const {
    const step::Draw& at = draw(index);
    const rules::SlotRules& slot_rules = rules(at.slot);
    const rules::SlotState slot_state = rules::state_ahead(state(at.slot), at.ahead);
    const std::int64_t begin = std::int64_t{slice} * op_.vocab;
    const float* unconditional =
        at.unconditional_row < 0 ? nullptr : logits_.row(at.unconditional_row) + begin;
    if (!guide_logits(*site_.kernels, slot_rules.guidance, logits_.row(at.conditional_row) + begin,
                      unconditional, slot_rules.cfg_scale, op_.vocab, scratch))
      site_.add_fault(at.conditional_row);
    if (guided_.data != nullptr) {
      std::memcpy(guided_.row(index) + begin, scratch.logits,
                  static_cast<std::size_t>(op_.vocab) * sizeof(float));
    }
    rules::apply_verdict(slot_rules, slot_state, scratch.logits, op_.vocab);
    rules::mask_logits(slot_rules, slot_state, scratch.logits, op_.vocab);
    Outcome& outcome = site_.slots->outcome;
    const auto place = static_cast<std::size_t>(index * op_.codebooks + slice);
    outcome.likeliest[place] = site_.kernels->argmax(scratch.logits, op_.vocab);
    if (slot_rules.use_local_transformer) return;
    const step::TokenRules* tokens = site_.slots->tokens[static_cast<std::size_t>(at.slot)].get();
    if (tokens != nullptr &&
        !rules::change_scores(
            tokens->scores(site_.slots->drawn(at.slot), state(at.slot).step, at.drafts, at.ahead),
            scratch.logits, scratch.indices))
      site_.add_fault(at.conditional_row);
    const float number =
        rules::uniform(slot_rules.sampler.seed, slot_state.step, slice, 0, rules::DrawKind::code);
    const rules::DrawOutcome drawn = draw_code(*site_.kernels, slot_rules.sampler, op_.vocab,
                                               seen_by(at, slice), number, scratch);
    add_fault_of(site_, drawn, at.conditional_row);
    outcome.sampled[place] = at.code(slice, drawn.code);
    if (tokens != nullptr && tokens->num_logprobs >= 0)
      tell_logprobs(index, tokens->num_logprobs, logits_.row(at.conditional_row));
  }

  // Tells the logarithms of the probabilities of the drawn id and of the likeliest ones; `raw` are
  // the scores before masks and penalties [vocab].
  void tell_logprobs(std::int64_t index, std::int32_t count, const float* raw) const {
    Outcome& outcome = site_.slots->outcome;
    std::int32_t* ids = outcome.likeliest_ids.data() + index * rules::kMaxLogprobs;
    float* largest = outcome.likeliest_logprobs.data() + index * rules::kMaxLogprobs;
    rules::find_largest(raw, op_.vocab, count, ids, largest);
    const double sum =
        rules::log_of_sum(raw, op_.vocab, raw[site_.kernels->argmax(raw, op_.vocab)]);
    for (std::int32_t i = 0; i < count; ++i)
      largest[i] = static_cast<float>(static_cast<double>(largest[i]) - sum);
    const auto drawn = static_cast<double>(raw[outcome.sampled[static_cast<std::size_t>(index)]]);
    outcome.logprobs[static_cast<std::size_t>(index)] = static_cast<float>(drawn - sum);
  }

  ops::SampleCodes op_;
  Rows logits_;
  Rows guided_;
};

class FinishStepStage : public DrawStage {
 public:
  FinishStepStage(const Site& site, const ops::FinishStep& op) : DrawStage(site), op_(op) {}

  std::string label() const override { return "finish step"; }
  // The thread of a slot's first draw finishes all of them, in order.
  void run(const Worker& worker) override {
    const Range draws = share_of(site_.launch->draws, worker);
    for (std::int64_t d = draws.begin; d < draws.end; ++d) {
      if (draw(d).is_guess) {
        site_.slots->outcome.outputs[static_cast<std::size_t>(d)] = {.slot = draw(d).slot};
        continue;
      }
      if (draw(d).ahead > 0) continue;
      finish(d);
      for (std::int64_t next = d + 1; is_behind(next); ++next) finish_next(next);
    }
    if (worker.thread == 0) site_.slots->outcome.finished = site_.launch->draws;
  }

 private:
  // Whether there is such a draw, and it verifies a draft of the one before it.
  bool is_behind(std::int64_t index) const {
    return index < site_.launch->draws && draw(index).ahead > 0 && !draw(index).is_guess;
  }

  // Finishes a draw that counts only if those before it drew the drafts.
  void finish_next(std::int64_t index) const {
    const step::Draw& at = draw(index);
    Outcome& outcome = site_.slots->outcome;
    const step::DrawOutput& before = outcome.outputs[static_cast<std::size_t>(index - 1)];
    const std::int32_t drawn = outcome.sampled[static_cast<std::size_t>(index - 1)];
    if (rules::goes_on(before.has_codes, before.end_frame, drawn, at.drafts[at.ahead - 1]))
      return finish(index);
    step::DrawOutput& output = outcome.outputs[static_cast<std::size_t>(index)];
    output = {};
    output.slot = at.slot;
    output.has_codes = false;
  }

  void finish(std::int64_t index) const {
    const std::int32_t slot = draw(index).slot;
    const rules::SlotRules& slot_rules = rules(slot);
    TTSRT_CHECK(InternalError,
                slot_rules.frame_stacking == op_.frame_stacking &&
                    slot_rules.codebooks * slot_rules.frame_stacking == op_.codebooks,
                "slot ", slot, ": expected ", op_.codebooks, " codes in ", op_.frame_stacking,
                " frames, got ", slot_rules.codebooks, " in each of ", slot_rules.frame_stacking);
    Outcome& outcome = site_.slots->outcome;
    const std::int32_t* sampled = outcome.sampled.data() + index * op_.codebooks;
    const std::int32_t* likeliest = outcome.likeliest.data() + index * op_.codebooks;
    TTSRT_CHECK(
        InternalError,
        std::all_of(sampled, sampled + op_.codebooks, [](std::int32_t code) { return code >= 0; }),
        "slot ", slot, ": no codes were drawn in this step");
    step::DrawOutput& output = outcome.outputs[static_cast<std::size_t>(index)];
    output.slot = slot;
    output.has_codes = true;
    rules::count_equal(slot_rules, state(slot), site_.slots->last_codes(slot), sampled,
                       op_.codebooks);
    output.end_frame = draw(index).forced != nullptr
                           ? -1
                           : rules::end_frame(slot_rules, state(slot), sampled, likeliest);
    output.focus = slot_rules.prior.mode == rules::PriorMode::off ? -1 : state(slot).focus;
    std::copy_n(sampled, op_.codebooks, site_.slots->last_codes(slot));
    if (site_.slots->tokens[static_cast<std::size_t>(slot)] != nullptr) {
      TTSRT_CHECK(InternalError, state(slot).step < site_.slots->spec().max_drawn, "slot ", slot,
                  ": more ids were drawn than it remembers");
      site_.slots->drawn(slot)[state(slot).step] = *sampled;
    }
    for (std::int32_t place = 0; place < op_.codebooks; ++place) {
      if (std::uint32_t* seen = site_.slots->seen(slot, place)) {
        rules::add_seen(slot_rules.sampler, state(slot).step - slot_rules.first_step,
                        sampled[place], seen, site_.slots->spec().seen_vocab);
      }
    }
    ++state(slot).step;
  }

  ops::FinishStep op_;
};

void check_codebooks(const Site& site, std::int32_t codebooks) {
  TTSRT_CHECK(InternalError, codebooks == site.slots->spec().codebooks, "codes: expected ",
              site.slots->spec().codebooks, " tables as the slots have, got ", codebooks);
}

}  // namespace

void add_update_prior(const Site& site, const Rows& scores, Stages& stages) {
  stages.push_back(std::make_unique<UpdatePriorStage>(site, scores));
}

void add_sample_codes(const Site& site, const ops::SampleCodes& op, const Rows& logits,
                      const Rows& guided, Stages& stages) {
  check_codebooks(site, op.codebooks);
  TTSRT_CHECK(InternalError, logits.width == std::int64_t{op.codebooks} * op.vocab,
              "sample codes: expected ", op.codebooks, " slices of ", op.vocab,
              " logits, got width ", logits.width);
  stages.push_back(std::make_unique<SampleCodesStage>(site, op, logits, guided));
}

void add_finish_step(const Site& site, const ops::FinishStep& op, Stages& stages) {
  check_codebooks(site, op.codebooks);
  stages.push_back(std::make_unique<FinishStepStage>(site, op));
}

}  // namespace ttsrt::cpu
