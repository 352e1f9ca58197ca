// Words, groups and what is between them, as the original's regular expressions cut them.
#include "text/word_cutter.h"

#include <gtest/gtest.h>

#include <vector>

#include "text/unicode.h"

namespace ttsrt::text {
namespace {

// "w:ab o:, g:|c|": the kind and the text of each token.
std::vector<std::string> cut(const std::u32string& text, bool is_english) {
  constexpr const char* kKinds[] = {"w:", "g:", "o:", "b:"};
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size();) {
    const Token token = token_at(text, at, is_english);
    EXPECT_EQ(token.begin, at);
    EXPECT_GT(token.end, at);
    const char* kind = kKinds[static_cast<std::size_t>(token.kind)];
    all.push_back(kind + to_utf8(text.substr(token.begin, token.end - token.begin)));
    at = token.end;
  }
  return all;
}

using Cut = std::vector<std::string>;

TEST(WordCutter, WordsBeginAndEndWithLetters) {
  EXPECT_EQ(cut(U"it's well-known.", true), (Cut{"w:it's", "o: ", "w:well-known", "o:."}));
  EXPECT_EQ(cut(U"'til rock-'n'-roll'", true),
            (Cut{"o:'", "w:til", "o: ", "w:rock-'n'-roll", "o:'"}));
  EXPECT_EQ(cut(U"a--b- c", true), (Cut{"w:a--b", "o:- ", "w:c"}));
  EXPECT_EQ(cut(U"-", true), (Cut{"o:-"}));
}

TEST(WordCutter, EnglishHasNoLettersButAToZ) {
  EXPECT_EQ(cut(U"na\u00efve", true), (Cut{"w:na", "o:\xC3\xAF", "w:ve"}));
  EXPECT_EQ(cut(U"na\u00efve", false), (Cut{"w:na\xC3\xAFve"}));
  EXPECT_EQ(cut(U"\u0905\u0906 1", false), (Cut{"w:\xE0\xA4\x85\xE0\xA4\x86", "o: 1"}));
  EXPECT_EQ(cut(U"\u0152", false), (Cut{"o:\xC5\x92"}));  // beyond Latin-1
}

TEST(WordCutter, BarsMakeGroups) {
  EXPECT_EQ(cut(U"a|b c|d", true), (Cut{"w:a", "g:|b c|", "w:d"}));
  EXPECT_EQ(cut(U"||", true), (Cut{"g:||"}));
  EXPECT_EQ(cut(U"|a| , |b", true), (Cut{"g:|a|", "o: , ", "b:|", "w:b"}));
  EXPECT_EQ(cut(U",|", true), (Cut{"o:,", "b:|"}));
}

}  // namespace
}  // namespace ttsrt::text
