#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "support/errors.h"
#include "ttsrt/audio.h"

namespace ttsrt {
namespace {

std::vector<float> sine(double hertz, int rate, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(
        std::sin(2.0 * std::numbers::pi * hertz * static_cast<double>(i) / rate));
  }
  return values;
}

std::vector<float> resampled(const std::vector<float>& samples, int from, int to) {
  return resample(samples.data(), static_cast<std::int64_t>(samples.size()), from, to);
}

// The filter as torchaudio defines it: every phase has 2 * width + from taps, most of them zero.
std::vector<double> by_definition(const std::vector<float>& samples, int from, int to) {
  const int divisor = std::gcd(from, to);
  const int o = from / divisor, n = to / divisor;
  const double base = 0.99 * std::min(o, n);
  const int width = static_cast<int>(std::ceil(6.0 * o / base));
  const auto count = static_cast<int>(samples.size());
  std::vector<double> result;
  for (int i = 0; i < (count * n + o - 1) / o; ++i) {
    double sum = 0.0;
    for (int j = -width; j < width + o; ++j) {
      const double raw = (static_cast<double>(j) / o - static_cast<double>(i % n) / n) * base;
      const double at = std::clamp(raw, -6.0, 6.0) * std::numbers::pi;
      const double sinc = at == 0.0 ? 1.0 : std::sin(at) / at;
      const int place = i / n * o + j;
      if (place < 0 || place >= count) continue;
      sum += base / o * sinc * std::pow(std::cos(at / 12.0), 2) *
             samples[static_cast<std::size_t>(place)];
    }
    result.push_back(sum);
  }
  return result;
}

struct Rates {
  int from, to;
};

class ResampleRates : public ::testing::TestWithParam<Rates> {};

TEST_P(ResampleRates, FollowsTheDefinition) {
  const auto [from, to] = GetParam();
  const std::vector<float> samples = sine(440.0, from, 331);
  const std::vector<float> got = resampled(samples, from, to);
  const std::vector<double> wanted = by_definition(samples, from, to);
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-6) << i;
}

INSTANTIATE_TEST_SUITE_P(Pairs, ResampleRates,
                         ::testing::Values(Rates{44100, 24000}, Rates{16000, 24000},
                                           Rates{8000, 24000}, Rates{48000, 24000},
                                           Rates{22050, 24000}, Rates{24001, 24000}));

TEST(Resample, KeepsToneAndLength) {
  const std::vector<float> made = resampled(sine(300.0, 44100, 44100), 44100, 24000);
  ASSERT_EQ(made.size(), 24000U);
  const std::vector<float> wanted = sine(300.0, 24000, 24000);
  for (std::size_t i = 100; i + 100 < made.size(); ++i) ASSERT_NEAR(made[i], wanted[i], 2e-3) << i;
}

TEST(Resample, TheSameRateIsACopy) {
  const std::vector<float> samples = sine(300.0, 24000, 100);
  EXPECT_EQ(resampled(samples, 24000, 24000), samples);
  EXPECT_TRUE(resampled({}, 8000, 24000).empty());
}

TEST(Resample, RefusesRatesOutsideTheLimits) {
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("from: expected 1000", [] { resampled({1}, 999, 24000); }));
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("to: expected 1000", [] { resampled({1}, 24000, 0); }));
}

}  // namespace
}  // namespace ttsrt
