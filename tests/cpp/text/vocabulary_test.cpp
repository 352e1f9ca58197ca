// Symbols and ids: what every vocabulary ends with, which of two equal symbols counts, prefixes.
#include "text/vocabulary.h"

#include <gtest/gtest.h>

namespace ttsrt::text {
namespace {

using Tokens = std::vector<std::string>;

TEST(Vocabulary, EndsWithPaddingAndTheUnknown) {
  EXPECT_EQ(Vocabulary({"a"}, BlankPlace::none).tokens(), (Tokens{"a", "<pad>", "<oov>"}));
  EXPECT_EQ(Vocabulary({"a"}, BlankPlace::before_oov).tokens(),
            (Tokens{"a", "<pad>", "<blank>", "<oov>"}));
  EXPECT_EQ(Vocabulary({"a"}, BlankPlace::last).tokens(),
            (Tokens{"a", "<pad>", "<oov>", "<blank>"}));
  EXPECT_EQ(Vocabulary({"a", "b"}, BlankPlace::none).pad(), 2);
  EXPECT_EQ(Vocabulary({}, BlankPlace::none).pad(), 0);
}

TEST(Vocabulary, OfEqualSymbolsTheLaterCounts) {
  const Vocabulary of({"a", "b", "a"}, BlankPlace::none);
  EXPECT_EQ(of.find("a"), 2);
  EXPECT_EQ(of.find(U'a'), 2);
  EXPECT_EQ(of.find("b"), 1);
  EXPECT_EQ(of.tokens().size(), 5U);
}

TEST(Vocabulary, FindsWholeSymbolsOnly) {
  const Vocabulary of({" ", "\xC9\xAA", "ab"}, BlankPlace::none);
  EXPECT_EQ(of.space(), 0);
  EXPECT_EQ(of.find(U'\u026a'), 1);
  EXPECT_EQ(of.find("ab"), 2);
  EXPECT_EQ(of.find(U'a'), kNoId);  // is no symbol, though one begins with it
  EXPECT_EQ(of.find(""), kNoId);
  EXPECT_EQ(Vocabulary({"a"}, BlankPlace::none).space(), kNoId);
}

TEST(Vocabulary, APrefixIsOfSpelledLettersOnly) {
  Vocabulary of({"a", "#a", "#", "#\xC3\xA4", "#bc"}, BlankPlace::none);
  EXPECT_EQ(of.find_spelled(U'a'), 0);
  of.set_prefix("#");
  EXPECT_EQ(of.find_spelled(U'a'), 1);
  EXPECT_EQ(of.find_spelled(U'\u00e4'), 3);
  EXPECT_EQ(of.find_spelled(U'b'), kNoId);  // "#bc" is two letters
  EXPECT_EQ(of.find(U'a'), 0);
}

}  // namespace
}  // namespace ttsrt::text
