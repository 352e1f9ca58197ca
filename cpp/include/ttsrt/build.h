// Packs a checkpoint into an engine.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ttsrt/options.h"

namespace ttsrt {

/// Called as tensors are packed: (done, of, name of the one just done).
using BuildProgress = std::function<void(std::int32_t, std::int32_t, const std::string&)>;

/// Reads `checkpoint_dir`, writes `output_dir` atomically. Throws ConfigError for limits the model
/// can't meet, FormatError for a checkpoint that isn't one. One tensor at a time: memory stays near
/// the size of the largest.
void build(const std::string& checkpoint_dir, const std::string& output_dir,
           const BuildOptions& options = {}, const BuildProgress& progress = {});

}  // namespace ttsrt
