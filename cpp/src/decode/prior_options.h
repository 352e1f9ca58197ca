// Converts the options of the attention prior to rules.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/slot_rules.h"
#include "ttsrt/options.h"

namespace ttsrt::decode {

// Names of the modes in AttentionPrior::mode.
inline constexpr const char* kNemoMode = "nemo";
inline constexpr const char* kNemo2503Mode = "nemo_2503";
inline constexpr const char* kWindowMode = "window";
// All of them, as messages list them.
inline constexpr const char* kPriorModes = "\"nemo\", \"nemo_2503\" or \"window\"";

bool is_prior_mode(const std::string& mode);

// Fills the absent options: from the checkpoint's prior `own` where the mode is the same, otherwise
// with the values of the mode. `own_mode` is the mode of a prior that names none. Options that the
// mode does not have stay absent; in "nemo", so does a `right` that follows `lookahead`. Throws
// ConfigError that names an option which would have no effect.
AttentionPrior resolve_prior(const AttentionPrior& asked, const std::optional<AttentionPrior>& own,
                             const std::string& own_mode);

// `prior` must be resolved. `text_layers` are the decoder layers that cross-attend to the text.
// Throws ConfigError that names the option.
rules::PriorRules compile_prior(const AttentionPrior& prior,
                                const std::vector<std::int32_t>& text_layers,
                                std::int32_t decoder_layers);

// Returns the given layers, or all text layers if none are given. Layers that do not attend to the
// text are left out, as in the original.
std::uint64_t layer_mask(const char* what, const std::vector<std::int32_t>& layers,
                         const std::vector<std::int32_t>& text_layers, std::int32_t decoder_layers);

}  // namespace ttsrt::decode
