// Packs a checkpoint into an engine.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ttsrt/options.h"

namespace ttsrt {

/// Called after each packed tensor with (tensors done, total, name of the tensor just done).
using BuildProgress = std::function<void(std::int32_t, std::int32_t, const std::string&)>;

/// Reads `checkpoint_dir` and writes `output_dir` atomically. Throws ConfigError for limits that
/// the model does not support, and FormatError for an invalid checkpoint. It packs one tensor at a
/// time, so memory stays near the size of the largest one.
void build(const std::string& checkpoint_dir, const std::string& output_dir,
           const BuildOptions& options = {}, const BuildProgress& progress = {});

}  // namespace ttsrt
