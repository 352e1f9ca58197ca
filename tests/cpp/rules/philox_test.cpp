#include "rules/philox.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace ttsrt::rules {
namespace {

std::array<std::uint32_t, 4> words(std::uint64_t seed, std::array<std::uint32_t, 4> counter) {
  philox4x32(seed, counter.data());
  return counter;
}

// Test vectors of the authors' Random123 (kat_vectors, philox4x32 10).
TEST(Philox, MatchesKnownAnswers) {
  EXPECT_EQ(words(0, {0, 0, 0, 0}),
            (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(0xffffffffffffffffULL, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(words(0x299f31d0a4093822ULL, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformTakesTheUpperBitsOfTheFirstWord) {
  EXPECT_EQ(uniform(0, 0, 0, 0, DrawKind::code),
            static_cast<float>(0x6627e8d5U >> 8) / 16777216.0F);
}

TEST(Philox, EveryPartOfTheCounterMatters) {
  std::set<float> seen;
  seen.insert(uniform(1, 0, 0, 0, DrawKind::code));
  seen.insert(uniform(1ULL << 32, 0, 0, 0, DrawKind::code));
  seen.insert(uniform(1, 1, 0, 0, DrawKind::code));
  seen.insert(uniform(1, 0, 1, 0, DrawKind::code));
  seen.insert(uniform(1, 0, 0, 1, DrawKind::code));
  seen.insert(uniform(1, 0, 0, 0, DrawKind::maskgit_noise));
  EXPECT_EQ(seen.size(), 6U);
}

TEST(Philox, UniformIsInRangeAndFair) {
  double sum = 0.0;
  int below_tenth = 0;
  for (int step = 0; step < 20000; ++step) {
    const float number = uniform(7, step, 3, 0, DrawKind::code);
    ASSERT_GE(number, 0.0F);
    ASSERT_LT(number, 1.0F);
    sum += number;
    below_tenth += number < 0.1F ? 1 : 0;
  }
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);
  EXPECT_NEAR(below_tenth, 2000, 150);
}

}  // namespace
}  // namespace ttsrt::rules
