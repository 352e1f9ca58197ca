#include "rules/cycle.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ttsrt::rules {
namespace {

TEST(Cycle, KeepsWhatFloat64Keeps) {
  Cycle cycle;
  long double exact = 0.0L;
  for (int i = 0; i < 20000; ++i) {
    const float hz = 80.0F + 0.37F * static_cast<float>(i % 700);
    cycle = cycle_behind(cycle, i % 2 == 0 ? hz : -hz, 480.0, 24000.0);
    exact += static_cast<long double>(hz) * 480.0L / 24000.0L;
    exact -= std::floor(exact);
  }
  const double away = cycles_of(cycle) - static_cast<double>(exact);
  EXPECT_LT(std::fabs(away - std::round(away)), 1e-10);  // 400 seconds of sound
  EXPECT_GE(cycles_of(cycle), 0.0);
  EXPECT_LE(cycles_of(cycle), 1.0);
}

TEST(Cycle, ShowsWhatIsNotFinite) {
  EXPECT_TRUE(std::isnan(cycle_behind({}, INFINITY, 480.0, 24000.0).high));
  EXPECT_TRUE(std::isnan(cycle_behind({}, NAN, 480.0, 24000.0).high));
}

}  // namespace
}  // namespace ttsrt::rules
