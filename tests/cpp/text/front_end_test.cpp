// What callers of a front end see: languages, parts, lexicons, places of ids, characters that no
// symbol speaks, and texts that are made to break it. golden_test.cpp has the original's ids.
#include "support/errors.h"
#include "text/golden.h"
#include "ttsrt/text.h"

namespace ttsrt {
namespace {

using test::golden_front_end;
using test::plain;
using test::spoken;
using test::throws_naming;

EncodedText encode(const std::string& text, const std::string& tokenizer = "english_phoneme",
                   const TextOptions& options = {}) {
  return golden_front_end().encode(plain(text), tokenizer, options);
}

std::map<std::string, std::int64_t> dropped(const std::string& text,
                                            const std::string& tokenizer = "english_phoneme") {
  std::map<std::string, std::int64_t> counts;
  for (const DroppedCharacter& of : encode(text, tokenizer).dropped)
    counts[of.character] = of.count;
  return counts;
}

// "0-2 0-2 3-4"
std::string shown(const std::vector<TextSpan>& spans) {
  std::string all;
  for (const TextSpan& span : spans)
    all += (all.empty() ? "" : " ") + std::to_string(span.begin) + "-" + std::to_string(span.end);
  return all;
}

TEST(FrontEnd, FindsLanguages) {
  const TextFrontEnd& of = golden_front_end();
  EXPECT_EQ(of.resolve("").tokenizer, "english_phoneme");
  for (const char* name : {"de", "de-DE", "de_DE", "DE-at", "german_phoneme"}) {
    EXPECT_EQ(of.resolve(name).tokenizer, "german_phoneme") << name;
    EXPECT_EQ(of.resolve(name).language, "de") << name;
  }
  EXPECT_EQ(of.resolve("pt_br").language, "pt-BR");
  EXPECT_EQ(of.resolve("hindi_chars_new").tokenizer, "hindi_chars_new");
  EXPECT_EQ(of.resolve("hindi_chars_new").language, "");
  for (const char* name : {"pt", "xx", "e", "english", "en "})
    EXPECT_TRUE(throws_naming<ConfigError>("expected one of ar-MSA, de, en,", [&] {
      of.resolve(name);
    })) << name;
}

TEST(FrontEnd, UnknownTokenizersNameTheKnownOnes) {
  EXPECT_TRUE(throws_naming<ConfigError>("expected one of english_phoneme, german_phoneme",
                                         [] { encode("a", "nothing"); }));
  EXPECT_TRUE(throws_naming<ConfigError>("expected one of english_phoneme",
                                         [] { golden_front_end().tokens("\n"); }));
}

TEST(FrontEnd, IdsSayWhereTheyComeFrom) {
  EXPECT_EQ(shown(encode("in b").spans), "0-2 0-2 2-3 3-4");
  EXPECT_EQ(shown(encode("e\xCC\x81 \xEF\xAC\x81").spans), "0-1 2-3 3-4 3-4");
  EXPECT_EQ(shown(encode("is-b").spans), "0-2 0-2 2-3 3-4");
  EXPECT_EQ(shown(encode("|\xC9\xAA z|").spans), "1-2 3-4");
  EXPECT_EQ(shown(encode("sol", "spanish_phoneme").spans), "0-0 0-3 0-3 0-3 0-3 3-3");
  EXPECT_EQ(shown(encode("\xC3\xA9", "byt5").spans), "0-1 0-1 1-1");
  EXPECT_EQ(shown(encode(" a\xCC\x81  b ", "english_chars").spans), "1-2 3-4 5-6");
}

TEST(FrontEnd, CountsWhatNoSymbolSpeaks) {
  EXPECT_TRUE(dropped("Hello r\xC3\xA9sum\xC3\xA9, world!").empty());
  EXPECT_EQ(dropped("a\tb \xF0\x9F\x99\x82\xF0\x9F\x99\x82 | %"),
            (std::map<std::string, std::int64_t>{
                {"\t", 1}, {"%", 1}, {"|", 1}, {"\xF0\x9F\x99\x82", 2}}));
  EXPECT_EQ(dropped("b|zz y|"), (std::map<std::string, std::int64_t>{{"y", 1}, {"z", 2}}));
  EXPECT_EQ(dropped("a1 \xC3\x9F", "english_chars"),
            (std::map<std::string, std::int64_t>{{"1", 1}, {"\xC3\x9F", 1}}));
  TextOptions strict;
  strict.strict = true;
  EXPECT_NO_THROW(encode("Hello world.", "english_phoneme", strict));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "no symbol of english_phoneme speaks U+0009 \"\\x09\", U+1F642 \"\xF0\x9F\x99\x82\" (2 "
      "times)",
      [&] { encode("a\t\xF0\x9F\x99\x82 \xF0\x9F\x99\x82", "english_phoneme", strict); }));
}

TEST(FrontEnd, ReadsSpecialIdsOnlyIfAsked) {
  const std::int32_t offset = encode("", "byt5").ids[0] - 1;
  TextOptions special;
  special.special_text = true;
  const auto ids = [&](const std::string& text) {
    std::vector<std::int32_t> local = encode(text, "byt5", special).ids;
    for (std::int32_t& id : local) id -= offset;
    return local;
  };
  using Ids = std::vector<std::int32_t>;
  EXPECT_EQ(encode("</s>", "byt5").ids.size(), 5U);
  EXPECT_EQ(ids("</s>"), Ids{1});
  EXPECT_EQ(ids("</s>a"), (Ids{1, 100, 1}));
  EXPECT_EQ(ids(" <pad> <unk> "), (Ids{0, 2, 1}));
  EXPECT_EQ(ids("<extra_id_124><extra_id_0>"), (Ids{383, 259, 1}));
  EXPECT_EQ(ids(" <extra_id_1> "), (Ids{35, 260, 35, 1}));
  for (const std::string text :
       {"<extra_id_125>", "<extra_id_01>", "<extra_id_>", "<pad", "< pad>"})
    EXPECT_EQ(ids(text).size(), text.size() + 1) << text;
}

TEST(FrontEnd, TheLexiconComesFirst) {
  const std::vector<LexiconEntry> lexicon = {{"read",
                                              " \xCB\x88 \xC9\xB9\xC9\x9B"
                                              "d",
                                              false},
                                             {"ON", "n", true},
                                             {"zo\xC3\xAB", "zo", false}};
  const auto say = [&](const std::string& text) {
    return spoken(golden_front_end(), text, "english_phoneme", lexicon);
  };
  EXPECT_EQ(say("read READ Read"),
            "\xCB\x88\xC9\xB9\xC9\x9B"
            "d \xCB\x88\xC9\xB9\xC9\x9B"
            "d \xCB\x88\xC9\xB9\xC9\x9B"
            "d");
  EXPECT_EQ(say("ON on"), "n \xC9\x91n");
  EXPECT_EQ(say("Zo\xC3\xAB Zoe"), "zo zo");
  EXPECT_EQ(say("b-read"),
            "B-\xCB\x88\xC9\xB9\xC9\x9B"
            "d");
  EXPECT_EQ(say("reads"), "\xCB\x88\xC9\xB9idz");  // by the dictionary
}

TEST(FrontEnd, LexiconsAreChecked) {
  const auto refuses = [](const LexiconEntry& entry, const std::string& part,
                          const std::string& tokenizer = "english_phoneme") {
    return throws_naming<ConfigError>(
        part, [&] { golden_front_end().encode(plain("a"), tokenizer, {}, {entry}); });
  };
  EXPECT_TRUE(
      refuses({"read", "\xE2\x82\xAC", false}, "english_phoneme has no symbol \"\xE2\x82\xAC\""));
  EXPECT_TRUE(refuses({"two words", "a", false}, "\"two words\": expected one word"));
  EXPECT_TRUE(refuses({"", "a", false}, "expected one word"));
  EXPECT_TRUE(refuses({"x", " ", false}, "expected symbols, got none"));
  EXPECT_TRUE(refuses({"x\xFF", "a", false}, "expected UTF-8"));
  EXPECT_TRUE(refuses({"x", "a", false}, "which has no phonemes", "byt5"));
  EXPECT_TRUE(refuses({"x", "a", false}, "which has no phonemes", "english_chars"));
}

TEST(FrontEnd, PartsOfOneTokenizerAreOneText) {
  std::vector<TextPart> parts(3);
  parts[0].text = "in ";
  parts[1].text = "\xC9\xAA z";
  parts[1].is_phonemes = true;
  parts[1].begin = 10;
  parts[2].text = " b ";
  parts[2].spans = {{20, 21}, {21, 25}, {25, 26}};
  const EncodedText encoded = golden_front_end().encode(parts, "english_phoneme");
  std::string joined;
  for (const auto& symbol : test::symbols_of(golden_front_end(), "english_phoneme", encoded.ids))
    joined += symbol;
  EXPECT_EQ(joined, "\xC9\xAAn \xC9\xAAz B");
  EXPECT_EQ(shown(encoded.spans), "0-2 0-2 2-3 10-11 12-13 20-21 21-25");
}

TEST(FrontEnd, PartsOfOtherTokenizersFollow) {
  std::vector<TextPart> parts(2);
  parts[0].text = "in ";
  parts[1].text = "sol";
  parts[1].tokenizer = "spanish_phoneme";
  const auto ids = golden_front_end().encode(parts, "english_phoneme").ids;
  std::vector<std::int32_t> expected = encode("in").ids;
  for (const std::int32_t id : encode("sol", "spanish_phoneme").ids) expected.push_back(id);
  EXPECT_EQ(ids, expected);
}

TEST(FrontEnd, PartsAreChecked) {
  TextPart part;
  part.text = "\xC9\xAA?\xE2\x82\xAC";
  part.is_phonemes = true;
  const auto run = [&](const std::string& tokenizer = "english_phoneme") {
    return [&, tokenizer] { golden_front_end().encode({part}, tokenizer); };
  };
  EXPECT_TRUE(throws_naming<ConfigError>("phonemes: english_phoneme has no symbol", run()));
  EXPECT_TRUE(throws_naming<ConfigError>("which has no phonemes", run("german_chars")));
  part.spans = {{0, 1}};
  EXPECT_TRUE(throws_naming<ConfigError>("expected one for each of 3 characters, got 1", run()));
  part = {};
  part.begin = -1;
  EXPECT_TRUE(throws_naming<ConfigError>("begin: expected 0 to", run()));
}

TEST(FrontEnd, ChunksEndInTheirId) {
  const TextFrontEnd& of = golden_front_end();
  const EncodedChunks chunks =
      of.encode_chunks("in. \xF0\x9F\x99\x82. is.", "en", TextSplit::sentences);
  ASSERT_EQ(chunks.lengths, (std::vector<std::int32_t>{4, 2, 4}));
  EXPECT_EQ(chunks.ids.size(), 10U);
  EXPECT_EQ(chunks.ids[3], of.text_eos());
  EXPECT_EQ(shown(chunks.spans), "0-2 0-2 2-3 3-3 5-6 6-6 7-9 7-9 9-10 10-10");
  EXPECT_EQ(chunks.pieces[2].text, "Is.");
  EXPECT_EQ(chunks.dropped.size(), 1U);
}

TEST(FrontEnd, ChunksThatCannotBeSpokenAreLeftOut) {
  const TextFrontEnd& of = golden_front_end();
  const EncodedChunks chunks = of.encode_chunks(
      "in\xE0\xA5\xA4\xF0\x9F\x99\x82\xE0\xA5\xA4 \xE0\xA5\xA4", "hi", TextSplit::sentences);
  EXPECT_EQ(chunks.lengths.size(), 3U);  // each has a danda, which Hindi speaks
  const EncodedChunks english =
      of.encode_chunks("in! \xE2\x80\x8B\xE2\x80\x8B", "en", TextSplit::sentences);
  ASSERT_EQ(english.lengths.size(), 1U);
  EXPECT_EQ(english.pieces.size(), 1U);
  EXPECT_EQ(english.dropped[0].count, 2);
}

TEST(FrontEnd, TextsWithNothingToSpeak) {
  for (const char* text : {"", "   ", "\xF0\x9F\x99\x82", "\xE2\x80\x8B", "\t\n", "|", "||"}) {
    for (const TextSplit mode : {TextSplit::never, TextSplit::sentences})
      EXPECT_TRUE(throws_naming<ConfigError>("no speakable symbol", [&] {
        golden_front_end().encode_chunks(text, "en", mode);
      })) << text;
  }
  EXPECT_TRUE(throws_naming<ConfigError>("it has none for U+1F642", [] {
    golden_front_end().encode_chunks(" \xF0\x9F\x99\x82 ", "es", TextSplit::automatic);
  }));
}

TEST(FrontEnd, MalformedTextsNameTheByte) {
  for (const std::string bad : {"\xED\xA0\xBD", "\xFF", "\xC3", "\xF4\x90\x80\x80", "\xC0\xAF"}) {
    EXPECT_TRUE(throws_naming<ConfigError>("at byte 3 after 2 characters",
                                           [&] { encode("a\xC3\xA9" + bad); }));
    EXPECT_TRUE(throws_naming<ConfigError>(
        "expected UTF-8", [&] { golden_front_end().split(bad, "en", TextSplit::automatic); }));
  }
  EXPECT_TRUE(throws_naming<ConfigError>("expected at most 16777216 bytes", [] {
    encode(std::string((std::size_t{16} << 20) + 1, 'a'));
  }));
}

// Right to left marks, zero width characters, NUL and the highest code point are characters like
// any other.
TEST(FrontEnd, OddCharactersAreCountedAndLeftOut) {
  const std::string odd =
      std::string("in\0", 3) + "\xE2\x80\xAE\xE2\x80\x8B\xEF\xBB\xBF\xF4\x8F\xBF\xBF" + "in";
  const EncodedText encoded = encode(odd);
  EXPECT_EQ(encoded.dropped.size(), 5U);
  EXPECT_EQ(encoded.ids.size(), 4U);
  for (const TextTokenizerInfo& info : golden_front_end().tokenizers()) {
    if (info.kind == "mandarin") continue;
    EXPECT_NO_THROW(encode(odd, info.name)) << info.name;
  }
}

// Long texts of every kind in every kind of tokenizer: quadratic time would take minutes for each.
TEST(FrontEnd, LongTextsTakeLinearTime) {
  const std::string units[] = {"hello world, ",
                               "a",
                               "a-",
                               "-",
                               "|",
                               "| ",
                               "| |",
                               "'s",
                               "\xCE\xA3\xCC\x81",
                               "e\xCC\x81\xCC\xA3",
                               "\xF0\x9F\x99\x82",
                               "\xEF\xAC\x81-",
                               "5 - ",
                               "<",
                               "<pad> ",
                               "<extra_id_",
                               "l'"};
  TextOptions special;
  special.special_text = true;
  for (const std::string& unit : units) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    for (const char* name : {"english_phoneme", "german_phoneme", "french_ipa", "byt5",
                             "english_chars", "hindi_chars_new", "spanish_chars"}) {
      const EncodedText encoded = encode(text + "e", name, special);
      EXPECT_EQ(encoded.ids.size(), encoded.spans.size());
    }
  }
}

}  // namespace
}  // namespace ttsrt
