// How steps decide the codes of a block together (`_pmi_count_early_step_unmask` of the package
// chatterbox-flash 0.1.0).
//
// A block begins with a mask in every place. Each step draws a code for every place that is masked
// and keeps those with the highest scores. The score of a code is how much more likely it is than
// without any context, log p(code) - log prior(code), guided like the logits. A step decides as
// many places as the schedule has for it, or as many as have a score that reaches a quantile of
// all, if these are more; the last step decides them all. Ties go to the lower place.
#pragma once

#include <cmath>
#include <cstdint>

#include "rules/filter_chain.h"
#include "rules/inline.h"
#include "rules/philox.h"
#include "rules/sampling.h"
#include "rules/slot_rules.h"
#include "rules/stop.h"

namespace ttsrt::rules {

constexpr float kLeastProbability = 1e-8F;  // of codes and of the prior, in scores
constexpr float kGumbelFloor = 1e-10F;

// Returns how many of `count` places are decided after `steps` steps of the schedule.
TTSRT_RULE std::int32_t block_target(const BlockRules& rules, std::int32_t count,
                                     std::int32_t steps) {
  const double part = static_cast<double>(steps) / rules.steps;
  const double shift = static_cast<double>(rules.shift);
  return static_cast<std::int32_t>(rint(count * (shift * part / (1.0 + (shift - 1.0) * part))));
}

// Returns how many places the schedule has for step `pass` of a block of `count` places.
TTSRT_RULE std::int32_t block_schedule(const BlockRules& rules, std::int32_t count,
                                       std::int32_t pass) {
  const std::int32_t before = block_target(rules, count, pass);
  const bool is_last = pass + 1 >= rules.steps;
  return (is_last ? count : block_target(rules, count, pass + 1)) - before;
}

// Returns the logarithm of a code's probability by raw logits [vocab]. `row` lends its memory.
template <typename Primitives>
TTSRT_RULE float log_probability(const Primitives& primitives, const float* logits,
                                 std::int32_t code, const DrawRow& row) {
  const float largest = logits[primitives.argmax(logits, row.vocab)];
  const std::int32_t count =
      primitives.survivors(logits, row.vocab, kNever, largest, 1.0F, row.weights, row.indices);
  float sum = 0.0F;
  for (std::int32_t i = 0; i < count; ++i) sum += row.weights[i];
  return logits[code] - largest - logf(sum);
}

// Returns the score of a code from the logarithms of its probability in both branches and of its
// prior probability. Without guidance, both branches are the same one.
TTSRT_RULE float block_score(const SlotRules& rules, float conditional, float unconditional,
                             float prior) {
  const float least = logf(kLeastProbability);
  const float base = prior > least ? prior : least;
  const float c = (conditional > least ? conditional : least) - base;
  const float u = (unconditional > least ? unconditional : least) - base;
  return rules.cfg_scale == 1.0F ? c : guide(rules.guidance, c, u, rules.cfg_scale);
}

// A guess for one place and its score.
struct BlockGuess {
  DrawOutcome drawn;
  float score = 0.0F;
};

// Draws from the guided and masked logits of `row`, and scores by the raw logits of the branches;
// `unconditional` is null without guidance. `prior` has a probability for each code.
template <typename Primitives>
TTSRT_RULE BlockGuess guess_block(const Primitives& primitives, const SlotRules& rules,
                                  const SlotState& state, std::int32_t place, const DrawRow& row,
                                  const float* conditional, const float* unconditional,
                                  const float* prior) {
  BlockGuess guess;
  const float number = uniform(rules.sampler.seed, state.step, place, state.pass, DrawKind::code);
  guess.drawn = draw_code(primitives, rules.sampler, row, number);
  const std::int32_t code = guess.drawn.code;
  const float c = log_probability(primitives, conditional, code, row);
  const float u =
      unconditional == nullptr ? c : log_probability(primitives, unconditional, code, row);
  guess.score = block_score(rules, c, u, logf(prior[code]));
  return guess;
}

// Returns the noise that a place's score gets.
TTSRT_RULE float block_noise(const SlotRules& rules, const SlotState& state, std::int32_t place) {
  if (rules.block.noise <= 0.0F) return 0.0F;
  const float number =
      uniform(rules.sampler.seed, state.step, place, state.pass, DrawKind::block_noise);
  return rules.block.noise * -logf(-logf(number + kGumbelFloor) + kGumbelFloor);
}

// Returns the `share` quantile of scores [count], between two of them as far as `share` lies. They
// are sorted in place.
TTSRT_RULE float quantile(float* scores, std::int32_t count, float share) {
  for (std::int32_t i = 1; i < count; ++i) {
    const float score = scores[i];
    std::int32_t at = i;
    for (; at > 0 && scores[at - 1] > score; --at) scores[at] = scores[at - 1];
    scores[at] = score;
  }
  const float rank = share * static_cast<float>(count - 1);
  const auto below = static_cast<std::int32_t>(rank);
  const float weight = rank - static_cast<float>(below);
  const float low = scores[below];
  const float high = scores[below + 1 < count ? below + 1 : below];
  return weight < 0.5F ? low + weight * (high - low) : high - (high - low) * (1.0F - weight);
}

// Returns how many of the masked places of a block of `count` are decided in this step. `scores`
// are those of the masked places, `masked` of them, and are sorted in place.
TTSRT_RULE std::int32_t block_decided(const BlockRules& rules, std::int32_t pass,
                                      std::int32_t count, std::int32_t masked, float* scores) {
  if (pass + 1 >= rules.steps) return masked;
  std::int32_t decided = block_schedule(rules, count, pass);
  if (rules.early > 0.0F && masked > 0) {
    const double share = 1.0 - static_cast<double>(rules.early) * (pass + 1) / rules.steps;
    const float threshold =
        quantile(scores, masked, share > 0.0 ? static_cast<float>(share) : 0.0F);
    std::int32_t reached = 0;
    for (std::int32_t i = 0; i < masked; ++i) reached += scores[i] >= threshold ? 1 : 0;
    decided = reached > decided ? reached : decided;
  }
  return decided < masked ? decided : masked;
}

// One step of a block of `count` places: takes the guesses of the places that it decides into
// `codes`. `scores` belong to the guesses; those of places that are decided already mean nothing.
TTSRT_RULE void decide_block(const SlotRules& rules, const SlotState& state, std::int32_t count,
                             const std::int32_t* guesses, const float* scores,
                             std::int32_t* codes) {
  std::int32_t places[kMaxBlockRows];
  float noisy[kMaxBlockRows];
  float sorted[kMaxBlockRows];
  std::int32_t masked = 0;
  for (std::int32_t place = 0; place < count; ++place) {
    if (codes[place] != rules.block.mask_id) continue;
    places[masked] = place;
    noisy[masked] = scores[place] + block_noise(rules, state, place);
    sorted[masked] = noisy[masked];
    ++masked;
  }
  const std::int32_t decided = block_decided(rules.block, state.pass, count, masked, sorted);
  for (std::int32_t i = 0; i < masked; ++i) {
    if (is_among_largest(noisy, masked, decided, i)) codes[places[i]] = guesses[places[i]];
  }
}

// Whether a block of `count` codes is done with deciding: no place is masked, or speech ends in it.
TTSRT_RULE bool is_block_decided(const SlotRules& rules, const std::int32_t* codes,
                                 std::int32_t count, bool has_end) {
  for (std::int32_t place = 0; place < count; ++place) {
    if (codes[place] == rules.block.mask_id) return has_end;
  }
  return true;
}

// Begins the next block: all `places` of the slot's codes are masked.
TTSRT_RULE void begin_block(const SlotRules& rules, SlotState& state, std::int32_t places,
                            std::int32_t* codes) {
  for (std::int32_t place = 0; place < places; ++place) codes[place] = rules.block.mask_id;
  state.is_decided = false;
  state.pass = 0;
  ++state.step;
}

// Ends a step that decided places of a block of `count` codes; returns its end_frame().
TTSRT_RULE std::int32_t end_pass(const SlotRules& rules, SlotState& state, std::int32_t count,
                                 const std::int32_t* codes) {
  const std::int32_t end = end_frame(rules, state, codes, codes);
  state.is_decided = is_block_decided(rules, codes, count, end >= 0);
  ++state.pass;
  return end;
}

}  // namespace ttsrt::rules
