// Words by a dictionary: endings of English and French, heteronyms, lexicons, groups, spelling.
#include "support/errors.h"
#include "text/tokenizer_runs.h"

namespace ttsrt::text {
namespace {

using test::read;
using test::said;
using ttsrt::test::throws_naming;

constexpr const char* kWords =
    "CAT  k\xC3\xA6t\nBUS  b\xCA\x8Cs\nCAB  k\xC3\xA6"
    "b\nWELL  wel\nREAD  riːd\nREAD(2)  red\n";

std::unique_ptr<Tokenizer> tokenizer(const IpaOptions& options,
                                     const std::vector<std::u32string>& heteronyms = {},
                                     const std::string& words = kWords) {
  RawDictionary raw;
  raw.add(words, "words");
  const Dictionary made = make_dictionary(raw, options.dictionary, prepared_vocab(options));
  return make_ipa_tokenizer("ipa", options, heteronyms, WordTable(write_table(made), "table"));
}

IpaOptions english() {
  IpaOptions options;
  options.is_english = true;
  options.word_locale = "en-US";
  options.apostrophe = true;
  options.punctuation = {",", ".", "-"};
  return options;
}

std::string spoken(const Tokenizer& of, const std::u32string& text, const Lexicon& lexicon = {}) {
  return said(of, read(of, text, {}, lexicon).ids);
}

TEST(IpaTokenizer, SpeaksTheFirstVariantAndSpellsWhatIsUnknown) {
  const auto of = tokenizer(english());
  EXPECT_EQ(spoken(*of, U"cat"), "k\xC3\xA6t");
  EXPECT_EQ(spoken(*of, U"Read,"),
            "ri\xCB\x90"
            "d,");
  EXPECT_EQ(spoken(*of, U"tab"), "TAB");
  EXPECT_EQ(spoken(*of, U"well-cat"), "wel-k\xC3\xA6t");
}

TEST(IpaTokenizer, EnglishEndings) {
  const auto of = tokenizer(english(), {}, std::string(kWords) + "X  szt\xC9\xAA \n");
  EXPECT_EQ(spoken(*of, U"cat's"), "k\xC3\xA6ts");          // behind T
  EXPECT_EQ(spoken(*of, U"bus's"), "b\xCA\x8Cs\xC9\xAAz");  // behind S
  EXPECT_EQ(spoken(*of, U"cab's"),
            "k\xC3\xA6"
            "bz");
  EXPECT_EQ(spoken(*of, U"cats"), "k\xC3\xA6ts");
  EXPECT_EQ(spoken(*of, U"cabs"),
            "k\xC3\xA6"
            "bz");
}

TEST(IpaTokenizer, HeteronymsAreSpelledAndALexiconComesFirst) {
  const auto of = tokenizer(english(), {U"READ"});
  EXPECT_EQ(spoken(*of, U"read"), "READ");
  const Lexicon lexicon = of->prepare({{"read", "red", false}, {"Cat", "bed", true}});
  EXPECT_EQ(spoken(*of,
                   U"read"
                   U" reads",
                   lexicon)
                .substr(0, 4),
            "red ");
  EXPECT_EQ(spoken(*of, U"cat", lexicon), "k\xC3\xA6t");  // capitals count
  EXPECT_TRUE(
      throws_naming<ConfigError>("lexicon: \"a\"", [&] { of->prepare({{"a", "?", false}}); }));
}

TEST(IpaTokenizer, GroupsPassSymbolsThrough) {
  const auto of = tokenizer(english());
  EXPECT_EQ(spoken(*of, U"|k \u00e6 t|"), "k\xC3\xA6t");
  const test::Read unknown = read(*of, U"|k \u00e6t|");
  EXPECT_EQ(said(*of, unknown.ids), "k");  // two code points are no symbol
  EXPECT_FALSE(unknown.dropped.empty());
}

TEST(IpaTokenizer, SpacesStayInFrontAndGoBehind) {
  IpaOptions options = english();
  EXPECT_EQ(spoken(*tokenizer(options), U"  cat  cab  "),
            "  k\xC3\xA6t  k\xC3\xA6"
            "b");
  options.pad_with_space = true;
  EXPECT_EQ(spoken(*tokenizer(options), U"cat "), " k\xC3\xA6t ");
  EXPECT_EQ(read(*tokenizer(options), U"   ").spoken, Tokenizer::kOnlySpaces);
}

TEST(IpaTokenizer, ASetPrefixTellsLettersFromPhonemes) {
  IpaOptions options = english();
  options.is_english = false;
  options.word_locale = "de-DE";
  options.dictionary.grapheme_prefix = "#";
  const auto of = tokenizer(options);
  EXPECT_EQ(spoken(*of, U"tab"), "#T#A#B");
  EXPECT_EQ(spoken(*of, U"cat"), "k\xC3\xA6t");
}

TEST(IpaTokenizer, AmbiguousWordsAreSpelledWhereAskedFor) {
  IpaOptions options = english();
  options.ignore_ambiguous_words = true;
  const auto of = tokenizer(options);
  EXPECT_EQ(spoken(*of, U"read"), "READ");
  EXPECT_EQ(spoken(*of, U"cat"), "k\xC3\xA6t");
}

TEST(IpaTokenizer, FrenchPrefixesWithAnApostrophe) {
  IpaOptions options = english();
  options.is_english = false;
  options.word_locale = "fr-FR";
  const auto of = tokenizer(options, {}, "\xC3\x89T\xC3\x89  ete\nUN  \xC5\x93l\n");
  EXPECT_EQ(spoken(*of, U"l'\u00e9t\u00e9"), "lete");
  EXPECT_EQ(spoken(*of, U"u'\u00e9t\u00e9"), "U'\xC3\x89T\xC3\x89");  // no such prefix
}

}  // namespace
}  // namespace ttsrt::text
