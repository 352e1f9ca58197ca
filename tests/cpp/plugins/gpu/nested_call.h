// A local transformer as the call of its plugin, but for the tensors of a launch.
#pragma once

#include "bound_plugin.h"
#include "cuda/device_weights.h"
#include "ops/program.h"

namespace ttsrt::plugins::test {

// Throws ConfigError where products and tables have different types.
PluginCall local_transformer_call(const ops::PickCodes& op, cuda::DeviceWeights& weights);

}  // namespace ttsrt::plugins::test
