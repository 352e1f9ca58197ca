// The current GPU, as plans name it.
#pragma once

#include <cstdint>
#include <string>

namespace ttsrt::tensorrt {

struct Gpu {
  std::string name;
  std::int32_t capability = 0;  // 90 for 9.0
};

Gpu current_gpu();

}  // namespace ttsrt::tensorrt
