// Converts the options of the attention prior to rules.
#pragma once

#include <cstdint>
#include <vector>

#include "rules/slot_rules.h"
#include "ttsrt/options.h"

namespace ttsrt::decode {

// `text_layers` are the decoder layers that cross-attend to the text. Throws ConfigError that names
// the option.
rules::PriorRules compile_prior(const AttentionPrior& prior,
                                const std::vector<std::int32_t>& text_layers,
                                std::int32_t decoder_layers);

// Returns the given layers, or all text layers if none are given. Layers that do not attend to the
// text are left out, as in the original.
std::uint64_t layer_mask(const char* what, const std::vector<std::int32_t>& layers,
                         const std::vector<std::int32_t>& text_layers, std::int32_t decoder_layers);

}  // namespace ttsrt::decode
