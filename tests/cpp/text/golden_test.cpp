// Every text of the original's answers gives the original's ids, and what fails there is a named
// error here. The original reads special ids out of texts for bytes, which has to be asked for
// here.
#include "text/golden.h"

#include "support/errors.h"

namespace ttsrt {
namespace {

using test::golden;
using test::golden_front_end;
using test::plain;

TextOptions as_original() {
  TextOptions options;
  options.special_text = true;
  return options;
}

bool is_foreign(const TextTokenizerInfo& info) { return info.kind == "mandarin"; }

TEST(Golden, Vocabularies) {
  std::int32_t offset = 0;
  for (const TextTokenizerInfo& info : golden_front_end().tokenizers()) {
    const Json& of = golden()["tokenizers"][info.name];
    EXPECT_EQ(info.offset, offset) << info.name;
    EXPECT_EQ(info.size, of["size"]) << info.name;
    EXPECT_EQ(info.pad, offset + of["pad"].get<std::int32_t>()) << info.name;
    offset += info.size;
    if (!of.contains("tokens")) continue;
    EXPECT_EQ(golden_front_end().tokens(info.name), of["tokens"].get<std::vector<std::string>>())
        << info.name;
  }
  EXPECT_EQ(golden_front_end().tokenizers().size(), golden()["tokenizers"].size());
  EXPECT_EQ(golden_front_end().size(), offset);
}

TEST(Golden, Ids) {
  int cases = 0;
  for (const TextTokenizerInfo& info : golden_front_end().tokenizers()) {
    for (const Json& of : golden()["tokenizers"][info.name]["cases"]) {
      const std::string text = of["text"];
      const auto encode = [&] {
        return golden_front_end().encode(plain(text), info.name, as_original());
      };
      ++cases;
      if (is_foreign(info)) {
        EXPECT_TRUE(test::throws_naming<ConfigError>("needs Python's front end", encode));
      } else if (of.contains("original_raises")) {
        EXPECT_TRUE(test::throws_naming<ConfigError>("no speakable symbol", encode)) << text;
      } else {
        std::vector<std::int32_t> ids = of["ids"];
        for (std::int32_t& id : ids) id += info.offset;
        const EncodedText encoded = encode();
        EXPECT_EQ(encoded.ids, ids) << info.name << ": " << text;
        EXPECT_EQ(encoded.spans.size(), ids.size()) << info.name << ": " << text;
      }
    }
  }
  EXPECT_GT(cases, 120);
}

TEST(Golden, Aggregates) {
  for (const auto& [name, of] : golden()["aggregates"].items()) {
    test::FrontEndFolder folder;
    folder.keep(of["order"]);
    folder.json["text_bos"] = of["bos"];
    folder.json["text_eos"] = of["eos"];
    const auto front_end = folder.open();
    EXPECT_EQ(front_end->size(), of["size"]) << name;
    EXPECT_EQ(front_end->text_bos(), front_end->size());
    for (const TextTokenizerInfo& info : front_end->tokenizers()) {
      EXPECT_EQ(info.offset, of["offsets"][info.name]) << info.name;
      EXPECT_EQ(info.size, of["sizes"][info.name]) << info.name;
      EXPECT_EQ(info.pad, of["pad_ids"][info.name]) << info.name;
    }
    EXPECT_EQ(front_end->tokenizers()[0].pad, of["pad"]);
    for (const Json& each : of["cases"]) {
      if (each["tokenizer"] == "mandarin_phoneme") continue;
      const EncodedText encoded = front_end->encode(plain(each["text"]), each["tokenizer"]);
      EXPECT_EQ(encoded.ids, each["ids"].get<std::vector<std::int32_t>>()) << each["text"];
    }
  }
}

TEST(Golden, Splitting) {
  const TextFrontEnd& front_end = golden_front_end();
  for (const auto& [language, threshold] : golden()["split"]["thresholds"].items())
    EXPECT_EQ(front_end.threshold(language), threshold) << language;
  for (const Json& of : golden()["split"]["cases"]) {
    const std::string text = of["text"];
    const std::string language = of["language"] == "pt" ? "pt-BR" : of["language"];
    const std::int64_t count = front_end.count(text, language);
    EXPECT_EQ(count, of["count"]) << text;
    EXPECT_EQ(count >= front_end.threshold(language), of["long"]) << text;
    std::vector<std::string> sentences;
    for (const TextPiece& piece : front_end.split(text, language, TextSplit::sentences))
      sentences.push_back(piece.text);
    EXPECT_EQ(sentences, of["sentences"].get<std::vector<std::string>>()) << text;
    const auto chunks = front_end.split(text, language, TextSplit::automatic);
    EXPECT_EQ(chunks.size(), of["long"] ? sentences.size() : 1) << text;
  }
}

// Random dictionaries, options and texts (tests/parity/originals/text.py): ids, or null where the
// original fails, as it has nothing but spaces left.
const Json& random_cases() {
  static const Json read = test::read_json(test::text_data("random.json"));
  return read;
}

void compare(const TextFrontEnd& front_end, const std::string& tokenizer, const Json& cases) {
  std::int32_t offset = 0;
  for (const TextTokenizerInfo& info : front_end.tokenizers()) {
    if (info.name == tokenizer) offset = info.offset;
  }
  for (const Json& each : cases) {
    const std::string text = each[0];
    const auto encode = [&] { return front_end.encode(plain(text), tokenizer); };
    if (each[1].is_null()) {
      EXPECT_TRUE(test::throws_naming<ConfigError>("no speakable symbol", encode)) << text;
      continue;
    }
    std::vector<std::int32_t> ids = each[1];
    for (std::int32_t& id : ids) id += offset;
    EXPECT_EQ(encode().ids, ids) << tokenizer << ": " << each[0];
  }
}

TEST(Golden, RandomDictionaries) {
  for (const Json& of : random_cases()["ipa"]) {
    test::FrontEndFolder folder;
    for (const auto& [name, contents] : of["files"].items())
      test::write_file(folder.file(name), contents);
    folder.json["tokenizers"] = Json::array({of["tokenizer"]});
    folder.json["languages"] = {{"en", "random"}};
    const auto front_end = folder.open();
    EXPECT_EQ(front_end->tokens("random"), of["tokens"].get<std::vector<std::string>>())
        << of["tokenizer"].dump();
    compare(*front_end, "random", of["cases"]);
    if (testing::Test::HasFailure()) {
      FAIL() << of["tokenizer"].dump() << of["files"].dump();
    }
  }
}

TEST(Golden, RandomCharacters) {
  for (const auto& [name, cases] : random_cases()["chars"].items())
    compare(golden_front_end(), name, cases);
}

TEST(Golden, RandomSplits) {
  for (const Json& of : random_cases()["split"]) {
    const std::string language = of[0], text = of[1];
    EXPECT_EQ(golden_front_end().count(text, language), of[2]) << text;
    std::vector<std::string> sentences;
    for (const TextPiece& piece : golden_front_end().split(text, language, TextSplit::sentences))
      sentences.push_back(piece.text);
    EXPECT_EQ(sentences, of[3].get<std::vector<std::string>>()) << language << ": " << text;
  }
}

}  // namespace
}  // namespace ttsrt
