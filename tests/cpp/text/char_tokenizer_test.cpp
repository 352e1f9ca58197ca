// Characters as ids: how texts are prepared, which characters are taken, and what spaces become.
#include "text/tokenizer_runs.h"

namespace ttsrt::text {
namespace {

using test::read;
using test::said;

CharOptions small() {
  CharOptions options;
  options.characters = {"a", "b", "\xC3\xA4"};
  options.punctuation = {",", "."};
  return options;
}

TEST(CharTokenizer, SpacesCollapseAndNoneIsAtTheEnds) {
  const auto chars = make_char_tokenizer("chars", small());
  const test::Read made = read(*chars, U"  a  b , ");
  EXPECT_EQ(said(*chars, made.ids), "a b ,");
  EXPECT_EQ(made.spans.front().begin, 2);
  EXPECT_EQ(made.spoken, 5);
  EXPECT_EQ(read(*chars, U"   ").spoken, 0);
}

TEST(CharTokenizer, PaddingSurroundsATextAndIsNotSpoken) {
  CharOptions options = small();
  options.pad_with_space = true;
  const auto chars = make_char_tokenizer("chars", options);
  const test::Read made = read(*chars, U"a ");
  EXPECT_EQ(said(*chars, made.ids), " a ");
  EXPECT_EQ(made.spoken, 1);
}

TEST(CharTokenizer, WhatIsNotInTheVocabularyIsCounted) {
  const auto chars = make_char_tokenizer("chars", small());
  const test::Read made = read(*chars, U"axb%x\t");
  EXPECT_EQ(said(*chars, made.ids), "ab");
  EXPECT_EQ(made.dropped.at(U'x'), 2);
  EXPECT_EQ(made.dropped.at(U'%'), 1);
  EXPECT_EQ(made.dropped.at(U'\t'), 1);
}

TEST(CharTokenizer, PreparesTexts) {
  CharOptions options = small();
  options.preparation = Preparation::nfc;
  EXPECT_EQ(read(*make_char_tokenizer("c", options), U"a\u0308").ids.size(), 1U);
  options.preparation = Preparation::lower;
  EXPECT_EQ(said(*make_char_tokenizer("c", options),
                 read(*make_char_tokenizer("c", options), U"AB\u00c4").ids),
            "ab\xC3\xA4");
  options.preparation = Preparation::english;  // without accents
  const auto english = make_char_tokenizer("c", options);
  EXPECT_EQ(said(*english, read(*english, U"A\u00c4\u2019").ids), "aa'");
}

TEST(CharTokenizer, TakesLettersDigitsAndPunctuationOnly) {
  CharOptions options = small();
  options.characters.emplace_back("%");
  EXPECT_EQ(read(*make_char_tokenizer("c", options), U"a%").ids.size(), 2U);
  options.only_alphanumeric = true;
  const auto chars = make_char_tokenizer("c", options);
  EXPECT_EQ(said(*chars, read(*chars, U"a%',").ids), "a',");
}

}  // namespace
}  // namespace ttsrt::text
