// A packed front end gives the ids of the checkpoint's, and needs none of its dictionaries.
#include "text/pack.h"

#include "support/errors.h"
#include "text/golden.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;

// A checkpoint's folder with the golden front end, and an empty engine's.
struct Folders {
  Folders() { fs::create_directory(checkpoint.file("text")); }
  void add(const std::string& name, const std::string& contents) const {
    test::write_file(checkpoint.file("text/" + name), contents);
  }
  void add_golden() const {
    for (const auto& entry : fs::directory_iterator(test::text_data("golden")))
      add(entry.path().filename().string(), test::read_file(entry.path().string()));
  }
  void pack() const { text::pack_front_end(checkpoint.path(), engine.path()); }

  test::TempDir checkpoint, engine;
};

TEST(Pack, IdsStayAsTheyAre) {
  const Folders folders;
  folders.add_golden();
  folders.add("pinyin.dict", "NI\tn i\n");  // of a tokenizer that Python has
  folders.add(".hidden", "x");
  folders.pack();
  EXPECT_TRUE(fs::exists(folders.engine.file("text/pinyin.dict")));
  EXPECT_TRUE(fs::exists(folders.engine.file("text/en.heteronyms")));
  for (const char* name : {"text/en.dict", "text/de.dict", "text/.hidden"})
    EXPECT_FALSE(fs::exists(folders.engine.file(name))) << name;
  const auto packed = TextFrontEnd::find(folders.engine.path());
  ASSERT_NE(packed, nullptr);
  const TextFrontEnd& given = test::golden_front_end();
  EXPECT_EQ(packed->size(), given.size());
  TextOptions special;
  special.special_text = true;
  for (const TextTokenizerInfo& info : given.tokenizers()) {
    EXPECT_EQ(packed->tokens(info.name), given.tokens(info.name)) << info.name;
    if (info.kind == "mandarin") continue;
    for (const Json& of : test::golden()["tokenizers"][info.name]["cases"]) {
      if (of.contains("original_raises")) continue;
      const auto text = test::plain(of["text"]);
      EXPECT_EQ(packed->encode(text, info.name, special).ids,
                given.encode(text, info.name, special).ids)
          << info.name << ": " << of["text"];
    }
  }
}

TEST(Pack, ADictionaryThatPythonReadsTooIsKept) {
  const Folders folders;
  folders.add_golden();
  Json json = test::read_json(folders.checkpoint.file("text/front_end.json"));
  for (Json& tokenizer : json["tokenizers"]) {
    if (tokenizer["kind"] == "mandarin") tokenizer["dictionaries"] = {"en.dict"};
  }
  folders.add("front_end.json", json.dump());
  folders.pack();
  EXPECT_TRUE(fs::exists(folders.engine.file("text/en.dict")));
  EXPECT_FALSE(fs::exists(folders.engine.file("text/de.dict")));
}

TEST(Pack, PackedFrontEndsPackAgain) {
  const Folders folders;
  folders.add_golden();
  folders.pack();
  const test::TempDir again;
  text::pack_front_end(folders.engine.path(), again.path());
  EXPECT_EQ(TextFrontEnd::find(again.path())->encode(test::plain("hello"), "english_phoneme").ids,
            test::golden_front_end().encode(test::plain("hello"), "english_phoneme").ids);
}

TEST(Pack, FoldersWithoutAFrontEndHaveNone) {
  const Folders folders;
  folders.pack();
  EXPECT_FALSE(fs::exists(folders.engine.file("text")));
  EXPECT_EQ(TextFrontEnd::find(folders.engine.path()), nullptr);
}

TEST(Pack, WhatOnlyPythonKnowsIsCopied) {
  const Folders folders;
  folders.add("front_end.json", R"({"format": "ttsrt.front_end", "kind": "t3"})");
  folders.add("tokenizer.json", "{}");
  folders.pack();
  EXPECT_EQ(test::read_file(folders.engine.file("text/tokenizer.json")), "{}");
  EXPECT_EQ(TextFrontEnd::find(folders.engine.path()), nullptr);
}

TEST(Pack, DamagedFrontEndsAreRefused) {
  const Folders folders;
  folders.add_golden();
  folders.add("en.dict", "A\n");
  EXPECT_TRUE(test::throws_naming<FormatError>("en.dict:1: expected a word and its pronunciation",
                                               [&] { folders.pack(); }));
  folders.add("front_end.json", R"({"tokenizers": 1})");
  EXPECT_TRUE(test::throws_naming<FormatError>("front_end.json", [&] { folders.pack(); }));
}

}  // namespace
}  // namespace ttsrt
