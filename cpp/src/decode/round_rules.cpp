#include "decode/round_rules.h"

#include <algorithm>

#include "core/check.h"
#include "decode/options_check.h"
#include "rules/prior.h"

namespace ttsrt::decode {

using rules::LaterRounds;

namespace {

constexpr std::int32_t kMaxHistory = 4096;

}  // namespace

std::int32_t history_of(const Request& request) {
  if (!request.text_history.has_value()) return LaterRounds::history_len_heuristic;
  return checked_int("text_history", *request.text_history, 1, kMaxHistory);
}

step::Round round_behind(const step::Round& before, std::int32_t ids, std::int32_t reached,
                         const WindowLimits& limits, const std::string& what) {
  TTSRT_CHECK(ConfigError, ids >= 1, what, ": expected at least 1 id, got ", ids);
  step::Round round;
  round.history = std::min({ids, limits.history, before.rows});
  TTSRT_CHECK(ConfigError, ids <= limits.rows - round.history, what, ": expected at most ",
              limits.rows - round.history, " ids, as max_encoder_input_len is ", limits.rows,
              round.history > 0 ? message(" and ", round.history, " of the chunk before stay")
                                : std::string(),
              ", got ", ids, "; of a text, split=\"phrases\" makes shorter chunks");
  round.rows = round.history + ids;
  round.first = reached - round.history;
  return round;
}

std::vector<step::Round> rounds_of(const Request& request, std::int32_t max_rows,
                                   const std::vector<bool>& begins) {
  std::vector<step::Round> rounds;
  const WindowLimits limits = {history_of(request), max_rows};
  std::int64_t reached = 0;
  for (std::size_t i = 0; i < request.text_chunks.size(); ++i) {
    const std::int32_t ids = request.text_chunks[i];
    const bool is_behind = !rounds.empty() && (begins.empty() || !begins[i]);
    if (is_behind) rounds.back().goes_on = true;
    rounds.push_back(round_behind(is_behind ? rounds.back() : step::Round(), ids,
                                  static_cast<std::int32_t>(reached), limits,
                                  message("text_chunks[", i, "]")));
    reached += ids;
    TTSRT_CHECK(ConfigError, reached <= static_cast<std::int64_t>(request.text_ids.size()),
                "text_chunks: expected ", request.text_ids.size(), " ids in all, as text_ids has, ",
                "got more from text_chunks[", i, "] on");
  }
  TTSRT_CHECK(ConfigError, reached == static_cast<std::int64_t>(request.text_ids.size()),
              "text_chunks: expected ", request.text_ids.size(), " ids in all, as text_ids has, ",
              "got ", reached);
  return rounds;
}

void start_rounds(const Request& request, bool goes_on, CompiledRules& compiled) {
  rules::PriorRules& prior = compiled.slot.prior;
  TTSRT_CHECK(ConfigError, request.forced_codes.values.empty(),
              "forced_codes: expected none with text_chunks, as nothing says where in them a chunk "
              "ends");
  if (!goes_on || prior.mode == rules::PriorMode::off) return;
  TTSRT_CHECK(ConfigError, prior.mode == rules::PriorMode::nemo && prior.suppress_upto,
              "prior: expected mode \"nemo\" with suppress \"upto\", or none, with text_chunks, as "
              "no other has rules for later chunks");
  const bool asks_late = request.prior.has_value() && request.prior->start_step.value_or(0) > 0;
  TTSRT_CHECK(ConfigError, !asks_late,
              "prior.start_step: expected 0 with text_chunks, as the prior of chunks begins with "
              "the first step, got ",
              request.prior->start_step.value_or(0));
  prior.start_step = 0;
  prior.round_end_after = LaterRounds::forceful_chunk_end_threshold;
}

rules::SlotRules rules_of_round(const rules::SlotRules& before, const step::Round& round,
                                bool is_last, std::int32_t steps, std::int32_t focus) {
  rules::SlotRules rules = before;
  rules.text_len = round.rows;
  rules.first_step = steps;
  if (rules.prior.mode == rules::PriorMode::off) return rules;
  rules::PriorRules& prior = rules.prior;
  prior.is_later = true;
  prior.start_focus = focus;
  prior.history = round.history;
  prior.force_after = LaterRounds::finished_limit_with_eot;
  prior.unfinished_grace =
      is_last ? LaterRounds::finished_limit_with_eot : LaterRounds::finished_limit_without_eot;
  prior.round_end_after = is_last ? 0 : LaterRounds::forceful_chunk_end_threshold;
  return rules;
}

}  // namespace ttsrt::decode
