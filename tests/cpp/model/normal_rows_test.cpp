#include "model/normal_rows.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ttsrt::model {
namespace {

using rules::DrawKind;

std::vector<float> flow_rows(std::uint64_t seed, std::int32_t rows, std::int32_t width) {
  return normal_rows(DrawKind::flow_noise, seed, 0, rows, width);
}

TEST(NormalRows, IsNormal) {
  const std::vector<float> values = flow_rows(7, 1000, 100);
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

TEST(NormalRows, DependsOnSeedAndPlaceAlone) {
  const std::vector<float> whole = flow_rows(7, 40, 100);
  const std::vector<float> part = flow_rows(7, 10, 100);
  EXPECT_EQ(part, std::vector<float>(whole.begin(), whole.begin() + 1000));
  EXPECT_NE(flow_rows(8, 10, 100), part);
  EXPECT_NE(flow_rows(7 + (std::uint64_t{1} << 40), 10, 100), part);
  EXPECT_EQ(flow_rows(1, 3, 7).size(), 21U);
}

TEST(NormalRows, DependOnTheirNumbersAndTheirUse) {
  const std::vector<float> whole = normal_rows(DrawKind::flow_noise, 7, -3, 6, 10);
  EXPECT_EQ(normal_rows(DrawKind::flow_noise, 7, -1, 2, 10),
            std::vector<float>(whole.begin() + 20, whole.begin() + 40));
  EXPECT_NE(normal_rows(DrawKind::source_noise, 7, -3, 6, 10), whole);
}

}  // namespace
}  // namespace ttsrt::model
