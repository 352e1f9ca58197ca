// Where devices get their names: the one place that knows every backend.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "model/network.h"
#include "ops/backend.h"
#include "ttsrt/engine.h"
#include "ttsrt/options.h"

namespace ttsrt {

// The backend of a device; `num_threads` and `pin_threads` as in ExecutorOptions. Throws as
// open_network does.
std::unique_ptr<ops::Backend> open_backend(const std::string& device, std::int32_t num_threads,
                                           bool pin_threads = false);

// The engine's network on the device the options name. Throws ConfigError for an unknown device or
// limits beyond the engine's, DeviceError where the device is absent.
std::unique_ptr<model::Network> open_network(const Engine& engine, const ExecutorOptions& options);

}  // namespace ttsrt
