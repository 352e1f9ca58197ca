#include "cuda/place_plan.h"

#include <algorithm>
#include <numeric>

namespace ttsrt::cuda {
namespace {

std::int32_t bytes_of(const PlaceProduct& product) { return product.units * kFragmentBytes; }

struct Block {
  std::int64_t free_bytes = 0;
  std::vector<std::vector<std::int32_t>> tiles;  // [products]
};

// Returns the block for the next tile of a product: one of those with the fewest of its tiles, and
// of these the emptiest. Null if none has room.
Block* block_for(std::vector<Block>& blocks, std::size_t product, std::int64_t bytes) {
  Block* best = nullptr;
  for (Block& block : blocks) {
    if (block.free_bytes < bytes) continue;
    const auto count = [product](const Block& of) { return of.tiles[product].size(); };
    const bool is_better = best == nullptr || count(block) < count(*best) ||
                           (count(block) == count(*best) && block.free_bytes > best->free_bytes);
    if (is_better) best = &block;
  }
  return best;
}

void write(const std::vector<PlaceProduct>& products, const std::vector<Block>& blocks,
           PlacePlan& plan) {
  for (const Block& block : blocks) {
    std::int32_t count = 0;
    for (const auto& tiles : block.tiles) count += static_cast<std::int32_t>(tiles.size());
    plan.most_tiles = std::max(plan.most_tiles, count);
  }
  for (const Block& block : blocks) {
    std::int32_t offset = 0;
    const std::size_t first = plan.tiles.size();
    for (std::size_t p = 0; p < products.size(); ++p) {
      plan.begins.push_back(static_cast<std::int32_t>(plan.tiles.size() - first));
      for (const std::int32_t tile : block.tiles[p]) {
        plan.tiles.push_back({tile, offset});
        offset += bytes_of(products[p]);
      }
    }
    plan.begins.push_back(static_cast<std::int32_t>(plan.tiles.size() - first));
    plan.weight_bytes = std::max(plan.weight_bytes, offset);
    plan.tiles.resize(first + static_cast<std::size_t>(plan.most_tiles));
  }
}

}  // namespace

PlacePlan plan_places(const std::vector<PlaceProduct>& products, std::int32_t blocks,
                      std::int64_t block_bytes) {
  PlacePlan plan;
  std::vector<Block> all(static_cast<std::size_t>(blocks));
  for (Block& block : all) {
    block.free_bytes = block_bytes;
    block.tiles.resize(products.size());
  }
  // Large tiles first: small ones fit between them.
  std::vector<std::size_t> order(products.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&products](std::size_t a, std::size_t b) {
    const auto size = [&products](std::size_t p) {
      return std::pair(products[p].units, products[p].outputs);
    };
    return size(a) > size(b);
  });
  for (const std::size_t p : order) {
    const std::int64_t bytes = bytes_of(products[p]) + kPlaceTileBytes;
    for (std::int32_t tile = 0; tile < tiles_of(products[p]); ++tile) {
      Block* block = block_for(all, p, bytes);
      if (block == nullptr) return plan;
      block->free_bytes -= bytes;
      block->tiles[p].push_back(tile);
    }
  }
  write(products, all, plan);
  plan.fits = true;
  return plan;
}

}  // namespace ttsrt::cuda
