// Where devices get their names: the one place that knows every backend.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/itineraries.h"
#include "model/network.h"
#include "model/speculation.h"
#include "ops/backend.h"
#include "ops/machine.h"
#include "ttsrt/engine.h"
#include "ttsrt/options.h"

namespace ttsrt {

// The backend of a device; `num_threads` and `pin_threads` as in ExecutorOptions. Throws as
// open_network does.
std::unique_ptr<ops::Backend> open_backend(const std::string& device, std::int32_t num_threads,
                                           bool pin_threads = false);

// The device itself, for measuring its peaks. Throws as open_backend does, and ConfigError for a
// device whose speed says nothing.
std::unique_ptr<ops::Machine> open_machine(const std::string& device, std::int32_t num_threads);

// An engine's model on a device or several, and how requests to it become itineraries.
struct OpenedModel {
  std::vector<std::unique_ptr<model::Network>> networks;  // one of each device
  std::unique_ptr<model::Itineraries> itineraries;
  model::StoredVoices voices;
  model::SpeculationSupport speculation;
  model::Drafter drafter;
  std::uint64_t draft_weight_bytes = 0;  // of the drafter's engine
};

// The engine on the devices the options name. Throws ConfigError for an unknown device or limits
// beyond the engine's, DeviceError where the device is absent.
OpenedModel open_model(const Engine& engine, const ExecutorOptions& options);

}  // namespace ttsrt
