// The alignment analyzer watches where in the text a step attends, forbids an end of speech that
// comes before the end of the text, and forces one that is overdue. It follows the alignment stream
// analyzer of chatterbox-tts 0.1.3 to 0.1.7.
//
// The original keeps a matrix A with a row of scores [S] for every step, S being the length of the
// text, in which columns behind the number of the step are zeros. What it reads of A after the text
// was complete are sums over the rows since then, so this rule keeps the sums (AnalyzerState) and
// reads the newest row only.
//
// The original's first step appends two rows, one of each start row, and this one only that of the
// second. The first can't matter: the position comes from the newest row, and the sums begin
// behind the rows that A has when the text is complete, which are both of them at least. (A flag
// `started` reads all rows, and nothing reads the flag.)
//
// For a text of at most 5 tokens, the original fails where it looks for repetitions; here it has
// none, and no end is forbidden.
#pragma once

#include <cstdint>

#include "rules/inline.h"
#include "rules/prior.h"
#include "rules/sampling.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

constexpr std::int32_t kEndColumns = 3;    // of the text's end, where the text counts as complete
constexpr std::int32_t kCloseColumns = 5;  // near the end; attention before them is repetition
constexpr std::int32_t kMostBack = 3;      // how far the position may jump in one step
constexpr std::int32_t kMostAhead = 6;
constexpr float kMostTail = 5.0F;      // sum of one of the last columns that is too long a tail
constexpr float kMostRepeated = 5.0F;  // the largest sum that is no repetition
constexpr float kForcedLogit = 32768.0F;

// Whether the attention of a draw's rows adds to its row of scores, and something reads that.
TTSRT_RULE bool reads_scores(const SlotRules& rules) {
  return rules.keep_scores || rules.analyzer.acts || rules.prior.mode != PriorMode::off;
}

// Returns how many scores of the step that runs count: columns behind the number of the step don't.
TTSRT_RULE std::int32_t visible_scores(const SlotRules& rules, const SlotState& state) {
  return smaller(state.step + 1, rules.text_len);
}

// Returns how many of the visible scores belong to earlier text.
TTSRT_RULE std::int32_t earlier_scores(const SlotRules& rules, const SlotState& state) {
  return smaller(visible_scores(rules, state), rules.text_len - kCloseColumns);
}

// Returns the largest score of earlier text, at least 0.
TTSRT_RULE float largest_earlier(const SlotRules& rules, const SlotState& state,
                                 const float* scores) {
  const std::int32_t earlier = earlier_scores(rules, state);
  float largest = 0.0F;
  for (std::int32_t i = 0; i < earlier; ++i) largest = scores[i] > largest ? scores[i] : largest;
  return largest;
}

// Adds a row of scores, of which the first `visible` count, to the sums since the end of the text.
TTSRT_RULE void add_late_row(AnalyzerState& state, const float* scores, std::int32_t visible,
                             std::int32_t text_len, float repeated) {
  state.repeated += repeated;
  const std::int32_t first = larger(text_len - kEndColumns, 0);
  for (std::int32_t i = first; i < visible; ++i) state.tail[i - first] += scores[i];
}

TTSRT_RULE bool is_overdue(const SlotState& state) {
  const AnalyzerState& analyzer = state.analyzer;
  bool lingers = false;
  for (std::int32_t i = 0; i < kEndColumns; ++i) lingers |= analyzer.tail[i] >= kMostTail;
  return lingers || analyzer.repeated > kMostRepeated || state.equal_stacks >= 2;
}

// Goes on from the scores [text_len] of the step that runs, of which `current` is the first largest
// of the visible ones and `repeated` the largest of earlier text; this only counts once the text is
// complete. Says what follows for the step's logits.
TTSRT_RULE void follow_scores(const SlotRules& rules, SlotState& state, const float* scores,
                              std::int32_t current, float repeated) {
  AnalyzerState& analyzer = state.analyzer;
  const std::int32_t text_len = rules.text_len;
  const std::int32_t moved = current - analyzer.position;
  if (moved >= -kMostBack && moved <= kMostAhead) analyzer.position = current;
  if (analyzer.is_complete)
    add_late_row(analyzer, scores, visible_scores(rules, state), text_len, repeated);
  const std::int32_t end = text_len - kEndColumns;
  analyzer.is_complete = analyzer.is_complete || analyzer.position >= end;
  analyzer.verdict = Verdict::none;
  if (current < end && text_len > kCloseColumns) analyzer.verdict = Verdict::forbid_end;
  if (is_overdue(state)) analyzer.verdict = Verdict::force_end;
}

// Takes the scores [text_len] of the step that runs, and says what follows for its logits.
TTSRT_RULE void update_analyzer(const SlotRules& rules, SlotState& state, const float* scores) {
  if (!rules.analyzer.acts) return;
  const std::int32_t current = first_largest(scores, 0, visible_scores(rules, state));
  const float repeated = state.analyzer.is_complete ? largest_earlier(rules, state, scores) : 0.0F;
  follow_scores(rules, state, scores, current, repeated);
}

// Changes the guided logits [vocab] of the step, before masks and processors. A minimum of frames
// that forbids the end takes precedence.
TTSRT_RULE void apply_verdict(const SlotRules& rules, const SlotState& state, float* logits,
                              std::int32_t vocab) {
  const Verdict verdict = state.analyzer.verdict;
  if (verdict == Verdict::forbid_end) logits[rules.eos_id] = -kForcedLogit;
  if (verdict != Verdict::force_end) return;
  if (rules.minimum_id < 0 && is_below_minimum(rules, state)) return;
  for (std::int32_t i = 0; i < vocab; ++i) logits[i] = -kForcedLogit;
  logits[rules.eos_id] = kForcedLogit;
}

}  // namespace ttsrt::rules
