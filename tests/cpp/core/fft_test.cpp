#include "core/fft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "support/errors.h"

namespace ttsrt {
namespace {

class RealFftOfSize : public ::testing::TestWithParam<std::size_t> {};

TEST_P(RealFftOfSize, IsTheSumOfItsDefinition) {
  const std::size_t size = GetParam();
  std::vector<double> values(size);
  for (std::size_t i = 0; i < size; ++i) {
    values[i] = std::sin(static_cast<double>(i * i) * 0.7) + (i == 3 ? 2.0 : 0.0);
  }
  RealFft fft(size);
  const auto& bins = fft.forward(values.data());
  ASSERT_EQ(bins.size(), size / 2 + 1);
  for (std::size_t k = 0; k <= size / 2; ++k) {
    std::complex<double> sum;
    for (std::size_t n = 0; n < size; ++n) {
      const double turn = static_cast<double>(k * n % size) / static_cast<double>(size);
      sum += std::polar(values[n], -2.0 * std::numbers::pi * turn);
    }
    EXPECT_NEAR(std::abs(bins[k] - sum), 0.0, 1e-9 * static_cast<double>(size)) << "bin " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, RealFftOfSize, ::testing::Values(2, 4, 8, 64, 1024));

TEST(RealFft, RefusesOtherSizes) {
  EXPECT_TRUE(test::throws_naming<InternalError>("power of two", [] { RealFft(12); }));
  EXPECT_TRUE(test::throws_naming<InternalError>("power of two", [] { RealFft(1); }));
}

}  // namespace
}  // namespace ttsrt
