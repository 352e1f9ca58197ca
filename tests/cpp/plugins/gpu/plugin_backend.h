// A backend of plugins, so that the suites which compare backends with the reference run over them.
// Flights are run as they are submitted, one at a time.
#pragma once

#include <memory>

#include "ops/backend.h"
#include "plugin_program.h"

namespace ttsrt::plugins::test {

// Throws DeviceError, with the reason, where cuda:0 can't be used.
std::unique_ptr<ops::Backend> make_plugin_backend(const PluginSetup& setup);

}  // namespace ttsrt::plugins::test
