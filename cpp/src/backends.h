// Where devices get their names: the one place that knows every backend.
#pragma once

#include <memory>

#include "model/network.h"
#include "ttsrt/engine.h"
#include "ttsrt/options.h"

namespace ttsrt {

// The engine's network on the device the options name. Throws ConfigError for an unknown device or
// limits beyond the engine's, DeviceError where the device is absent.
std::unique_ptr<model::Network> open_network(const Engine& engine, const ExecutorOptions& options);

}  // namespace ttsrt
