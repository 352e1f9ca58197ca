// Which block of pick_places.cu keeps which tiles of the products in its shared memory.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/places.h"

namespace ttsrt::cuda {

struct PlacePlan {
  bool fits = false;
  std::int32_t most_tiles = 0;       // of a block
  std::int32_t weight_bytes = 0;     // of a block at most
  std::vector<std::int32_t> begins;  // [blocks, products + 1]
  std::vector<PlaceTile> tiles;      // [blocks, most_tiles]
};

// Bytes that a tile takes beside its weights.
constexpr std::int32_t kPlaceTileBytes = sizeof(std::uint64_t) + sizeof(PlaceTile);

// Spreads the tiles so that each product has about as many in every block. `block_bytes` are there
// for the tiles of a block.
PlacePlan plan_places(const std::vector<PlaceProduct>& products, std::int32_t blocks,
                      std::int64_t block_bytes);

}  // namespace ttsrt::cuda
