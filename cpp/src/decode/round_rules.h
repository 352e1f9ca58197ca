// What a long text in chunks becomes: the windows of its rounds, and the rules of each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "decode/compile_rules.h"
#include "step/itinerary.h"
#include "ttsrt/request.h"

namespace ttsrt::decode {

// The most ids of the chunks before that a later one reads again. Throws ConfigError.
std::int32_t history_of(const Request& request);

// The windows of a request's chunks. A window has the chunk's ids behind as many of those before
// it, at most `history_of` and no more than the chunk or the window before has. Throws ConfigError
// naming the chunk; `max_rows` are the longest window's. A chunk of which `begins` [chunks] is true
// has none of the ids before it; empty: only the first has none.
std::vector<step::Round> rounds_of(const Request& request, std::int32_t max_rows,
                                   const std::vector<bool>& begins = {});

// How large windows are.
struct WindowLimits {
  std::int32_t history = 0;  // ids of the chunks before, at most
  std::int32_t rows = 0;     // in all, at most
};

// The window of a chunk of so many ids, behind `reached` ids of which the last ones were those of
// the window `before`. Throws ConfigError beginning with `what`.
step::Round round_behind(const step::Round& before, std::int32_t ids, std::int32_t reached,
                         const WindowLimits& limits, const std::string& what);

// Makes the rules of a text those of its first round, if it `goes_on` in a second one. Throws
// ConfigError for a prior that has no rules for later ones, and for what no text in chunks has.
void start_rounds(const Request& request, bool goes_on, CompiledRules& compiled);

// The rules of a later round: those of the one before it, but for what the round decides. `steps`
// were made in earlier rounds, and `focus` is where the last one ended, counted from this window's
// first row.
rules::SlotRules rules_of_round(const rules::SlotRules& before, const step::Round& round,
                                bool is_last, std::int32_t steps, std::int32_t focus);

}  // namespace ttsrt::decode
