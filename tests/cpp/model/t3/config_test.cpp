#include "model/t3/config.h"

#include <gtest/gtest.h>

#include "support/causal_models.h"
#include "support/errors.h"
#include "support/s3gen_models.h"

namespace ttsrt::model::t3 {
namespace {

using test::throws_naming;

Config read(const Json& model) { return read_config(JsonReader(model, "model")); }

TEST(T3Config, ReadsItsFields) {
  const Config config = read(test::t3_config().at("model"));
  EXPECT_EQ(config.speech_vocab, 40);
  EXPECT_EQ(config.text_vocab, 9);
  EXPECT_EQ(config.bos_id, 38);
  EXPECT_EQ(config.eos_id, 39);
  EXPECT_EQ(config.start_rows, 2);
  EXPECT_TRUE(config.restarts_positions());
  EXPECT_EQ(config.decoder.dim, 12);
}

TEST(T3Config, RefusesFieldsThatDoNotFit) {
  const auto refuses = [](const char* field, const Json& value) {
    Json model = test::t3_config().at("model");
    model[field] = value;
    return throws_naming<FormatError>(std::string("model.") + field, [&model] { read(model); });
  };
  EXPECT_TRUE(refuses("bos", 40));
  EXPECT_TRUE(refuses("eos", -1));
  EXPECT_TRUE(refuses("start_rows", 3));
  EXPECT_TRUE(refuses("speech_positions", 0));
  Json model = test::t3_config().at("model");
  model["decoder"]["learned_positions"] = true;
  EXPECT_TRUE(
      throws_naming<FormatError>("model.decoder.learned_positions", [&model] { read(model); }));
}

TEST(T3Config, WhatMakesSoundFitsItsTokens) {
  Json model = test::t3_config().at("model");
  EXPECT_FALSE(read(model).sound.has_value());
  model["frame_rate"] = 25.0;
  Json sound = s3gen::model_json("cfm");
  sound["flow"]["vocab"] = 38;
  sound["vocoder"] = s3gen::vocoder_json();
  model["sound_model"] = sound;
  ASSERT_TRUE(read(model).sound.has_value());
  EXPECT_EQ(read(model).sound->vocab, 38);
  const auto refuses = [&model](const char* words, const char* pointer, const Json& value) {
    Json changed = model;
    changed[Json::json_pointer(pointer)] = value;
    return throws_naming<FormatError>(words, [&changed] { read(changed); });
  };
  EXPECT_TRUE(
      refuses("sound_model.flow.vocab: expected at most 38", "/sound_model/flow/vocab", 39));
  EXPECT_TRUE(refuses("sound_model: expected 20 tokens of a second, got 25", "/frame_rate", 20.0));
  EXPECT_TRUE(refuses("sound_model.vocoder: expected one", "/sound_model/vocoder", nullptr));
}

TEST(T3Config, HeadsOfTheAnalyzer) {
  Json model = test::t3_config().at("model");
  EXPECT_TRUE(read(model).alignment.empty());
  model["analyzer"] = nullptr;
  EXPECT_TRUE(read(model).alignment.empty());
  model["analyzer"] = {{"heads", {{1, 3}, {0, 2}}}};
  const Config config = read(model);
  ASSERT_EQ(config.alignment.size(), 2U);
  EXPECT_EQ(config.alignment[0].layer, 1);
  EXPECT_EQ(config.alignment[0].head, 3);
  const auto refuses = [&model](const Json& heads) {
    model["analyzer"] = {{"heads", heads}};
    return throws_naming<FormatError>("model.analyzer.heads", [&model] { read(model); });
  };
  EXPECT_TRUE(refuses(Json::array()));
  EXPECT_TRUE(refuses(7));
  EXPECT_TRUE(refuses({{2, 0}}));  // of two layers
  EXPECT_TRUE(refuses({{0, 4}}));  // of four heads
  EXPECT_TRUE(refuses({{0, -1}}));
  EXPECT_TRUE(refuses({{0, 1, 2}}));
  EXPECT_TRUE(refuses({{0, 1.5}}));
  EXPECT_TRUE(refuses({{0, 1}, {0, 1}}));
}

TEST(T3Config, BlocksNeedARowForWhatIsNotDecided) {
  const Config config = read(test::block_config().at("model"));
  EXPECT_EQ(config.block_rows, 4);
  EXPECT_EQ(config.mask_id(), 40);
  const auto refuses = [](const char* field, const Json& value) {
    Json model = test::block_config().at("model");
    model[field] = value;
    return throws_naming<FormatError>("model.block_size", [&model] { read(model); });
  };
  EXPECT_TRUE(refuses("block_size", 65));
  EXPECT_TRUE(refuses("block_size", nullptr));
  EXPECT_TRUE(refuses("speech_rows", 40));
  EXPECT_TRUE(refuses("start_rows", 2));
}

}  // namespace
}  // namespace ttsrt::model::t3
