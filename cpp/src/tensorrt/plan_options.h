// What options of plans may be, wherever they are built.
#pragma once

#include "ttsrt/tensorrt.h"

namespace ttsrt::tensorrt {

// Defaults of opt_num_tokens: of encoders and prefill, and of evaluations of a flow.
constexpr std::int32_t kUsualRows = 128;
constexpr std::int32_t kUsualItemRows = 2048;

// Throws ConfigError.
void check_plan_options(const PlanOptions& options);

}  // namespace ttsrt::tensorrt
