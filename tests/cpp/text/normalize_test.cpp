// Where composed characters come from, and that long runs of marks cost no more than short ones.
// unicode_test.cpp compares the forms themselves with Python's.
#include "text/normalize.h"

#include <gtest/gtest.h>

namespace ttsrt::text {
namespace {

TEST(Normalize, AComposedCharacterSpansItsParts) {
  const Traced made = nfc(trace(U"xe\u0301y"));
  EXPECT_EQ(made.points, U"x\u00e9y");
  EXPECT_EQ(made.spans[1].begin, 1);
  EXPECT_EQ(made.spans[1].end, 3);
  EXPECT_EQ(made.spans[2].begin, 3);
}

TEST(Normalize, PartsComeFromTheWhole) {
  const Traced made = nfd(trace(U"a\u1ed9"));
  EXPECT_EQ(made.points, U"ao\u0323\u0302");
  for (std::size_t i = 1; i < made.size(); ++i) {
    EXPECT_EQ(made.spans[i].begin, 1);
    EXPECT_EQ(made.spans[i].end, 2);
  }
}

TEST(Normalize, SortsMarksWithTheirPlaces) {
  const Traced made = nfd(trace(U"a\u0301\u0323"));
  EXPECT_EQ(made.points, U"a\u0323\u0301");
  EXPECT_EQ(made.spans[1].begin, 2);
  EXPECT_EQ(made.spans[2].begin, 1);
}

TEST(Normalize, KoreanSyllables) {
  EXPECT_EQ(nfd(trace(U"\uac01")).points, U"\u1100\u1161\u11a8");
  EXPECT_EQ(nfc(std::u32string(U"\u1100\u1161\u11a8")), U"\uac01");
}

TEST(Normalize, AMillionMarksOnOneLetter) {
  std::u32string text = U"a";
  for (int i = 0; i < 500000; ++i) text += U"\u0301\u0323";
  const Traced made = nfc(trace(text));
  EXPECT_EQ(made.size(), 1000000U);
  EXPECT_EQ(made.points[0], U'\u1ea1');  // with the first dot below
  EXPECT_EQ(made.points[1], U'\u0323');
  EXPECT_EQ(made.points.back(), U'\u0301');
}

}  // namespace
}  // namespace ttsrt::text
