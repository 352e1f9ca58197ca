// How the end of speech is recognised, by name.
#pragma once

#include <string>

#include "rules/slot_rules.h"

namespace ttsrt::decode {

struct EosMethod {
  rules::EosStreams streams;
  rules::EosCodebooks codebooks;
};

// NeMo's six names ("argmax_any", "argmax_or_multinomial_any", "..._all", "..._zero_cb"), and ours
// for the sampled stack alone
// ("multinomial_any", ...), which is what the 2503 code does with a local transformer. Throws
// ConfigError naming the known ones.
EosMethod parse_eos_method(const std::string& name);

}  // namespace ttsrt::decode
