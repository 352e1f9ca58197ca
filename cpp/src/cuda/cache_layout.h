// How keys and values of one layer lie in blocks.
#pragma once

#include <cstdint>

#include "cuda/views.h"

namespace ttsrt::cuda {

// The sizes of a cache of this type; it has no data yet.
inline CacheView cache_layout(Element element, std::int32_t heads, std::int32_t head_dim) {
  CacheView view;
  view.element = element;
  view.heads = heads;
  view.head_dim = head_dim;
  const bool has_scales = element == Element::int8;
  const std::int64_t bytes = has_scales ? 1 : element == Element::float32 ? 4 : 2;
  view.part_bytes = kCacheBlock * (padded_dims(head_dim) * bytes + (has_scales ? 4 : 0));
  view.block_bytes = view.part_bytes * heads * 2;
  return view;
}

}  // namespace ttsrt::cuda
