#include "model/f5/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/f5/config.h"

namespace ttsrt::model::f5 {
namespace {

TEST(F5Schedule, FewStepsAreThoseThatEpssKeeps) {
  const std::vector<double> grid = time_grid({7, -1.0, true, false});
  const double expected[] = {0.0, 0.004815, 0.019215, 0.043060, 0.076120, 0.292893, 0.617317, 1.0};
  ASSERT_EQ(grid.size(), 8U);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(grid[i], expected[i], 1e-6);
  EXPECT_NEAR(time_grid({16, 0.0, true, false})[9], 10.0 / 32, 1e-12);
  EXPECT_NEAR(time_grid({16, 0.0, false, false})[9], 9.0 / 16, 1e-12);
  EXPECT_NEAR(time_grid({8, 0.0, true, false})[1], 1.0 / 8, 1e-12);  // EPSS says nothing of 8
}

TEST(F5Schedule, TimesNeverGoBack) {
  for (const double sway : {kMinSway, -0.5, 0.0, 1.0, kMaxSway}) {
    for (const std::int32_t steps : {1, 5, 16, 31, kMaxEvaluations}) {
      const std::vector<double> grid = time_grid({steps, sway, true, false});
      ASSERT_EQ(grid.size(), static_cast<std::size_t>(steps) + 1);
      EXPECT_NEAR(grid.front(), 0.0, 1e-12);
      EXPECT_NEAR(grid.back(), 1.0, 1e-12);
      for (std::size_t i = 1; i < grid.size(); ++i) EXPECT_GE(grid[i], grid[i - 1] - 1e-12);
    }
  }
}

TEST(F5Schedule, AMidpointIsAnEvaluationOfItsOwn) {
  const Schedule euler = make_schedule({2, 0.0, false, false});
  EXPECT_EQ(euler.times, (std::vector<float>{0.0F, 0.5F}));
  ASSERT_EQ(euler.evaluations.size(), 2U);
  EXPECT_TRUE(euler.evaluations[0].ends_step);
  EXPECT_FLOAT_EQ(euler.evaluations[0].step_size, 0.5F);
  const Schedule midpoint = make_schedule({2, 0.0, false, true});
  EXPECT_EQ(midpoint.times, (std::vector<float>{0.0F, 0.25F, 0.5F, 0.75F}));
  EXPECT_FALSE(midpoint.evaluations[0].ends_step);
  EXPECT_FLOAT_EQ(midpoint.evaluations[0].step_size, 0.25F);
  EXPECT_TRUE(midpoint.evaluations[1].ends_step);
  EXPECT_FLOAT_EQ(midpoint.evaluations[1].step_size, 0.5F);
}

TEST(F5Schedule, FeaturesAreSinesThenCosines) {
  const std::vector<float> features = time_features({0.0F, 0.25F});
  ASSERT_EQ(features.size(), std::size_t{2} * kTimeWidth);
  EXPECT_EQ(features[0], 0.0F);
  EXPECT_EQ(features[kTimeWidth / 2], 1.0F);
  const float* second = features.data() + kTimeWidth;
  EXPECT_NEAR(second[0], std::sin(250.0), 1e-6);
  const double slowest = 250.0 * 1e-4;
  EXPECT_NEAR(second[kTimeWidth / 2 - 1], std::sin(slowest), 1e-6);
  EXPECT_NEAR(second[kTimeWidth - 1], std::cos(slowest), 1e-6);
}

}  // namespace
}  // namespace ttsrt::model::f5
