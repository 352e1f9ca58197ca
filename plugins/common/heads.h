// What the attributes of heads must be, for every plugin that attends.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/bound.h"
#include "cuda/views.h"

namespace ttsrt::plugins {

inline void check_heads(const char* plugin, std::int32_t heads, std::int32_t kv_heads,
                        std::int32_t head_dim) {
  check_is_count(plugin, "heads", 1, heads);
  check_is_one_of(plugin, "kv_heads", 1, heads, kv_heads);
  TTSRT_CHECK(ConfigError, heads % kv_heads == 0, plugin, ": kv_heads: expected a divisor of the ",
              heads, " heads, got ", kv_heads);
  check_is_one_of(plugin, "head_dim", 1, cuda::kMaxHeadDim, head_dim);
}

inline void check_rope(const char* plugin, std::int32_t width, std::int32_t head_dim) {
  check_is_one_of(plugin, "rope_width", 2, head_dim, width);
  TTSRT_CHECK(ConfigError, width % 2 == 0, plugin,
              ": rope_width: expected pairs of dimensions, got ", width);
}

// A scale of 0 stands for the usual one.
inline float score_scale(float scale, std::int32_t head_dim) {
  return scale > 0.0F ? scale : 1.0F / std::sqrt(static_cast<float>(head_dim));
}

}  // namespace ttsrt::plugins
