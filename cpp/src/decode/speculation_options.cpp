#include "decode/speculation_options.h"

#include <algorithm>
#include <string>

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt::decode {
namespace {

void check_range(const char* name, std::int32_t value, std::int32_t low, std::int32_t high) {
  TTSRT_CHECK(ConfigError, value >= low && value <= high, "speculation.", name, ": expected ", low,
              " to ", high, ", got ", value);
}

}  // namespace

const char* name_of(DraftSource source) {
  switch (source) {
    case DraftSource::none:
      return "none";
    case DraftSource::lookup:
      return "ngram";
    case DraftSource::model:
      return "draft";
  }
  return "unknown";
}

SpeculationRules compile_speculation(const Speculation& options,
                                     const SpeculationRules& otherwise) {
  SpeculationRules rules = otherwise;
  if (options.mode.has_value()) {
    const std::string& mode = *options.mode;
    bool is_known = false;
    for (const DraftSource source : {DraftSource::none, DraftSource::lookup, DraftSource::model}) {
      if (mode != name_of(source)) continue;
      rules.source = source;
      is_known = true;
    }
    TTSRT_CHECK(ConfigError, is_known,
                "speculation.mode: expected \"none\", \"ngram\" or \"draft\", got ",
                in_quotes(mode));
  }
  if (options.match.has_value()) {
    const std::string& match = *options.match;
    TTSRT_CHECK(ConfigError, match == "first" || match == "last",
                "speculation.match: expected \"first\" or \"last\", got ", in_quotes(match));
    rules.match = match == "first" ? NgramMatch::first : NgramMatch::last;
  }
  rules.num_draft_tokens = options.num_draft_tokens.value_or(rules.num_draft_tokens);
  rules.max_ngram = options.max_ngram.value_or(rules.max_ngram);
  rules.speculate_below = options.speculate_below.value_or(rules.speculate_below);
  rules.min_confidence = options.min_confidence.value_or(rules.min_confidence);
  TTSRT_CHECK(ConfigError, rules.min_confidence >= 0.0F && rules.min_confidence <= 1.0F,
              "speculation.min_confidence: expected 0 to 1, got ", rules.min_confidence);
  check_range("num_draft_tokens", rules.num_draft_tokens, 1, kMaxDrafts);
  check_range("max_ngram", rules.max_ngram, 1, kMaxNgram);
  check_range("speculate_below", rules.speculate_below, 1, kMaxSpeculateBelow);
  return rules;
}

std::int32_t draft_rows(const SpeculationRules& rules, std::int32_t max_batch_size) {
  return std::min(max_batch_size, rules.speculate_below - 1) * rules.num_draft_tokens;
}

}  // namespace ttsrt::decode
