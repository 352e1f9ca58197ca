// How texts are cut where the original's answers don't say: phrases, places, and hostile texts.
// golden_test.cpp has the original's sentences.
#include "text/split.h"

#include <gtest/gtest.h>

#include "text/golden.h"

namespace ttsrt {
namespace {

using test::golden_front_end;

std::string words(int count, const std::string& word = "word") {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i == 0 ? "" : " ") + word;
  return text;
}

std::vector<std::string> cut(const std::string& text, TextSplit mode,
                             const std::string& language = "en") {
  std::vector<std::string> pieces;
  for (const TextPiece& piece : golden_front_end().split(text, language, mode))
    pieces.push_back(piece.text);
  return pieces;
}

TEST(Split, TheThresholdItselfIsLong) {
  const std::string text = "one. " + words(43);
  EXPECT_EQ(cut(text, TextSplit::automatic).size(), 1U);
  EXPECT_EQ(cut(text + " more", TextSplit::automatic).size(), 2U);
}

TEST(Split, ShortTextsStayAsTheyAre) {
  EXPECT_EQ(cut(" well-known *x* ", TextSplit::automatic),
            std::vector<std::string>{" well-known *x* "});
  EXPECT_EQ(cut(" a. b. ", TextSplit::never), std::vector<std::string>{" a. b. "});
}

TEST(Split, LanguagesOfARegionSplitAsTheLanguage) {
  EXPECT_EQ(golden_front_end().threshold("de-AT"), 50);
  EXPECT_EQ(golden_front_end().threshold("zh"), 100);
  EXPECT_EQ(golden_front_end().threshold("pt_br"), 45);
}

TEST(Split, PiecesSayWhereTheyAre) {
  const auto pieces = golden_front_end().split(" a*b. \xC3\x9F-c.", "en", TextSplit::sentences);
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0].text, "Ab.");
  EXPECT_EQ(pieces[0].span.begin, 1);
  EXPECT_EQ(pieces[0].span.end, 5);
  EXPECT_EQ(pieces[0].spans[1].begin, 3);  // behind the asterisk
  EXPECT_EQ(pieces[1].text, "SS c.");
  EXPECT_EQ(pieces[1].spans[1].begin, 6);  // the second S is of the same letter
  EXPECT_EQ(pieces[1].spans[2].begin, 7);
}

TEST(Split, PhrasesEndWhereAPhraseEnds) {
  const std::string text = words(20) + ", " + words(10) + "; " + words(20);
  EXPECT_EQ(
      cut(text, TextSplit::phrases),
      (std::vector<std::string>{"W" + words(20).substr(1) + ", " + words(10) + ";", words(20)}));
}

TEST(Split, PhrasesWithoutMarksEndAtWords) {
  const auto pieces = cut(words(80), TextSplit::phrases);
  ASSERT_EQ(pieces.size(), 3U);
  EXPECT_EQ(pieces[1], words(35));
  EXPECT_EQ(pieces[2], words(10));
  EXPECT_EQ(cut(words(35), TextSplit::phrases).size(), 1U);
  EXPECT_EQ(cut(words(36), TextSplit::phrases).size(), 2U);
}

TEST(Split, PhrasesOfLanguagesThatCountCharacters) {
  std::string text;
  for (int i = 0; i < 90; ++i) text += "\xE5\xAD\x97";
  const auto pieces = cut(text, TextSplit::phrases, "zh");
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0].size(), 77U * 3);
}

TEST(Split, TitlesAreOfTheWordBeforeOnly) {
  EXPECT_EQ(cut("Dr . Smith. Mr.", TextSplit::sentences),
            (std::vector<std::string>{"Dr . Smith.", "Mr."}));
  EXPECT_EQ(cut("Sundr. Smith", TextSplit::sentences),
            (std::vector<std::string>{"Sundr.", "Smith"}));
  EXPECT_EQ(cut("end.Dr. Smith", TextSplit::sentences),
            (std::vector<std::string>{"End.Dr.", "Smith"}));
}

TEST(Split, NothingToSpeakHasNoSentences) {
  for (const char* text : {"", "   ", "***", "- - -", "\xE2\x80\x83"})
    EXPECT_TRUE(cut(text, TextSplit::sentences).empty()) << text;
}

// Each of these takes quadratic time where a separator looks back too far.
TEST(Split, LongTextsOfOneKind) {
  for (const std::string unit : {"Dr. ", "a.", ". ", "a ", "Dr .", "-a ", ", "}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    EXPECT_FALSE(cut(text, TextSplit::phrases).empty()) << unit;
  }
}

}  // namespace
}  // namespace ttsrt
