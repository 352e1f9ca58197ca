// Converts the options of a request to the record that backends read, with all checks made and all
// defaults filled in.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "decode/rule_facts.h"
#include "rules/slot_rules.h"
#include "ttsrt/request.h"

namespace ttsrt::decode {

// The result of compiling a request's options, on the host.
struct CompiledRules {
  rules::SlotRules slot;
  bool is_guided = false;         // a second, unconditional branch runs
  bool recomputes_prior = false;  // AttentionPrior::recompute
  std::int32_t max_steps = 0;     // decoder steps
  std::shared_ptr<const std::vector<std::int32_t>> forced_codes;  // [max_steps, C*S], or null
};

// `text_len` and `context_len` (rows of a context memory, else 0) must already be checked. Throws
// ConfigError that names the option.
CompiledRules compile_rules(const Request& request, const RuleFacts& facts, std::int32_t text_len,
                            std::int32_t context_len);

}  // namespace ttsrt::decode
