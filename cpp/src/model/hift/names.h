// Names and taps of a HiFT's tensors, for those who declare them and who read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/check.h"

namespace ttsrt::model::hift {

constexpr std::int32_t kOuterTaps = 7;  // of the first and the last convolution
constexpr std::int32_t kPitchTaps = 3;
constexpr const char* kPitchOutput = "f0.output";
constexpr const char* kSource = "source";

inline std::string pitch_layer(std::int32_t layer) { return message("f0.layers.", layer); }
inline std::string stage_name(std::int32_t stage) { return message("stages.", stage, "."); }
inline std::string chain_name(std::int32_t stage, std::int32_t chain) {
  return message("stages.", stage, ".chains.", chain, ".");
}
inline std::string block_name(const std::string& chain, std::size_t block) {
  return message(chain, "blocks.", block, ".");
}

// Of the convolution that makes a stage's rows of so many frames of the source's spectrum each.
inline std::int32_t source_taps(std::int32_t stride) { return stride > 1 ? 2 * stride : 1; }

}  // namespace ttsrt::model::hift
