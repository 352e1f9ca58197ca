// Codes that a request gives in place of drawn ones.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "decode/rule_facts.h"
#include "ttsrt/request.h"

namespace ttsrt::decode {

// Returns the codes as stacks [steps, C*S], or null if the request has none. Throws ConfigError
// that names the field.
std::shared_ptr<const std::vector<std::int32_t>> compile_forced_codes(const Request& request,
                                                                      const RuleFacts& facts);

}  // namespace ttsrt::decode
