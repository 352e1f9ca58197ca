// A request's options become the record that backends read: everything checked, every default
// filled in.
#pragma once

#include <cstdint>

#include "rules/slot_rules.h"
#include "decode/rule_facts.h"
#include "ttsrt/request.h"

namespace ttsrt::decode {

// Host-side outcome of compiling a request's options.
struct CompiledRules {
  rules::SlotRules slot;
  bool is_guided = false;         // a second, unconditional branch runs
  bool recomputes_prior = false;  // AttentionPrior::recompute
  std::int32_t max_steps = 0;     // decoder steps
};

// `text_len`, `context_len` (rows of a context memory, else 0): already checked. Throws ConfigError
// naming the option.
CompiledRules compile_rules(const Request& request, const RuleFacts& facts,
                            std::int32_t text_len, std::int32_t context_len);

}  // namespace ttsrt::decode
