// Converts the options that only language models have: to the rules of the slot as far as these
// have room for them, and to token rules, which need a device in the memory of the host.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "decode/rule_facts.h"
#include "rules/slot_rules.h"
#include "step/token_rules.h"
#include "ttsrt/request.h"

namespace ttsrt::decode {

// Changes `slot`, which compile_rules made of the same request, and returns the token rules that
// the request needs besides, or null. `prompt` are its ids, below facts.vocab. The order of the
// processors is that of transformers: masks of padding ids, repetition penalty, presence and
// frequency penalties, biases, bans, temperature, top-k, top-p, min-p. Throws ConfigError that
// names the option.
std::shared_ptr<const step::TokenRules> compile_tokens(const Request& request,
                                                       const RuleFacts& facts,
                                                       const std::vector<std::int32_t>& prompt,
                                                       rules::SlotRules& slot);

}  // namespace ttsrt::decode
