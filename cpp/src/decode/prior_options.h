// The attention prior's options as rules.
#pragma once

#include <cstdint>
#include <vector>

#include "rules/slot_rules.h"
#include "ttsrt/options.h"

namespace ttsrt::decode {

// `text_layers`: decoder layers that cross-attend to the text. Throws ConfigError naming the knob.
rules::PriorRules compile_prior(const AttentionPrior& prior,
                                const std::vector<std::int32_t>& text_layers,
                                std::int32_t decoder_layers);

// The layers named, or all text layers where none are; layers that don't see the text fall out, as
// in the original.
std::uint64_t layer_mask(const char* what, const std::vector<std::int32_t>& layers,
                         const std::vector<std::int32_t>& text_layers, std::int32_t decoder_layers);

}  // namespace ttsrt::decode
