#include "model/f5/noise.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ttsrt::model::f5 {
namespace {

TEST(F5Noise, IsNormal) {
  const std::vector<float> values = normal_rows(7, 1000, 100);
  double sum = 0.0;
  double squares = 0.0;
  double fourth = 0.0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
    fourth += std::pow(static_cast<double>(value), 4.0);
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0.0, 0.015);
  EXPECT_NEAR(squares / count, 1.0, 0.02);
  EXPECT_NEAR(fourth / count, 3.0, 0.15);
}

TEST(F5Noise, DependsOnSeedAndPlaceAlone) {
  const std::vector<float> whole = normal_rows(7, 40, 100);
  const std::vector<float> part = normal_rows(7, 10, 100);
  EXPECT_EQ(part, std::vector<float>(whole.begin(), whole.begin() + 1000));
  EXPECT_NE(normal_rows(8, 10, 100), part);
  EXPECT_NE(normal_rows(7 + (std::uint64_t{1} << 40), 10, 100), part);
  EXPECT_EQ(normal_rows(1, 3, 7).size(), 21U);
}

}  // namespace
}  // namespace ttsrt::model::f5
