#include "model/transposed.h"

#include <gtest/gtest.h>

#include "model/manifest.h"
#include "model/pack_items.h"

namespace ttsrt::model {
namespace {

// The sum over all inputs and taps, as it is defined: output q of input t and tap m is
// t * rate + m - (taps - rate) / 2.
TEST(Transposed, IsAProductOfTheRowsAround) {
  for (const auto& [taps, rate] : {std::pair{16, 8}, {11, 5}, {7, 3}, {4, 4}, {9, 3}, {3, 1}}) {
    constexpr std::int64_t kInputs = 2;
    constexpr std::int64_t kOutputs = 3;
    constexpr std::int64_t kRows = 6;
    std::vector<float> weight(static_cast<std::size_t>(kInputs * kOutputs * taps));
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<float>(i % 17) - 8.0F;
    std::vector<float> x(kInputs * kRows);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 5) - 2.0F;
    std::vector<float> expected(static_cast<std::size_t>(kRows * rate * kOutputs), 0.0F);
    for (std::int64_t t = 0; t < kRows; ++t) {
      for (std::int64_t m = 0; m < taps; ++m) {
        const std::int64_t q = t * rate + m - (taps - rate) / 2;
        for (std::int64_t n = 0; n < kOutputs && q >= 0 && q < kRows * rate; ++n) {
          for (std::int64_t c = 0; c < kInputs; ++c)
            expected[static_cast<std::size_t>(q * kOutputs + n)] +=
                x[static_cast<std::size_t>(t * kInputs + c)] *
                weight[static_cast<std::size_t>((c * kOutputs + n) * taps + m)];
        }
      }
    }
    const std::vector<float> product = transposed_product(weight, {kInputs, kOutputs, taps}, rate);
    const std::int64_t reach = transposed_reach(taps, rate);
    const std::int64_t cols = transposed_rows(taps, rate) * kInputs;
    ASSERT_EQ(product.size(), static_cast<std::size_t>(rate * kOutputs * cols));
    for (std::int64_t t = 0; t < kRows; ++t) {
      for (std::int64_t row = 0; row < rate * kOutputs; ++row) {
        float sum = 0.0F;
        for (std::int64_t k = 0; k < cols; ++k) {
          const std::int64_t from = (t - reach) * kInputs + k;
          if (from >= 0 && from < kRows * kInputs)
            sum += x[static_cast<std::size_t>(from)] *
                   product[static_cast<std::size_t>(row * cols + k)];
        }
        EXPECT_EQ(sum, expected[static_cast<std::size_t>(t * rate * kOutputs + row)])
            << taps << " by " << rate << ": " << t << ", " << row;
      }
    }
  }
}

TEST(Transposed, IsPackedWithItsBiasForEachRow) {
  Manifest manifest;
  manifest.begin("vocoder");
  manifest.add_transposed("up", {6, 3, 11}, 5, Precision::floats);
  const std::vector<PackItem> items = pack_items(manifest, {});
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].weight.rows, 15);
  EXPECT_EQ(items[0].weight.cols, 18);
  EXPECT_EQ(items[0].weight.layout, ops::Layout::panel16);
  EXPECT_EQ(items[1].weight.name, "up_bias");
  EXPECT_EQ(items[1].weight.cols, 15);
  EXPECT_EQ(manifest.find("up_bias")->shape, (std::vector<std::int64_t>{3}));
}

}  // namespace
}  // namespace ttsrt::model
