#include "model/magpie/family.h"

#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "support/tiny_engine.h"

namespace ttsrt::model::magpie {
namespace {

std::unique_ptr<MagpieFamily> family_of(const Json& config) {
  return std::make_unique<MagpieFamily>(JsonReader(config.at("model"), "model"),
                                        JsonReader(config.at("defaults"), "defaults"));
}

Limits small_limits() {
  Limits limits;
  limits.max_batch_size = 2;
  limits.max_seq_len = 40;
  limits.max_input_len = 20;
  limits.max_encoder_input_len = 30;
  limits.max_num_tokens = 64;
  return limits;
}

TEST(MagpieFamily, BoundsOfItsLimits) {
  Manifest stored;
  stored.add_data("voices", {2, 3, 8}, DType::float32);
  const LimitBounds bounds = family_of(test::tiny_config())->limit_bounds(stored);
  EXPECT_EQ(bounds.most_positions, 40);
  EXPECT_EQ(bounds.most_input, 39);
  EXPECT_EQ(bounds.most_text, 40);
  EXPECT_EQ(bounds.least_input, 3);
  EXPECT_TRUE(bounds.input_takes_positions);
  EXPECT_EQ(bounds.usual_steps, 13);
  const LimitBounds memory = family_of(test::multi_encoder_config())->limit_bounds({});
  EXPECT_FALSE(memory.input_takes_positions);
  EXPECT_EQ(memory.least_input, 1);
}

TEST(MagpieFamily, State) {
  StateOptions options;
  options.cache_dtype = DType::bfloat16;
  const ops::StateSpec tiny = family_of(test::tiny_config())->state(small_limits(), options);
  EXPECT_EQ(tiny.slots, 2);
  EXPECT_EQ(tiny.cache_dtype, DType::bfloat16);
  EXPECT_EQ(tiny.num_blocks, 2 * (2 * 3 + 2));
  EXPECT_EQ(tiny.max_context_memory, 0);
  EXPECT_TRUE(tiny.convs.empty());
  const ops::StateSpec multi =
      family_of(test::multi_encoder_config())->state(small_limits(), options);
  EXPECT_EQ(multi.max_context_memory, 20);
  EXPECT_EQ(multi.convs.size(), 4U);
  options.cache_positions = 33;
  EXPECT_EQ(family_of(test::tiny_config())->state(small_limits(), options).num_blocks, 3);
}

TEST(MagpieFamily, ProgramsInTheirOrder) {
  using Names = std::vector<std::string>;
  for (const bool is_multi : {false, true}) {
    const test::TinyEngine engine(is_multi ? test::multi_encoder_config() : test::tiny_config());
    const EngineData data(engine.path());
    Names names;
    for (const FamilyProgram& program : data.family->programs(data.weights, data.limits, false)) {
      names.push_back(program.name);
      EXPECT_EQ(program.max_draws > 0, program.pace == step::Pace::stepwise) << program.name;
    }
    EXPECT_EQ(names, is_multi ? Names({"encode_text", "project_memory", "encode_context", "prefill",
                                       "decode"})
                              : Names({"encode_text", "project_memory", "prefill", "decode"}));
  }
}

TEST(MagpieFamily, StoredVoices) {
  const test::TinyEngine engine;
  const EngineData data(engine.path());
  ASSERT_EQ(data.voices.voices.size(), 2U);
  EXPECT_EQ(data.voices.voices[0]->parts[0].vectors->size(), 16U);  // two of three rows
  EXPECT_EQ(data.voices.names.at("bob"), 1);
  EXPECT_EQ(data.info.num_voices, 2);
  EXPECT_EQ(data.info.dim, 8);
  EXPECT_EQ(data.info.text_vocab, 9);
}

}  // namespace
}  // namespace ttsrt::model::magpie
