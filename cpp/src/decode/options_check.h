// Checks of single options, with messages that say what, expected and got.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/check.h"

namespace ttsrt::decode {

constexpr std::int32_t kMaxFrames = 1 << 20;
constexpr float kMinBlockShift = 1e-3F;
constexpr float kMaxBlockOption = 1000.0F;

inline float checked_float(const char* what, float value, float minimum, float maximum) {
  TTSRT_CHECK(ConfigError, std::isfinite(value) && value >= minimum && value <= maximum, what,
              ": expected a number in [", minimum, ", ", maximum, "], got ", value);
  return value;
}

inline std::int32_t checked_int(const char* what, std::int32_t value, std::int32_t minimum,
                                std::int32_t maximum) {
  TTSRT_CHECK(ConfigError, value >= minimum && value <= maximum, what, ": expected an integer in [",
              minimum, ", ", maximum, "], got ", value);
  return value;
}

}  // namespace ttsrt::decode
