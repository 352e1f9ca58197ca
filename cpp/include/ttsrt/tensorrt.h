// Builds the plans of TensorRT with which an engine runs on device "tensorrt:0".
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "ttsrt/build.h"
#include "ttsrt/export.h"

namespace ttsrt {

struct PlanOptions {
  std::int32_t device = 0;       ///< the GPU that runs the plans: its index
  std::int32_t tensorrt = 0;     ///< major version: 8, 10 or 11; 0: the newest that is installed
  std::int32_t builder_opt = 3;  ///< TensorRT's optimization level, 0 to 5
  /// Rows for which kernels of launches that aren't steps are chosen; 0: 128, or 2048 where a
  /// flow is evaluated.
  std::int32_t opt_num_tokens = 0;
  /// The layer of TensorRT that products are: "matrix" or "convolution", of one row and column.
  std::string products = "matrix";
  std::int32_t workspace_mib = 0;  ///< memory that a kernel may ask for; 0: no limit
  /// Plans that give what a trace keeps, too. They take as much memory of the disk again.
  bool enable_debug_output = false;
  std::string input_timing_cache;   ///< a file with times of kernels; empty: none
  std::string output_timing_cache;  ///< where the times are written, old and new; empty: nowhere
  bool overwrite = false;           ///< replace plans that are there
};

/// Builds plans for an engine of float32 or float16, for the limits that it was built for, and
/// publishes them as its folder `tensorrt`. They run with this version of TensorRT on this kind of
/// GPU only. `progress` is called after each plan. Another thread may end the work between two
/// plans by setting `stop`.
///
/// Throws ConfigError for bfloat16, quantized weights, a model that no network stands for, options,
/// and plans that are there; NotFoundError, which says what to install, where TensorRT or our
/// libraries for it are missing; DeviceError without a GPU, or with what TensorRT says.
TTSRT_API void build_plans(const std::string& engine_dir, const PlanOptions& options = {},
                           const BuildProgress& progress = {},
                           const std::atomic<bool>* stop = nullptr);

}  // namespace ttsrt
