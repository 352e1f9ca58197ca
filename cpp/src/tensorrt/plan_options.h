// What options of plans may be, wherever they are built.
#pragma once

#include "ttsrt/tensorrt.h"

namespace ttsrt::tensorrt {

constexpr std::int32_t kUsualRows = 128;  // opt_num_tokens

// Throws ConfigError.
void check_plan_options(const PlanOptions& options);

}  // namespace ttsrt::tensorrt
