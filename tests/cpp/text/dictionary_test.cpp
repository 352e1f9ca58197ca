// Which lines of a dictionary are words, which keys and symbols come of them, and which files are
// refused.
#include "text/dictionary.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace ttsrt::text {
namespace {

RawDictionary read(const std::string& file) {
  RawDictionary raw;
  raw.add(file, "a.dict");
  return raw;
}

std::vector<std::u32string> words_of(const std::string& file) {
  std::vector<std::u32string> words;
  const RawDictionary raw = read(file);
  for (const auto& word : raw.words()) words.push_back(word.word);
  return words;
}

using Words = std::vector<std::u32string>;

TEST(Dictionary, LinesThatBeginWithALetterAreWords) {
  EXPECT_EQ(words_of(";;; no\nA a\n B b\n3RD c\n-X d\n'TIL e\n\n\xC5\x92U f\n\xC3\x98 g\n"),
            (Words{U"A", U"'TIL", U"Ø"}));
  EXPECT_EQ(words_of("\xEF\xBB\xBF"
                     "A a\nB b"),
            Words{U"B"});
  EXPECT_EQ(words_of("A a\r\nB b\rC c"), (Words{U"A", U"B", U"C"}));
}

TEST(Dictionary, NumbersOfPronunciationsAreNotOfTheWord) {
  const RawDictionary raw = read("A(1) x y\nA\tz\nA(b) c\nA(2)(3) w");
  ASSERT_EQ(raw.words().size(), 2U);
  EXPECT_EQ(raw.words()[0].variants, (Words{U"xy", U"z", U"w"}));
  EXPECT_EQ(raw.words()[1].word, U"A(b)");
}

TEST(Dictionary, LinesAreComposed) {
  const RawDictionary raw = read("U\xCC\x88 o\xCC\x83\xCC\xB0");
  EXPECT_EQ(raw.words()[0].word, U"Ü");
  EXPECT_EQ(raw.words()[0].variants[0], U"\u00f5\u0330");
}

TEST(Dictionary, ErrorsNameTheLine) {
  const auto refuses = [](const std::string& file, const std::string& part) {
    return test::throws_naming<FormatError>(part, [&] { read(file); });
  };
  EXPECT_TRUE(refuses("A a\nB\n", "a.dict:2: expected a word and its pronunciation"));
  EXPECT_TRUE(refuses("A a\r\nB \xC2\xA0", "a.dict:2: expected a word and its pronunciation"));
  EXPECT_TRUE(refuses(";;;\n;\xFF", "a.dict:2: expected UTF-8, byte 2"));
  EXPECT_TRUE(refuses("A \xED\xA0\x80", "a.dict:1: expected UTF-8, byte 3"));
  EXPECT_TRUE(refuses(std::string(300, 'a') + " b", "expected at most 256 letters"));
  EXPECT_TRUE(refuses("A " + std::string(2000, 'b'), "1024 symbols, got 1 and 2000"));
  std::string many;
  for (int i = 0; i < 1100; ++i) many += "A b\n";
  EXPECT_TRUE(refuses(many, "a.dict:1025: expected at most"));
}

Dictionary made(const std::string& file, LetterCase letter_case,
                const std::set<std::string>& fixed = {}) {
  DictionaryOptions options;
  options.letter_case = letter_case;
  return make_dictionary(read(file), options, fixed);
}

TEST(Dictionary, ALaterKeyReplacesAnEarlierOneWhole) {
  const Dictionary upper = made("Weg a\nWeg(1) b\nweg c", LetterCase::upper);
  EXPECT_EQ(upper.entries.at("WEG").first, U"c");
  EXPECT_EQ(upper.entries.at("WEG").variants, 1U);
  const Dictionary mixed = made("weg c\nWeg a\nWEG d\nWeg(1) b", LetterCase::mixed);
  EXPECT_EQ(mixed.entries.at("Weg").variants, 2U);
  EXPECT_EQ(mixed.entries.at("WEG").first, U"d");
  EXPECT_EQ(made("Weg a\nweg c", LetterCase::mixed).entries.at("WEG").first, U"c");
}

TEST(Dictionary, KeysHaveTheFullCase) {
  EXPECT_EQ(made("Stra\xC3\x9F"
                 "e a",
                 LetterCase::upper)
                .entries.count("STRASSE"),
            1U);
  EXPECT_EQ(made("\xC3\x89"
                 "a b",
                 LetterCase::lower)
                .entries.count("\xC3\xA9"
                               "a"),
            1U);
}

TEST(Dictionary, SymbolsAreOfLettersAndPronunciations) {
  DictionaryOptions options;
  options.grapheme_prefix = "#";
  const RawDictionary raw = read("IT'S-1 \xCB\x88its");
  using Set = std::set<std::string>;
  EXPECT_EQ(make_dictionary(raw, options, {}).symbols,
            (Set{"#1", "#I", "#S", "#T", "i", "s", "t", "\xCB\x88"}));
  options.use_chars = false;
  options.use_stresses = false;
  EXPECT_EQ(make_dictionary(raw, options, {}).symbols, (Set{"i", "s", "t"}));
}

TEST(Dictionary, AFixedVocabularyLeavesOutWhatItCannotSay) {
  const Dictionary of = made("AB x\nAB(1) y\nAC x\nA z\nB y", LetterCase::upper, {"A", "B", "y"});
  EXPECT_EQ(of.symbols, (std::set<std::string>{"A", "B", "y"}));
  EXPECT_EQ(of.entries.size(), 2U);
  EXPECT_EQ(of.entries.at("AB").first, U"y");
  EXPECT_EQ(of.entries.at("AB").variants, 1U);
}

TEST(Dictionary, Heteronyms) {
  EXPECT_EQ(read_heteronyms("read \r\n\nlead\t\n", "h"), (Words{U"read", U"lead"}));
  EXPECT_TRUE(test::throws_naming<FormatError>("h:2: expected UTF-8",
                                               [] { read_heteronyms("a\n\x80", "h"); }));
}

}  // namespace
}  // namespace ttsrt::text
