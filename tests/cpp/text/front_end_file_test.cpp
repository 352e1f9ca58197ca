// Descriptions of front ends: what is missing, of a wrong type or inconsistent is named, and
// options change what they say.
#include "support/errors.h"
#include "text/front_end_data.h"
#include "text/golden.h"

namespace ttsrt {
namespace {

using test::FrontEndFolder;
using test::plain;
using test::spoken;

::testing::AssertionResult refuses(const FrontEndFolder& folder, const std::string& part) {
  return test::throws_naming<FormatError>(part, [&] { folder.open(); });
}

FrontEndFolder& small(FrontEndFolder& folder) {
  folder.keep({"english_phoneme", "byt5", "english_chars"});
  return folder;
}

TEST(FrontEndFile, WrongFieldsAreNamed) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"({"format": "ttsrt.engine"})", ".format: expected \"ttsrt.front_end\""},
      {R"({"format_version": 2})", ".format_version: expected 1, got 2"},
      {R"({"tokenizers": []})", ".tokenizers: expected a list of 1 to 256"},
      {R"({"tokenizers": 3})", ".tokenizers: expected a list"},
      {R"({"tokenizers": [3]})", ".tokenizers[0]: expected an object, got number"},
      {R"({"languages": {"en": "nobody"}})",
       ".languages.en: expected the name of a tokenizer, got \"nobody\""},
      {R"({"languages": {"en": 3}})", ".languages.en: expected a string, got number"},
      {R"({"languages": []})", ".languages: expected an object"},
      {R"({"default_language": "de"})",
       ".default_language: expected a language or the name of a tokenizer, got \"de\""},
      {R"({"text_eos": 1})", ".text_eos: expected an id behind the"},
      {R"({"text_eos": null})", ".text_eos: "},
      {R"({"text_bos": -1})", ".text_bos: "}};
  for (const auto& [patch, part] : wrong) {
    FrontEndFolder folder;
    small(folder).json.update(Json::parse(patch));
    EXPECT_TRUE(refuses(folder, part)) << patch;
    EXPECT_TRUE(refuses(folder, "front_end.json")) << patch;
  }
}

TEST(FrontEndFile, WrongFieldsOfTokenizersAreNamed) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"({"name": ""})", "[0].name: expected a name"},
      {R"({"name": "byt5"})", "[1].name: expected each once, got \"byt5\" again"},
      {R"({"kind": "words"})", "[0].kind: expected one of ipa, bytes, chars, mandarin, japanese"},
      {R"({"case": "title"})", "[0].case: expected one of upper, lower, mixed; got \"title\""},
      {R"({"dictionaries": []})", "[0].dictionaries: expected at least one file, got none"},
      {R"({"dictionaries": ["../en.dict"]})", "[0].dictionaries: expected a file's name"},
      {R"({"dictionaries": [".en.dict"]})", "[0].dictionaries: expected a file's name"},
      {R"({"dictionaries": ["none.dict"]})", "none.dict"},
      {R"({"dictionaries": ["en.heteronyms"]})", "en.heteronyms:1: expected a word and"},
      {R"({"dictionaries": ["a.table", "b.table"]})", "expected one table, got 2"},
      {R"({"heteronyms": "a/b"})", "[0].heteronyms: expected a file's name"},
      {R"({"heteronyms": 3})", "[0].heteronyms: "},
      {R"({"punctuation": ","})", "[0].punctuation: expected a list of at most"},
      {R"({"punctuation": [","," ",3]})", "[0].punctuation[2]: expected a string, got number"},
      {R"({"use_chars": 1})", "[0].use_chars: "},
      {R"({"add_blank_at": "first"})", "[0].add_blank_at: expected one of true, last"}};
  for (const auto& [patch, part] : wrong) {
    FrontEndFolder folder;
    small(folder).tokenizer("english_phoneme").update(Json::parse(patch));
    EXPECT_TRUE(refuses(folder, part)) << patch;
  }
  FrontEndFolder folder;
  small(folder).tokenizer("english_chars").update(Json::parse(R"({"prepare": "nfd"})"));
  EXPECT_TRUE(refuses(folder, "[2].prepare: expected one of english, nfc, lower; got \"nfd\""));
}

TEST(FrontEndFile, DictionariesWithoutWordsAreRefused) {
  FrontEndFolder folder;
  test::write_file(small(folder).file("en.dict"), ";;; nothing\n");
  EXPECT_TRUE(refuses(folder, "expected words, got files without any"));
}

TEST(FrontEndFile, DictionariesAreMerged) {
  FrontEndFolder folder;
  test::write_file(small(folder).file("more.dict"), "READ  x\nNEW  nu\n");
  Json& english = folder.tokenizer("english_phoneme");
  english["heteronyms"] = nullptr;
  english["dictionaries"] = {"en.dict", "more.dict"};
  EXPECT_EQ(spoken(*folder.open(), "read new"), "\xCB\x88\xC9\xB9id nu");
  english["dictionaries"] = {"more.dict", "en.dict"};
  EXPECT_EQ(spoken(*folder.open(), "read new"), "x nu");
}

TEST(FrontEndFile, SilenceAndBlanksStandBehindTheSymbols) {
  FrontEndFolder folder;
  Json& english = small(folder).tokenizer("english_phoneme");
  const auto last = [&](std::size_t count) {
    const auto tokens = folder.open()->tokens("english_phoneme");
    std::string joined;
    for (std::size_t i = tokens.size() - count; i < tokens.size(); ++i) joined += tokens[i] + ",";
    return joined;
  };
  english["silence"] = "<sil>";
  EXPECT_EQ(last(4), " ,<sil>,<pad>,<oov>,");
  english["add_blank_at"] = "true";
  folder.json["text_bos"] = folder.json["text_eos"] = 5000;
  EXPECT_EQ(last(4), "<sil>,<pad>,<blank>,<oov>,");
  english["add_blank_at"] = "last";
  EXPECT_EQ(last(4), "<sil>,<pad>,<oov>,<blank>,");
  EXPECT_EQ(spoken(*folder.open(), "|<sil>|b"), "<sil>B");
}

TEST(FrontEndFile, AFixedVocabularyReplacesTheSymbols) {
  FrontEndFolder folder;
  Json& english = small(folder).tokenizer("english_phoneme");
  english["heteronyms"] = nullptr;
  english["punctuation"] = {"."};
  english["apostrophe"] = false;
  english["fixed_vocab"] = {"A", "I", "N", "S", "\xC3\xA9", " ", "\xC9\xAA", "n"};
  const auto front_end = folder.open();
  EXPECT_EQ(front_end->tokens("english_phoneme"),
            (std::vector<std::string>{" ", ".", "A", "I", "N", "S", "e", "n", "\xC9\xAA", "<pad>",
                                      "<oov>"}));
  EXPECT_EQ(spoken(*front_end, "in is sin."), "\xC9\xAAn IS SIN.");
}

TEST(FrontEndFile, OtherFilesThanJsonAreRefused) {
  const test::TempDir dir;
  EXPECT_TRUE(
      test::throws_naming<FormatError>("front_end.json", [&] { TextFrontEnd::open(dir.path()); }));
  test::write_file(dir.file("front_end.json"), "{");
  EXPECT_TRUE(
      test::throws_naming<FormatError>("front_end.json", [&] { TextFrontEnd::open(dir.path()); }));
}

}  // namespace
}  // namespace ttsrt
