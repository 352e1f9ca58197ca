#include "model/build_plan.h"

#include <gtest/gtest.h>

#include <map>

#include "support/tiny_checkpoint.h"

namespace ttsrt::model {
namespace {

std::map<std::string, PackItem> plan_of(const Json& config, DType dtype) {
  std::map<std::string, PackItem> items;
  const ModelConfig parsed = read_model_config(JsonReader(config.at("model"), "model"));
  for (const PackItem& item : plan_engine(parsed, dtype, {}, 3)) items[item.weight.name] = item;
  return items;
}

TEST(BuildPlan, ShapesTypesAndSources) {
  const auto items = plan_of(test::tiny_config(), DType::bfloat16);
  const PackItem& qkv = items.at("decoder.layers.1.self_qkv");
  EXPECT_EQ(qkv.component, "decoder");
  EXPECT_EQ(qkv.source_shape, (std::vector<std::int64_t>{24, 8}));
  EXPECT_EQ(qkv.weight.layout, ops::Layout::panel16);
  EXPECT_EQ(qkv.weight.dtype, DType::bfloat16);
  const PackItem& conv = items.at("text_encoder.layers.0.ffn_in");
  EXPECT_EQ(conv.source_shape, (std::vector<std::int64_t>{12, 8, 3}));
  EXPECT_EQ(conv.weight.rows, 12);
  EXPECT_EQ(conv.weight.cols, 24);
  EXPECT_EQ(conv.kernel, 3);
  EXPECT_EQ(items.at("text_embedding").weight.dtype, DType::bfloat16);
  EXPECT_EQ(items.at("text_embedding").weight.layout, ops::Layout::dense);
  EXPECT_EQ(items.at("decoder.positions").weight.dtype, DType::float32);
  EXPECT_EQ(items.at("decoder.norm_out").weight.dtype, DType::float32);
  EXPECT_EQ(items.at("decoder.layers.0.cross_kv").weight.rows, 12);
  EXPECT_EQ(items.at("audio_embeddings").weight.rows, 40);
  EXPECT_EQ(items.at("local_transformer.heads.1").source, "local_transformer.heads");
  EXPECT_EQ(items.at("local_transformer.heads.1").first_row, 20);
  EXPECT_EQ(items.at("voices").source_shape, (std::vector<std::int64_t>{2, 3, 8}));
  EXPECT_EQ(items.at("voice_lengths").weight.dtype, DType::int32);
}

TEST(BuildPlan, OnlyWhatTheModelHas) {
  const auto items = plan_of(test::multi_encoder_config(), DType::float32);
  EXPECT_EQ(items.count("local_transformer.positions"), 0U);
  EXPECT_EQ(items.count("voices"), 0U);
  EXPECT_EQ(items.count("context_text_embedding"), 0U);
  EXPECT_EQ(items.at("context_encoder.positions").component, "context_encoder");
  EXPECT_EQ(items.at("decoder.layers.1.ffn_out").kernel, 3);
  Json config = test::tiny_config();
  config["model"]["decoder"]["text_layers"] = {1};
  EXPECT_EQ(plan_of(config, DType::float32).count("decoder.layers.0.cross_q"), 0U);
}

}  // namespace
}  // namespace ttsrt::model
