#include "model/t3/family.h"

#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "support/causal_models.h"
#include "support/errors.h"
#include "support/tiny_engine.h"

namespace ttsrt::model::t3 {
namespace {

T3Family family_of(const Json& config) {
  return {JsonReader(config.at("model"), "model"), JsonReader(config.at("defaults"), "defaults")};
}

TEST(T3Family, ManifestAndBounds) {
  const T3Family family = family_of(test::t3_config());
  const Manifest manifest = family.manifest();
  EXPECT_EQ(manifest.find("speech_embedding")->shape, (std::vector<std::int64_t>{40, 12}));
  EXPECT_EQ(manifest.find("text_positions")->role, Role::vector);
  EXPECT_EQ(manifest.find("head_bias"), nullptr);
  EXPECT_EQ(manifest.find("conditioning.qkv")->shape, (std::vector<std::int64_t>{36, 12}));
  EXPECT_EQ(manifest.find("conditioning.qkv")->role, Role::vector);  // float32 in every build
  EXPECT_EQ(manifest.find("decoder.positions"), nullptr);
  const LimitBounds bounds = family.limit_bounds(manifest);
  EXPECT_EQ(bounds.most_positions, 64);
  EXPECT_EQ(bounds.most_text, 24);
  EXPECT_TRUE(bounds.input_takes_positions);
  EXPECT_EQ(bounds.usual_steps, 20 + 2 + 24);
  EngineInfo info;
  family.describe(info);
  EXPECT_EQ(info.codebook_vocab, 40);
  EXPECT_EQ(info.frame_rate, 25.0);
  const Json model = test::t3_config().at("model");
  EXPECT_EQ(info.special_ids.at("bos"), model.at("bos").get<int>());
  EXPECT_EQ(info.special_ids.at("eos"), info.eos_id);
  EXPECT_EQ(info.eos_id, model.at("eos").get<int>());
}

TEST(T3Family, ProgramsOfABuiltEngine) {
  const test::TinyEngine engine(test::t3_config());
  const EngineData data(engine.path());
  const auto programs = data.family->programs(data.weights, data.limits, false);
  const auto& embed = std::get<ops::EmbedRows>(programs[0].program.ops.front());
  ASSERT_EQ(embed.position_tables.size(), 2U);
  EXPECT_EQ(embed.position_tables[1].data, data.weights.at("speech_positions").data);
  EXPECT_EQ(embed.id_tables.at(0).data, data.weights.at("text_embedding").data);
  EXPECT_EQ(programs[1].max_rows, 2 * data.limits.max_batch_size);
  EXPECT_EQ(data.family->facts(data.limits).family, "t3");
}

TEST(T3Family, PositionsOfItsOwnCountEveryRow) {
  Json config = test::t3_config();
  config["model"]["text_positions"] = config["model"]["speech_positions"] = 0;
  config["model"]["decoder"]["learned_positions"] = true;
  config["model"]["decoder"]["rope"] = nullptr;
  config["model"]["conditioning"]["queries"] = config["model"]["conditioning"]["heads"] = 0;
  config["model"]["head_bias"] = true;
  const test::TinyEngine engine(config);
  const EngineData data(engine.path());
  const auto programs = data.family->programs(data.weights, data.limits, false);
  const auto& embed = std::get<ops::EmbedRows>(programs[0].program.ops.front());
  ASSERT_EQ(embed.position_tables.size(), 1U);
  EXPECT_EQ(embed.position_tables[0].data, data.weights.at("decoder.positions").data);
  EXPECT_TRUE(programs[0].program.constants.empty());
}

TEST(T3Family, AnAnalyzerNeedsHeads) {
  Json config = test::t3_config();
  config["defaults"]["analyzer"] = false;
  const test::TinyEngine engine(config);
  const Limits limits = EngineData(engine.path()).limits;
  EXPECT_EQ(family_of(config).state(limits, {}).max_text_len, 0);
  config["defaults"]["analyzer"] = true;
  EXPECT_TRUE(test::throws_naming<FormatError>("defaults.analyzer", [&] { family_of(config); }));
  config["model"]["analyzer"] = {{"heads", {{1, 3}}}};
  EXPECT_EQ(family_of(config).state(limits, {}).max_text_len, limits.max_encoder_input_len);
}

}  // namespace
}  // namespace ttsrt::model::t3
