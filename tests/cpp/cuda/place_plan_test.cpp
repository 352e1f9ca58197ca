// How tiles of weights are spread over blocks. Planning needs no GPU.
#include "cuda/place_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

namespace ttsrt::cuda {
namespace {

std::vector<PlaceProduct> layers_of(std::int32_t layers, std::int32_t width) {
  std::vector<PlaceProduct> products;
  const auto add = [&products](std::int32_t outputs, std::int32_t inputs) {
    PlaceProduct product;
    product.outputs = outputs;
    product.units = inputs / 16;
    products.push_back(product);
  };
  for (std::int32_t l = 0; l < layers; ++l) {
    add(3 * width, width);
    add(width, width);
    add(4 * width, width);
    add(width, 4 * width);
  }
  return products;
}

// Every tile is in one block, in room of its own.
void check_plan(const PlacePlan& plan, const std::vector<PlaceProduct>& products,
                std::int32_t blocks, std::int64_t block_bytes) {
  const auto phases = static_cast<std::int32_t>(products.size());
  std::set<std::pair<std::int32_t, std::int32_t>> found;
  for (std::int32_t block = 0; block < blocks; ++block) {
    const std::int32_t* begins = plan.begins.data() + std::ptrdiff_t{block} * (phases + 1);
    const PlaceTile* tiles = plan.tiles.data() + std::ptrdiff_t{block} * plan.most_tiles;
    std::int32_t offset = 0;
    for (std::int32_t phase = 0; phase < phases; ++phase) {
      for (std::int32_t i = begins[phase]; i < begins[phase + 1]; ++i) {
        EXPECT_TRUE(found.insert({phase, tiles[i].tile}).second);
        EXPECT_EQ(tiles[i].offset, offset);
        offset += products[static_cast<std::size_t>(phase)].units * kFragmentBytes;
      }
    }
    EXPECT_LE(begins[phases], plan.most_tiles);
    EXPECT_LE(offset, plan.weight_bytes);
    EXPECT_LE(offset + begins[phases] * kPlaceTileBytes, block_bytes);
  }
  std::size_t expected = 0;
  for (const PlaceProduct& product : products)
    expected += static_cast<std::size_t>(tiles_of(product));
  EXPECT_EQ(found.size(), expected);
}

TEST(PlacePlan, FillsTheBlocksEvenly) {
  const std::vector<PlaceProduct> products = layers_of(2, 768);
  const PlacePlan plan = plan_places(products, 128, 221340);
  ASSERT_TRUE(plan.fits);
  check_plan(plan, products, 128, 221340);
  EXPECT_EQ(plan.most_tiles, 9);
  for (std::size_t block = 0; block < 128; ++block) {
    for (std::size_t phase = 0; phase < 8; ++phase)
      EXPECT_LE(plan.begins[block * 9 + phase + 1] - plan.begins[block * 9 + phase], 2);
  }
}

TEST(PlacePlan, SmallWeightsTakeLittleRoom) {
  const std::vector<PlaceProduct> products = layers_of(1, 64);
  const PlacePlan plan = plan_places(products, 100, 60000);
  ASSERT_TRUE(plan.fits);
  check_plan(plan, products, 100, 60000);
  EXPECT_EQ(plan.most_tiles, 1);
}

TEST(PlacePlan, SaysThatWeightsDoNotFit) {
  EXPECT_FALSE(plan_places(layers_of(3, 768), 128, 221340).fits);
  EXPECT_FALSE(plan_places(layers_of(1, 768), 128, 98000).fits);  // one tile of the last product
}

}  // namespace
}  // namespace ttsrt::cuda
