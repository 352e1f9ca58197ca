// Builds the plans of an engine's Programs on the current GPU, and publishes them beside it.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "ops/backend.h"
#include "tensorrt/driver.h"
#include "ttsrt/tensorrt.h"

namespace ttsrt::tensorrt {

// The Programs of an engine, as an executor of its own limits would run them.
struct PlannedPrograms {
  std::string engine_dir;
  std::string weights;  // hash of the engine's
  ops::StateSpec state;
  std::vector<ops::SizedProgram> programs;  // with and without taps (ProgramLimits::trace)
  std::int32_t max_batch_size = 0;
  std::int32_t max_num_tokens = 0;
};

// Numbers of rows that a Program's kernels are chosen for: steps of few rows apart from those of
// many, and the usual launch of everything else. `usual_rows` 0: kUsualRows, or kUsualItemRows of
// whole items.
std::vector<RowRange> row_ranges(const ops::ProgramLimits& limits, std::int32_t usual_rows,
                                 bool has_many_rows = false);

// Throws ConfigError for types that TensorRT does not take here and where no Program can be
// networks, before a driver is opened; else as open_driver, FolderWriter, and DeviceError with what
// TensorRT says.
void build_plans(const PlannedPrograms& of, const PlanOptions& options,
                 const BuildProgress& progress, const std::atomic<bool>* stop);

}  // namespace ttsrt::tensorrt
