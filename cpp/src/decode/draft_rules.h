// The rules by which a draft model guesses what a request's own model will draw.
#pragma once

#include <cstdint>
#include <memory>

#include "rules/slot_rules.h"
#include "step/token_rules.h"

namespace ttsrt::decode {

struct DraftRules {
  rules::SlotRules slot;
  std::shared_ptr<const step::TokenRules> tokens;  // null: none
};

// The request's own rules, random numbers included, as far as a table of `vocab` ids has theirs;
// so two equal models draw the same. `tells_likeliest`: also the probability of the likeliest id.
DraftRules draft_rules(const rules::SlotRules& slot, const step::TokenRules* tokens,
                       std::int32_t vocab, bool tells_likeliest);

}  // namespace ttsrt::decode
