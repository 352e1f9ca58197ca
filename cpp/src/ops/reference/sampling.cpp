// ClearScores, UpdatePrior, SampleCodes and FinishStep: from logits and scores to codes and
// progress.
#include "rules/sampling.h"

#include <algorithm>

#include "core/check.h"
#include "ops/reference/run.h"
#include "rules/ahead.h"
#include "rules/analyzer.h"
#include "rules/philox.h"
#include "rules/prior.h"
#include "rules/stop.h"

namespace ttsrt::ops::reference {
namespace {

void check_codebooks(std::int32_t codebooks, const StateSpec& spec) {
  TTSRT_CHECK(InternalError, codebooks == spec.codebooks, "codes: expected ", spec.codebooks,
              " tables as the slots have, got ", codebooks);
}

// Returns the seen set of a place, or null if the rules have no penalty. Sets know no drafts.
const std::uint32_t* seen_by(const step::Draw& draw, std::int32_t place, Slot& slot, State& state) {
  const std::uint32_t* seen = state.seen(slot, place);
  TTSRT_CHECK(InternalError, seen == nullptr || draw.ahead == 0, "seen sets: expected no drafts, ",
              "got a draw behind ", draw.ahead);
  return seen;
}

// Tells the logarithms of the probabilities of what draw `d` drew and of the likeliest ids; `raw`
// are its scores before masks and penalties [vocab].
void tell_logprobs(Run& at, std::size_t d, std::int32_t count, const float* raw,
                   std::int32_t vocab) {
  Outcome& outcome = at.state.outcome;
  const std::size_t first = d * rules::kMaxLogprobs;
  std::int32_t* ids = outcome.likeliest_ids.data() + first;
  float* largest = outcome.likeliest_logprobs.data() + first;
  rules::find_largest(raw, vocab, count, ids, largest);
  const double sum = rules::log_of_sum(raw, vocab, *std::max_element(raw, raw + vocab));
  for (std::int32_t i = 0; i < count; ++i)
    largest[i] = static_cast<float>(static_cast<double>(largest[i]) - sum);
  const auto drawn = static_cast<double>(raw[outcome.sampled[d]]);
  outcome.logprobs[d] = static_cast<float>(drawn - sum);
  outcome.tells_logprobs = true;
}

// Does the analyzer's verdict, masks, argmax and draw for slice `i` of draw `d`. `mix` [vocab] is
// scratch memory for the guided logits.
void sample_slice(const SampleCodes& op, Run& at, std::size_t d, std::int32_t i,
                  std::vector<float>& mix) {
  const step::Draw& of = at.batch.draws[d];
  Slot& slot = at.state.slot(of.slot);
  const rules::SlotState state = rules::state_ahead(slot.state, of.ahead);
  const std::size_t place =
      d * static_cast<std::size_t>(op.codebooks) + static_cast<std::size_t>(i);
  rules::apply_verdict(slot.rules, state, mix.data(), op.vocab);
  rules::mask_logits(slot.rules, state, mix.data(), op.vocab);
  at.state.outcome.likeliest[place] = rules::argmax(mix.data(), op.vocab);
  if (slot.rules.use_local_transformer) return;
  const float number =
      rules::uniform(slot.rules.sampler.seed, state.step, i, 0, rules::DrawKind::code);
  if (slot.tokens != nullptr) {
    std::vector<std::int32_t> marks(mix.size());
    const rules::TokenScores scores =
        slot.tokens->scores(slot.drawn.data(), slot.state.step, of.drafts, of.ahead);
    if (!rules::change_scores(scores, mix.data(), marks.data())) at.add_fault(of.conditional_row);
  }
  const rules::DrawOutcome drawn =
      draw(slot.rules.sampler, mix, seen_by(of, i, slot, at.state), number);
  at.add_fault_of(drawn, of.conditional_row);
  at.state.outcome.sampled[place] = of.code(i, drawn.code);
}

// Whether draw `d` counts, by the outcome of the one before it.
bool counts(const Run& at, std::size_t d) {
  const step::Draw& draw = at.batch.draws[d];
  if (draw.ahead == 0 || draw.is_guess) return true;
  const Outcome& outcome = at.state.outcome;
  const step::DrawOutput& before = outcome.draws[d - 1];
  return rules::goes_on(before.has_codes, before.end_frame, outcome.sampled[d - 1],
                        draw.drafts[draw.ahead - 1]);
}

// A row to draw from, with the memory that it needs.
struct DrawRoom {
  std::vector<float> weights;
  std::vector<std::int32_t> indices;
  rules::DrawRow row;

  DrawRoom(std::vector<float>& logits, const std::uint32_t* seen)
      : weights(logits.size()),
        indices(logits.size()),
        row{logits.data(), static_cast<std::int32_t>(logits.size()), weights.data(), indices.data(),
            seen} {}
};

}  // namespace

rules::DrawOutcome draw(const rules::SamplerRules& sampler, std::vector<float>& logits,
                        const std::uint32_t* seen, float number) {
  const DrawRoom room(logits, seen);
  return rules::draw_code(rules::PlainPrimitives{}, sampler, room.row, number);
}

rules::DrawOutcome draw_guess(const rules::SamplerRules& sampler, std::vector<float>& logits,
                              const std::uint32_t* seen, float number) {
  const DrawRoom room(logits, seen);
  return rules::draw_guess(rules::PlainPrimitives{}, sampler, room.row, number);
}

void run(const ClearScores& op, Run& at) {
  const std::int64_t width = at.state.spec().max_text_len;
  std::fill_n(at.draws(op.scores, width), static_cast<std::int64_t>(at.batch.draws.size()) * width,
              0.0F);
}

void run(const UpdatePrior& op, Run& at) {
  const std::int64_t width = at.state.spec().max_text_len;
  const float* scores = at.draws(op.scores, width);
  for (std::size_t d = 0; d < at.batch.draws.size(); ++d) {
    Slot& slot = at.state.slot(at.batch.draws[d].slot);
    const float* row = scores + static_cast<std::int64_t>(d) * width;
    if (rules::reads_scores(slot.rules))
      at.check_finite(at.batch.draws[d].conditional_row, row, slot.rules.text_len);
    rules::update_prior(slot.rules, slot.state, slot.counts.data(), row);
    rules::update_analyzer(slot.rules, slot.state, row);
    if (!slot.rules.keep_scores) continue;
    at.state.outcome.keeps_scores = true;
    std::copy(row, row + width,
              at.state.outcome.scores.data() + static_cast<std::int64_t>(d) * width);
  }
}

void run(const SampleCodes& op, Run& at) {
  check_codebooks(op.codebooks, at.state.spec());
  const std::int64_t width = std::int64_t{op.codebooks} * op.vocab;
  const float* logits = at.rows(op.logits, width);
  float* guided = op.guided == kNoBuffer ? nullptr : at.draws(op.guided, width);
  std::vector<float> mix(static_cast<std::size_t>(op.vocab));
  for (std::size_t d = 0; d < at.batch.draws.size(); ++d) {
    const step::Draw& draw = at.batch.draws[d];
    const rules::SlotRules& slot_rules = at.state.slot(draw.slot).rules;
    for (std::int32_t i = 0; i < op.codebooks; ++i) {
      for (std::int32_t v = 0; v < op.vocab; ++v) {
        const std::int64_t at_logit = std::int64_t{i} * op.vocab + v;
        float value = logits[draw.conditional_row * width + at_logit];
        if (draw.unconditional_row >= 0) {
          value =
              rules::guide(slot_rules.guidance, value,
                           logits[draw.unconditional_row * width + at_logit], slot_rules.cfg_scale);
        }
        if (guided != nullptr) guided[static_cast<std::int64_t>(d) * width + at_logit] = value;
        mix[static_cast<std::size_t>(v)] = value;
      }
      at.check_finite(draw.conditional_row, mix.data(), op.vocab);
      sample_slice(op, at, d, i, mix);
      const step::TokenRules* tokens = at.state.slot(draw.slot).tokens.get();
      if (tokens != nullptr && tokens->num_logprobs >= 0)
        tell_logprobs(at, d, tokens->num_logprobs, logits + draw.conditional_row * width, op.vocab);
    }
  }
}

void run(const FinishStep& op, Run& at) {
  check_codebooks(op.codebooks, at.state.spec());
  Outcome& outcome = at.state.outcome;
  outcome.draws.clear();
  for (std::size_t d = 0; d < at.batch.draws.size(); ++d) {
    const std::int32_t index = at.batch.draws[d].slot;
    Slot& slot = at.state.slot(index);
    TTSRT_CHECK(InternalError,
                slot.rules.frame_stacking == op.frame_stacking &&
                    slot.rules.codebooks * slot.rules.frame_stacking == op.codebooks,
                "slot ", index, ": expected ", op.codebooks, " codes in ", op.frame_stacking,
                " frames, got ", slot.rules.codebooks, " in each of ", slot.rules.frame_stacking);
    const std::int32_t* sampled =
        outcome.sampled.data() + d * static_cast<std::size_t>(op.codebooks);
    const std::int32_t* likeliest =
        outcome.likeliest.data() + d * static_cast<std::size_t>(op.codebooks);
    TTSRT_CHECK(
        InternalError,
        std::all_of(sampled, sampled + op.codebooks, [](std::int32_t code) { return code >= 0; }),
        "slot ", index, ": no codes were drawn in this step");
    step::DrawOutput draw;
    draw.slot = index;
    draw.has_codes = counts(at, d);
    if (!draw.has_codes || at.batch.draws[d].is_guess) {
      outcome.draws.push_back(draw);
      continue;
    }
    rules::count_equal(slot.rules, slot.state, slot.last_codes.data(), sampled, op.codebooks);
    if (at.batch.draws[d].forced == nullptr)
      draw.end_frame = rules::end_frame(slot.rules, slot.state, sampled, likeliest);
    draw.focus = slot.rules.prior.mode == rules::PriorMode::off ? -1 : slot.state.focus;
    outcome.draws.push_back(draw);
    std::copy(sampled, sampled + op.codebooks, slot.last_codes.begin());
    if (slot.tokens != nullptr) slot.drawn.at(static_cast<std::size_t>(slot.state.step)) = *sampled;
    for (std::int32_t place = 0; place < op.codebooks; ++place) {
      if (std::uint32_t* set = at.state.seen(slot, place)) {
        rules::add_seen(slot.rules.sampler, slot.state.step - slot.rules.first_step, sampled[place],
                        set, at.state.spec().seen_vocab);
      }
    }
    ++slot.state.step;
  }
}

}  // namespace ttsrt::ops::reference
