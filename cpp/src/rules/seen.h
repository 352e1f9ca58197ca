// Sets of the ids to which a repetition penalty applies: one bit per id, and a set for each place
// of a stack.
#pragma once

#include <cstdint>

#include "rules/inline.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

// Returns the words of a set over `vocab` ids.
TTSRT_RULE std::int32_t seen_words(std::int32_t vocab) { return (vocab + 31) / 32; }

TTSRT_RULE bool is_seen(const std::uint32_t* seen, std::int32_t id) {
  return ((seen[id / 32] >> (id % 32)) & 1U) != 0;
}

TTSRT_RULE void mark_seen(std::uint32_t* seen, std::int32_t id) {
  seen[id / 32] |= 1U << (id % 32);
}

TTSRT_RULE bool counts_seen(const SamplerRules& sampler) {
  return sampler.repetition_penalty != 1.0F;
}

// Initializes a set at reset, with only its first members.
TTSRT_RULE void start_seen(const SamplerRules& sampler, std::uint32_t* seen, std::int32_t vocab) {
  for (std::int32_t i = 0; i < seen_words(vocab); ++i) seen[i] = 0;
  for (std::int32_t i = 0; i < sampler.num_seen_first; ++i) mark_seen(seen, sampler.seen_first[i]);
}

// Adds `code`, which step `step` drew.
TTSRT_RULE void add_seen(const SamplerRules& sampler, std::int32_t step, std::int32_t code,
                         std::uint32_t* seen, std::int32_t vocab) {
  if (step == 0 && sampler.forgets_first) {
    for (std::int32_t i = 0; i < seen_words(vocab); ++i) seen[i] = 0;
  }
  mark_seen(seen, code);
}

}  // namespace ttsrt::rules
