#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ttsrt {
namespace {

// NaNs become quiet NaNs; all other values are unchanged.
TEST(BFloat16, AllValuesRoundTrip) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = from_bfloat16(static_cast<std::uint16_t>(bits));
    const bool is_nan = (bits & 0x7F80U) == 0x7F80U && (bits & 0x7FU) != 0;
    ASSERT_EQ(std::isnan(value), is_nan) << bits;
    ASSERT_EQ(to_bfloat16(value), is_nan ? bits | 0x40U : bits) << bits;
  }
}

TEST(Float16, AllValuesRoundTrip) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = from_float16(static_cast<std::uint16_t>(bits));
    const bool is_nan = (bits & 0x7C00U) == 0x7C00U && (bits & 0x3FFU) != 0;
    ASSERT_EQ(std::isnan(value), is_nan) << bits;
    ASSERT_EQ(to_float16(value), is_nan ? (bits & 0x8000U) | 0x7E00U : bits) << bits;
  }
}

// A value between two neighbours rounds to the nearer one, and the middle rounds to the even one.
template <typename From, typename To>
void check_neighbours(From from, To to, std::uint32_t first_infinity) {
  for (std::uint32_t bits = 0; bits + 1 < first_infinity; ++bits) {
    const double low = from(static_cast<std::uint16_t>(bits));
    const double high = from(static_cast<std::uint16_t>(bits + 1));
    const auto middle = static_cast<float>((low + high) / 2.0);
    if (static_cast<double>(middle) != (low + high) / 2.0)
      continue;  // below the resolution of float32
    const std::uint32_t even = (bits & 1U) == 0 ? bits : bits + 1;
    ASSERT_EQ(to(middle), even) << bits;
    ASSERT_EQ(to(std::nextafter(middle, 0.0F)), bits) << bits;
    ASSERT_EQ(to(std::nextafter(middle, std::numeric_limits<float>::infinity())), bits + 1) << bits;
    ASSERT_EQ(to(-middle), even | 0x8000U) << bits;
  }
}

TEST(BFloat16, RoundsToNearestEven) {
  // Starts at 0x80, above the subnormals, because float32 can represent their midpoints too.
  check_neighbours(from_bfloat16, to_bfloat16, 0x7F80U);
}

TEST(Float16, RoundsToNearestEven) { check_neighbours(from_float16, to_float16, 0x7C00U); }

TEST(Float16, OverflowsToInfinity) {
  EXPECT_EQ(to_float16(65504.0F), 0x7BFFU);
  EXPECT_EQ(to_float16(std::nextafter(65520.0F, 0.0F)), 0x7BFFU);
  EXPECT_EQ(to_float16(65520.0F), 0x7C00U);
  EXPECT_EQ(to_float16(-1e30F), 0xFC00U);
  EXPECT_EQ(to_float16(std::numeric_limits<float>::infinity()), 0x7C00U);
}

TEST(BFloat16, OverflowsToInfinity) {
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::max()), 0x7F80U);
  EXPECT_EQ(to_bfloat16(-std::numeric_limits<float>::infinity()), 0xFF80U);
}

TEST(Halves, KeepTheSignOfZeroAndFlushTinyValuesToZero) {
  EXPECT_EQ(to_float16(-0.0F), 0x8000U);
  EXPECT_EQ(to_bfloat16(-0.0F), 0x8000U);
  EXPECT_EQ(to_float16(std::ldexp(1.0F, -24)), 1U);
  EXPECT_EQ(to_float16(std::ldexp(1.0F, -25)), 0U);
  EXPECT_EQ(to_float16(std::nextafter(std::ldexp(1.0F, -25), 1.0F)), 1U);
}

}  // namespace
}  // namespace ttsrt
