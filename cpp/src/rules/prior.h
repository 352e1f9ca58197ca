// The attention prior decides which text positions the cross-attention of the next step favours,
// and how the focus moves.
//
// There are two kinds of rules: those of NVIDIA NeMo (`get_most_attended_text_timestep`,
// `construct_inference_prior` in magpietts.py; options select the rules of the 2503 generation) and
// those of the TensorRT-LLM fork ("window"). Both multiply the probabilities after the softmax by
// weights and renormalise them. Positions are 0-based; T is the text length.
//
// A text in several rounds (step/itinerary.h) has NeMo's rules (`generate_speech`): the first round
// those of a single text, later ones those of `construct_multi_chunk_prior`, with the numbers of
// LaterRounds. There the focus may lie before the window, where the round before ended early. The
// original then indexes with negative numbers, which in Python count from the end; so do we.
#pragma once

#include <cstdint>

#include "rules/inline.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

// Added to each weight before the multiplication, so that a row of zeros can still be renormalised.
// It is the smallest normal float32.
constexpr float kTinyWeight = 1.17549435e-38F;

TTSRT_RULE std::int32_t smaller(std::int32_t a, std::int32_t b) { return a < b ? a : b; }
TTSRT_RULE std::int32_t larger(std::int32_t a, std::int32_t b) { return a > b ? a : b; }

// Returns the first index of the largest of scores[begin, end), begin < end.
TTSRT_RULE std::int32_t first_largest(const float* scores, std::int32_t begin, std::int32_t end) {
  std::int32_t best = begin;
  for (std::int32_t i = begin + 1; i < end; ++i) {
    if (scores[i] > scores[best]) best = i;
  }
  return best;
}

// Fixed numbers of NeMo 3.0.0 (`ChunkedInferenceConfig`), under its names.
struct LaterRounds {
  static constexpr std::int32_t history_len_heuristic = 20;
  static constexpr std::int32_t finished_limit_with_eot = 5;
  static constexpr std::int32_t finished_limit_without_eot = 1;
  static constexpr std::int32_t forceful_chunk_end_threshold = 3;
  static constexpr std::int32_t short_sentence_threshold = 35;
};

// Python's index from the end, and its bound of a slice.
TTSRT_RULE std::int32_t from_end(std::int32_t index, std::int32_t length) {
  return index < 0 ? index + length : index;
}
TTSRT_RULE std::int32_t slice_bound(std::int32_t index, std::int32_t length) {
  return index < 0 ? larger(index + length, 0) : smaller(index, length);
}

// Returns the weight of a position in the first step of a later round (`prior_weights_init`).
TTSRT_RULE float opening_weight(const PriorRules& rules, std::int32_t position) {
  const std::int32_t place = position - rules.history;
  if (place < 0) return rules.epsilon * rules.epsilon;
  if (place > 4) return rules.epsilon;
  if (place == 0) return 0.5F;
  return place == 1 ? 1.0F : place == 2 ? 0.8F : 0.2F;
}

// Returns the weight of a position in a later step of a later round (`prior_weights`); of several
// that the original assigns to a position, the last.
TTSRT_RULE float later_weight(const PriorRules& rules, const SlotState& state,
                              std::int32_t text_len, std::int32_t position) {
  const float least = rules.epsilon * rules.epsilon;
  if (position <= state.suppressed_upto) return least;
  if (text_len <= LaterRounds::short_sentence_threshold) return 1.0F;
  const std::int32_t focus = state.focus;
  const std::int32_t far = focus + 5;
  if (far < text_len && position >= slice_bound(far, text_len)) return least;
  for (std::int32_t ahead = 4; ahead >= 1; --ahead) {
    const std::int32_t at = focus + ahead;
    if (at < text_len && position == from_end(at, text_len))
      return ahead == 1 ? 0.6F : ahead == 2 ? 0.4F : 0.2F;
  }
  if (position == from_end(focus, text_len)) return 1.0F;
  const std::int32_t before = larger(1, focus - 1);
  if (position == before) return 0.2F;
  return position < before ? least : rules.epsilon;
}

// Returns the weight of text position `position` in the next step. `counts` [T] says how often each
// position was in focus.
TTSRT_RULE float prior_weight(const PriorRules& rules, const SlotState& state,
                              const std::int32_t* counts, std::int32_t text_len,
                              std::int32_t position) {
  if (rules.mode == PriorMode::window) {
    return position >= state.focus - rules.left && position <= state.focus + rules.right
               ? 1.0F
               : rules.epsilon;
  }
  if (state.opens_round) return opening_weight(rules, position);
  if (rules.is_later) return later_weight(rules, state, text_len, position);
  if (position <= state.suppressed_upto) return rules.epsilon;
  if (rules.suppress_after > 0 && !rules.suppress_upto && counts[position] >= rules.suppress_after)
    return rules.epsilon;
  if (text_len <= rules.short_text) return 1.0F;
  // The favoured positions are max(1, focus - i) for i = 1..left, the focus, and
  // min(focus + i, T - 1) for i = 1..right.
  if (position == state.focus) return 1.0F;
  if (position < state.focus) {
    return position >= 1 && position >= state.focus - rules.left ? 1.0F : rules.epsilon;
  }
  const bool is_clamped_left = position == 1 && rules.left > 0 && state.focus < 1;
  return position <= state.focus + rules.right || is_clamped_left ? 1.0F : rules.epsilon;
}

// Updates the marks of text progress, which say whether end of speech is forbidden or due.
TTSRT_RULE void mark_progress(const PriorRules& rules, SlotState& state, std::int32_t text_len) {
  state.is_unfinished = state.focus < text_len - rules.end_margin;
  if (state.finish_count > 0 || state.focus >= text_len - rules.end_margin + 1)
    ++state.finish_count;
  if (state.finish_count > rules.unfinished_grace) state.is_unfinished = false;
}

TTSRT_RULE void update_nemo_prior(const PriorRules& rules, SlotState& state, std::int32_t* counts,
                                  std::int32_t text_len, const float* scores) {
  if (state.step < rules.start_step) return;
  const bool is_sink =
      rules.skip_after > 0 && state.focus < text_len && counts[state.focus] >= rules.skip_after;
  const std::int32_t begin = state.focus + (is_sink ? 1 : 0);
  const std::int32_t end = smaller(begin + rules.lookahead, text_len - rules.end_margin);
  const bool is_empty = end <= begin;
  state.focus = is_empty ? text_len - 1 : first_largest(scores, begin, end);
  if (!is_empty || rules.count_end) {
    const std::int32_t count = ++counts[state.focus];
    if (rules.suppress_after > 0 && rules.suppress_upto && count >= rules.suppress_after) {
      state.suppressed_upto = larger(state.suppressed_upto, state.focus);
    }
  }
  state.has_prior = true;
  mark_progress(rules, state, text_len);
}

// Moves the focus of a later round on. It never goes back, so that one count is enough.
TTSRT_RULE void update_later_prior(const PriorRules& rules, SlotState& state, std::int32_t text_len,
                                   const float* scores) {
  const bool is_sink = rules.skip_after > 0 && state.focus_count >= rules.skip_after;
  const std::int32_t first = state.focus + (is_sink ? 1 : 0);
  const std::int32_t last = smaller(first + rules.lookahead, text_len - rules.end_margin);
  const std::int32_t begin = slice_bound(first, text_len);
  const std::int32_t end = slice_bound(last, text_len);
  const std::int32_t before = state.focus;
  state.focus = end <= begin ? text_len - 1 : first_largest(scores, begin, end) - begin + first;
  state.focus_count = state.focus == before ? state.focus_count + 1 : 1;
  const bool is_stuck = rules.suppress_after > 0 && state.focus_count >= rules.suppress_after;
  if (is_stuck && state.focus > 0) state.suppressed_upto = state.focus;
  state.opens_round = false;
  state.is_unfinished = state.focus < text_len - rules.end_margin;
  if (!state.is_unfinished || state.finish_count > 0) ++state.finish_count;
  if (state.finish_count > rules.unfinished_grace) state.is_unfinished = false;
}

// Applies the fork's rule: a position counted `skip_after` times passes the focus to the next one;
// steps at the last position count towards the end.
TTSRT_RULE void settle_window(const PriorRules& rules, SlotState& state, std::int32_t* counts,
                              std::int32_t text_len, std::int32_t position) {
  const std::int32_t last = larger(1, text_len - rules.right - 1);
  std::int32_t at = smaller(position, last);
  for (;; ++at) {
    state.focus = at;
    if (at < text_len) ++counts[at];
    if (at >= last) {
      ++state.near_end;
      return;
    }
    if (rules.skip_after <= 0 || counts[at] < rules.skip_after) return;
  }
}

TTSRT_RULE void update_window_prior(const PriorRules& rules, SlotState& state, std::int32_t* counts,
                                    std::int32_t text_len, const float* scores) {
  if (!state.has_prior) {
    settle_window(rules, state, counts, text_len, 1);
  } else {
    const std::int32_t begin = smaller(state.focus, text_len - 1);
    const std::int32_t end = smaller(begin + larger(rules.lookahead, 1), text_len);
    settle_window(rules, state, counts, text_len, first_largest(scores, begin, end));
  }
  state.has_prior = true;
}

// Updates focus, counts and marks after a decoder step from its alignment scores [T].
TTSRT_RULE void update_prior(const SlotRules& rules, SlotState& state, std::int32_t* counts,
                             const float* scores) {
  if (rules.prior.mode == PriorMode::nemo && rules.prior.is_later)
    return update_later_prior(rules.prior, state, rules.text_len, scores);
  if (rules.prior.mode == PriorMode::nemo)
    update_nemo_prior(rules.prior, state, counts, rules.text_len, scores);
  if (rules.prior.mode == PriorMode::window)
    update_window_prior(rules.prior, state, counts, rules.text_len, scores);
}

}  // namespace ttsrt::rules
