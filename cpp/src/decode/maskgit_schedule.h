// Computes how many codes are fixed at the start of each MaskGit pass (NeMo's `sample_maskgit`).
#pragma once

#include <cstdint>

#include "rules/slot_rules.h"
#include "ttsrt/options.h"

namespace ttsrt::decode {

// `codes` is C*S. Throws ConfigError that names the option.
rules::MaskGitRules compile_maskgit(const MaskGit& options, std::int32_t codes);

}  // namespace ttsrt::decode
