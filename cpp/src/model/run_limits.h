// What executors and memory plans are asked for, resolved against the limits of their engine.
#pragma once

#include <string>

#include "model/engine_data.h"
#include "model/limits.h"
#include "ops/backend.h"
#include "ttsrt/memory.h"
#include "ttsrt/options.h"
#include "ttsrt/tensor.h"

namespace ttsrt::model {

// Throws ConfigError for what the engine was not built for.
Limits executor_limits(const EngineData& data, const ExecutorOptions& options);

// Throws ConfigError for what no engine of this checkpoint could be built for.
Limits planned_limits(const EngineData& data, const MemoryOptions& options);

// The type of a cache by its name, or by nothing the engine's. Throws ConfigError.
DType cache_dtype_of(const std::string& name, DType engine);

// Throws ConfigError for a device of TensorRT where slots keep schedules, as its plugins know none.
void check_device(const ops::StateSpec& state, const std::string& device);

}  // namespace ttsrt::model
