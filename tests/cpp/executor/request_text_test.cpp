// A request's text becomes the ids of its engine's front end, from the checkpoint to the executor.
#include "executor/request_text.h"

#include <gtest/gtest.h>

#include <chrono>

#include "support/errors.h"
#include "support/tiny_executor.h"

namespace ttsrt {
namespace {

using test::throws_naming;

// A front end of the seven ids that the tiny model has before text_bos.
Json tiny_front_end() {
  return Json::parse(R"({
    "format": "ttsrt.front_end", "format_version": 1,
    "tokenizers": [{"name": "letters", "kind": "chars", "characters": ["a", "b", "c"],
                    "prepare": "lower", "accepts": "alnum", "apostrophe": false,
                    "punctuation": ["."], "pad_with_space": false, "add_blank_at": null}],
    "languages": {"en": "letters"}, "default_language": "en", "text_bos": 7, "text_eos": 8})");
}

class RequestText : public testing::Test {
 protected:
  RequestText() : folder_(), checkpoint_(folder_.file("checkpoint")) {
    test::write_checkpoint(checkpoint_, test::tiny_config());
    std::filesystem::create_directory(checkpoint_ + "/text");
    write(tiny_front_end());
  }
  void write(const Json& front_end) const {
    test::write_file(checkpoint_ + "/text/front_end.json", front_end.dump());
  }
  std::string engine() const { return folder_.file("engine"); }
  void build_engine(BuildOptions options = {}) const {
    options.overwrite = true;
    build(checkpoint_, engine(), options);
  }
  static Request request(const std::string& text) {
    Request of;
    of.text = text;
    of.voice = 0;
    return of;
  }

  test::TempDir folder_;
  std::string checkpoint_;
};

TEST_F(RequestText, TextGivesWhatItsIdsGive) {
  build_engine();
  const Engine opened = Engine::open(engine());
  ASSERT_NE(opened.front_end(), nullptr);
  EXPECT_EQ(opened.front_end()->default_language(), "en");
  ExecutorOptions options;
  options.device = "reference";
  Executor executor(opened, options);
  const Result by_ids = executor.generate(test::spoken({1, 0, 2, 4, 8}, 3));
  for (const char* language : {"", "en", "en-GB", "letters"}) {
    Request of = request("A  b.");
    of.seed = 3;
    of.language = language;
    EXPECT_EQ(executor.generate(of).codes.values, by_ids.codes.values) << language;
  }
}

TEST_F(RequestText, LongTextsAreSpokenInChunks) {
  build_engine();
  ExecutorOptions options;
  options.device = "reference";
  Executor executor(Engine::open(engine()), options);
  const int sentences = 23;  // of two words: English takes 44 at once
  Request by_ids = test::spoken({}, 3);
  std::string text;
  for (int i = 0; i < sentences; ++i) {
    text += "A b. ";
    by_ids.text_ids.insert(by_ids.text_ids.end(), {1, 0, 2, 4, 8});
    by_ids.text_chunks.push_back(5);
  }
  Request of = request(text);
  of.seed = 3;
  of.max_frames = by_ids.max_frames = 60;
  const Result expected = executor.generate(by_ids);
  EXPECT_GT(expected.chunk_steps.size(), 1U);
  const Result found = executor.generate(of);
  EXPECT_EQ(found.codes.values, expected.codes.values);
  EXPECT_EQ(found.chunk_steps, expected.chunk_steps);
}

TEST_F(RequestText, ResultsTellWhatBecameOfTheText) {
  build_engine();
  ExecutorOptions options;
  options.device = "reference";
  Executor executor(Engine::open(engine()), options);
  Request of = request("A? \xC3\x84 b??.");
  of.language = "en-GB";
  const Result found = executor.generate(of);
  EXPECT_EQ(found.text, "A? \xC3\x84 b??.");
  EXPECT_EQ(found.language, "en");
  EXPECT_EQ(found.text_ids, (std::vector<std::int32_t>{1, 0, 2, 4, 8}));
  ASSERT_EQ(found.text_spans.size(), 5U);
  const std::int32_t expected[][2] = {{0, 1}, {2, 3}, {5, 6}, {8, 9}, {9, 9}};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(found.text_spans[i].begin, expected[i][0]) << i;
    EXPECT_EQ(found.text_spans[i].end, expected[i][1]) << i;
  }
  ASSERT_EQ(found.dropped_text.size(), 2U);
  EXPECT_EQ(found.dropped_text[0].character, "?");
  EXPECT_EQ(found.dropped_text[0].count, 3);
  EXPECT_EQ(found.dropped_text[1].count, 1);
  of.language = "letters";
  EXPECT_EQ(executor.generate(of).language, "en");
  const Result plain = executor.generate(test::spoken({1, 8}, 3));
  EXPECT_TRUE(plain.text.empty() && plain.text_ids.empty() && plain.dropped_text.empty());
}

TEST_F(RequestText, CancelledRequestsTellTheirTextToo) {
  build_engine();
  ExecutorOptions options;
  options.device = "reference";
  Executor executor(Engine::open(engine()), options);
  Request of = request("A?");
  of.deadline = 1e-9;
  const std::optional<Result> late = executor.submit(of).result();
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->finish_reason, FinishReason::deadline);
  EXPECT_EQ(late->text, "A?");
  EXPECT_EQ(late->dropped_text.size(), 1U);
}

TEST_F(RequestText, OptionsSayHowTextsAreRead) {
  build_engine();
  ExecutorOptions options;
  options.device = "reference";
  Executor executor(Engine::open(engine()), options);
  Request of = request("A b. A b.");
  EXPECT_EQ(executor.generate(of).chunk_steps.size(), 1U);
  of.text_split = TextSplit::sentences;
  of.max_frames = 60;
  const Result two = executor.generate(of);
  EXPECT_EQ(two.text_ids, (std::vector<std::int32_t>{1, 0, 2, 4, 8, 1, 0, 2, 4, 8}));
  EXPECT_EQ(two.chunk_steps.size(), 2U);
  Request strict = request("A?");
  strict.text_options.strict = true;
  EXPECT_TRUE(throws_naming<ConfigError>("speaks U+003F \"?\"", [&] { executor.submit(strict); }));
  Request names = request("A");
  names.lexicon = {{"a", "b", false}};
  EXPECT_TRUE(throws_naming<ConfigError>("lexicon", [&] { executor.submit(names); }));
  for (int i = 0; i < 3; ++i) {
    Request alone = test::spoken({1, 8}, 3);
    if (i == 0) alone.text_options.special_text = true;
    if (i == 1) alone.text_split = TextSplit::never;
    if (i == 2) alone.lexicon = {{"a", "b", false}};
    EXPECT_TRUE(throws_naming<ConfigError>("expected with a text, got it alone",
                                           [&] { executor.submit(alone); }));
  }
}

TEST_F(RequestText, TimesCountFromSubmitNotFromTheEndOfTheText) {
  build_engine();
  ExecutorOptions options;
  options.device = "reference";
  const Engine opened = Engine::open(engine());
  Executor executor(opened, options);
  const std::string text = "a" + std::string(std::size_t{4} << 20, '?');
  const auto begin = std::chrono::steady_clock::now();
  opened.front_end()->encode_chunks(text, "en", TextSplit::automatic);
  const std::chrono::duration<double> alone = std::chrono::steady_clock::now() - begin;
  const Result found = executor.generate(request(text));
  EXPECT_GT(found.metrics.queue_seconds, 0.2 * alone.count());
  EXPECT_GE(found.metrics.first_frame_seconds, found.metrics.queue_seconds);
}

TEST_F(RequestText, WrongTextsAreRefused) {
  BuildOptions limits;
  limits.max_encoder_input_len = 6;
  build_engine(limits);
  ExecutorOptions options;
  options.device = "reference";
  Executor executor(Engine::open(engine()), options);
  const auto refuses = [&](const Request& of, const std::string& part) {
    return throws_naming<ConfigError>(part, [&] { executor.submit(of); });
  };
  EXPECT_TRUE(refuses(request("?"), "text has no speakable symbol; it has none for U+003F \"?\""));
  EXPECT_TRUE(refuses(request("a\xFF"), "text: expected UTF-8; at byte 1"));
  EXPECT_TRUE(refuses(request("abcabc"),
                      "text: chunk 1 (\"abcabc\"): expected at most 6 ids "
                      "(max_encoder_input_len), got 7; split=\"phrases\" makes shorter chunks"));
  Request second = request("A. Abcabcabcabcabcabcabcabc.");
  second.text_split = TextSplit::sentences;
  EXPECT_TRUE(refuses(second, "text: chunk 2 (\"Abcabcabcabcabcabcab...\"): expected at most 6"));
  Request both = request("a");
  both.text_ids = {1};
  EXPECT_TRUE(refuses(both, "text: expected a text or text_ids, got both"));
  both.text_ids.clear();
  both.text_chunks = {1};
  EXPECT_TRUE(refuses(both, "text: expected a text or text_chunks, got both"));
  Request language = request("a");
  language.language = "de";
  EXPECT_TRUE(refuses(language, "language: expected one of en"));
  language.text.reset();
  EXPECT_TRUE(refuses(language, "language: expected with a text, got it alone"));
}

TEST_F(RequestText, EnginesWithoutAFrontEndTakeIds) {
  std::filesystem::remove_all(checkpoint_ + "/text");
  build_engine();
  EXPECT_EQ(Engine::open(engine()).front_end(), nullptr);
  EXPECT_FALSE(std::filesystem::exists(engine() + "/text"));
  ExecutorOptions options;
  options.device = "reference";
  Executor executor(Engine::open(engine()), options);
  EXPECT_TRUE(throws_naming<ConfigError>("no front end that turns text into ids; give text_ids",
                                         [&] { executor.submit(request("a")); }));
}

TEST_F(RequestText, OtherKindsAreRefusedByName) {
  Json json = tiny_front_end();
  json["tokenizers"] = Json::parse(
      R"([{"name": "m", "kind": "mandarin", "tokens": ["a", "b", "c", "d", "e", "<pad>", "f"]}])");
  json["languages"] = {{"zh", "m"}};
  json["default_language"] = "zh";
  write(json);
  build_engine();
  ExecutorOptions options;
  options.device = "reference";
  Executor executor(Engine::open(engine()), options);
  EXPECT_TRUE(throws_naming<ConfigError>("the kind mandarin, which needs Python's front end",
                                         [&] { executor.submit(request("a")); }));
}

TEST_F(RequestText, FrontEndsThatDontFitTheModelAreRefused) {
  Json json = tiny_front_end();
  json["text_eos"] = 9;
  write(json);
  EXPECT_TRUE(throws_naming<FormatError>("expected ids below 9, the rows of the model's text table",
                                         [&] { build_engine(); }));
  json["text_eos"] = 7;
  write(json);
  EXPECT_TRUE(throws_naming<FormatError>("text_eos: expected 8 as in engine.json, got 7",
                                         [&] { build_engine(); }));
  EXPECT_FALSE(std::filesystem::exists(engine()));
}

TEST_F(RequestText, EnginesAreReplacedWithTheirFrontEnd) {
  build_engine();
  Json json = tiny_front_end();
  json["tokenizers"][0]["name"] = "others";
  json["languages"]["en"] = "others";
  write(json);
  build_engine();
  EXPECT_EQ(Engine::open(engine()).front_end()->resolve("").tokenizer, "others");
}

// A text that describes a voice gives what its ids and their padding give.
TEST_F(RequestText, ADescriptionGivesWhatItsIdsGive) {
  Json front_end = tiny_front_end();
  front_end["context"] = {{"tokenizer", "letters"}, {"rows", 5}};
  write(front_end);
  build_engine();
  const Engine opened = Engine::open(engine());
  EXPECT_EQ(opened.front_end()->context_tokenizer(), "letters");
  const std::vector<std::int32_t> ids = opened.front_end()->encode_context("a cb");
  EXPECT_EQ(ids, (std::vector<std::int32_t>{1, 0, 3, 2, 5}));
  ExecutorOptions options;
  options.device = "reference";
  Executor executor(opened, options);
  Request described = request("abc");
  described.voice.reset();
  described.context_text = "a cb";
  Request by_ids = request("abc");
  by_ids.voice.reset();
  by_ids.context_text_ids = ids;
  EXPECT_EQ(executor.generate(described).codes.values, executor.generate(by_ids).codes.values);
  const auto refuses = [&](const char* what, const Request& of) {
    return throws_naming<ConfigError>(what, [&] { executor.submit(of); });
  };
  Request both = by_ids;
  both.context_text = "a";
  EXPECT_TRUE(refuses("context_text: expected a text or context_text_ids, got both", both));
  described.context_text = "abcabc";
  EXPECT_TRUE(refuses("context_text: expected at most 5 ids", described));
}

TEST_F(RequestText, DescriptionsAreRefusedByName) {
  build_engine();
  Executor executor(Engine::open(engine()), {});
  Request described = request("abc");
  described.voice.reset();
  described.context_text = "a";
  EXPECT_TRUE(throws_naming<ConfigError>("context_text: expected none, as this engine has no",
                                         [&] { executor.submit(described); }));
  Json front_end = tiny_front_end();
  front_end["context"] = {{"tokenizer", "bytes"}, {"rows", 5}};
  write(front_end);
  EXPECT_TRUE(throws_naming<FormatError>("context.tokenizer: there is no tokenizer",
                                         [&] { build_engine(); }));
}

}  // namespace
}  // namespace ttsrt
