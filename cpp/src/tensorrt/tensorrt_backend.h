// Device "tensorrt:0": the CUDA backend, whose Programs run as plans of TensorRT. Where no CUDA is
// built in, absent.cpp stands here.
#pragma once

#include <cstdint>
#include <memory>

#include "model/engine_data.h"
#include "ops/backend.h"

namespace ttsrt {

// The backend that runs an engine on the GPU `index`. Throws DeviceError without that GPU;
// NotFoundError without plans or libraries, which says what to build or to install; ConfigError for
// plans of another GPU, TensorRT or engine.
std::unique_ptr<ops::Backend> make_tensorrt_backend(std::int32_t index, const EngineData& engine);

}  // namespace ttsrt
