// The options of speculation, as numbers: those of an executor, and of a request on top of them.
#pragma once

#include <cstdint>

#include "decode/ngram_index.h"
#include "ttsrt/options.h"

namespace ttsrt::decode {

constexpr std::int32_t kMaxDrafts = 8;  // of a request in one step
constexpr std::int32_t kMaxNgram = 16;
constexpr std::int32_t kMaxSpeculateBelow = 1 << 20;

enum class DraftSource : std::int32_t { none, lookup, model };

struct SpeculationRules {
  DraftSource source = DraftSource::none;
  std::int32_t num_draft_tokens = 4;
  std::int32_t max_ngram = 3;
  NgramMatch match = NgramMatch::last;
  float min_confidence = 0.4F;       // of a draft model
  std::int32_t speculate_below = 8;  // requests in flight, from which on nothing is drafted

  bool is_on() const { return source != DraftSource::none; }
};

// The option `mode` that means it.
const char* name_of(DraftSource source);

// What is absent stays as in `otherwise`. Throws ConfigError naming the field.
SpeculationRules compile_speculation(const Speculation& options, const SpeculationRules& otherwise);

// Rows beside one for each request that a launch of steps has for drafts, if `max_batch_size`
// requests run at most.
std::int32_t draft_rows(const SpeculationRules& rules, std::int32_t max_batch_size);

}  // namespace ttsrt::decode
