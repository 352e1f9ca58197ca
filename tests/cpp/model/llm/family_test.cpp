#include "model/llm/family.h"

#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "support/causal_models.h"
#include "support/errors.h"
#include "support/tiny_engine.h"

namespace ttsrt::model::llm {
namespace {

LlmFamily family_of(const Json& config) {
  return {JsonReader(config.at("model"), "model"), JsonReader(config.at("defaults"), "defaults")};
}

TEST(LlmFamily, ManifestAndBounds) {
  const Json config = test::llm_config();
  const LlmFamily family = family_of(config);
  const Manifest manifest = family.manifest();
  EXPECT_EQ(manifest.find("embedding")->role, Role::table);
  EXPECT_EQ(manifest.find("head")->shape, (std::vector<std::int64_t>{30, 12}));
  EXPECT_NE(manifest.find("head_bias"), nullptr);
  const LimitBounds bounds = family.limit_bounds(manifest);
  EXPECT_EQ(bounds.most_positions, 64);
  EXPECT_EQ(bounds.most_text, 0);
  EXPECT_EQ(bounds.usual_steps, 20);
  EngineInfo info;
  family.describe(info);
  EXPECT_EQ(info.text_vocab, 30);
  EXPECT_EQ(info.codebooks, 1);
  EXPECT_EQ(info.eos_id, test::llm_config().at("model").at("eos").get<int>());
}

TEST(LlmFamily, HasNoGuidance) {
  Json config = test::llm_config();
  config["defaults"]["cfg_scale"] = 2.0;
  EXPECT_TRUE(
      test::throws_naming<FormatError>("defaults.cfg_scale", [&config] { family_of(config); }));
}

TEST(LlmFamily, ProgramsOfABuiltEngine) {
  const test::TinyEngine engine(test::llm_config());
  const EngineData data(engine.path());
  const auto programs = data.family->programs(data.weights, data.limits, false);
  ASSERT_EQ(programs.size(), 3U);
  EXPECT_EQ(programs[2].name, "score");
  EXPECT_EQ(programs[2].emits, step::Emits::logits);
  EXPECT_LE(programs[2].max_rows, 64);
  const auto& embed = std::get<ops::EmbedRows>(programs[1].program.ops.front());
  EXPECT_EQ(embed.code_tables.data, data.weights.at("embedding").data);
  EXPECT_TRUE(embed.position_tables.empty());
  EXPECT_EQ(programs[1].max_rows, data.limits.max_batch_size);
  EXPECT_EQ(programs[1].program.constants.size(), 1U);
  EXPECT_EQ(data.family->facts(data.limits).family, "llm");
  EXPECT_EQ(data.family->state(data.limits, {}).cache_heads, 2);
}

}  // namespace
}  // namespace ttsrt::model::llm
