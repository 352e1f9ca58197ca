// The methods that detect the end of speech, by name.
#pragma once

#include <string>

#include "rules/slot_rules.h"

namespace ttsrt::decode {

struct EosMethod {
  rules::EosStreams streams;
  rules::EosCodebooks codebooks;
};

// Accepts NeMo's six names ("argmax_any", "argmax_or_multinomial_any", "..._all", "..._zero_cb"),
// and three of ours for the sampled stack alone ("multinomial_any", ...), which the 2503 code uses
// with a local transformer. Throws ConfigError that lists the known names.
EosMethod parse_eos_method(const std::string& name);

}  // namespace ttsrt::decode
