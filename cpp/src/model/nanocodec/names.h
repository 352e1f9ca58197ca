// Names of a codec's tensors that both of its halves have, and the tensors behind them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/check.h"
#include "model/manifest.h"

namespace ttsrt::model::nanocodec {

inline std::string stage_name(const char* half, std::int32_t stage) {
  return message(half, ".stages.", stage, ".");
}

inline std::string block_name(const std::string& stage, std::size_t chain, std::size_t block) {
  return message(stage, "chains.", chain, ".blocks.", block, ".");
}

// Convolutions of a codec are never quantized: their errors would be heard.
inline void declare_convolution(Manifest& manifest, const std::string& name, std::int64_t outputs,
                                std::int64_t inputs, std::int64_t kernel) {
  manifest.add(Role::convolution, name, {outputs, inputs, kernel}, Precision::floats);
  manifest.add(Role::vector, name + "_bias", {outputs});
}

}  // namespace ttsrt::model::nanocodec
