// Packs a checkpoint into an engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ttsrt/export.h"
#include "ttsrt/options.h"

namespace ttsrt {

/// A tensor that a checkpoint holds.
struct TensorDescription {
  std::string component;  ///< the part of the model it belongs to: "decoder", ...
  std::string name;
  std::string role;  ///< table, vector, matrix, convolution, transposed, heads, data or unused
  std::vector<std::int64_t> shape;  ///< -1: a size that the configuration doesn't fix
  std::vector<DType> dtypes;        ///< that it may have
};

/// The manifest of a checkpoint's family: every tensor it must hold, in the order of the file.
/// `config` is the text of a config.json. Throws FormatError.
TTSRT_API std::vector<TensorDescription> describe_manifest(const std::string& config);

/// Called after each packed tensor with (tensors done, total, name of the tensor just done).
using BuildProgress = std::function<void(std::int32_t, std::int32_t, const std::string&)>;

/// Reads `checkpoint_dir` and publishes `output_dir` whole, as FolderWriter does. Throws
/// ConfigError for limits that the model does not support and for an output folder that can't be
/// written, FormatError for an invalid checkpoint, and CapacityError if the disk is full. It packs
/// one tensor at a time, so memory stays near the size of the largest one. Another thread may end
/// it by setting `stop`: it then removes what it wrote within some milliseconds, and throws
/// ClosedError; null: nothing ends it.
/// Voice files of the checkpoint (`voices/`) are copied and not read: `max_input_len` must have
/// room for the longest of them where that is more than the default. Python's `build` sees to it.
TTSRT_API void build(const std::string& checkpoint_dir, const std::string& output_dir,
                     const BuildOptions& options = {}, const BuildProgress& progress = {},
                     const std::atomic<bool>* stop = nullptr);

}  // namespace ttsrt
