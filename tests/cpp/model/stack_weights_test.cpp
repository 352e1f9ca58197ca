#include "model/stack_weights.h"

#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "support/tiny_engine.h"

namespace ttsrt::model {
namespace {

StackConfig small_stack() {
  StackConfig config;
  config.layers = 2;
  config.dim = 8;
  config.ffn_dim = 12;
  config.heads = 2;
  config.kernel = 3;
  config.max_positions = 40;
  config.has_positions = true;
  config.has_taps = true;
  return config;
}

TEST(StackWeights, DeclaresEveryTensorOfEveryLayer) {
  Manifest manifest;
  declare_stack(manifest, "decoder", small_stack());
  EXPECT_EQ(manifest.tensors().size(), 1U + 2 * 6 + 1);
  const TensorSpec* conv = manifest.find("decoder.layers.1.ffn_out");
  ASSERT_NE(conv, nullptr);
  EXPECT_EQ(conv->role, Role::convolution);
  EXPECT_EQ(conv->shape, (std::vector<std::int64_t>{8, 12, 3}));
  EXPECT_EQ(manifest.find("decoder.positions")->role, Role::vector);
  StackConfig config = small_stack();
  config.has_norm_out = false;
  Manifest without;
  declare_stack(without, "decoder", config);
  EXPECT_EQ(without.find("decoder.norm_out"), nullptr);
}

TEST(StackWeights, DeclaresWhatABlocksFieldsAskFor) {
  StackConfig config = small_stack();
  config.kernel = 1;
  config.has_positions = config.has_taps = false;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_size = 3;
  config.is_gated = config.has_norm_bias = config.has_attention_bias = config.has_ffn_bias = true;
  Manifest manifest;
  declare_stack(manifest, "decoder", config);
  EXPECT_EQ(manifest.tensors().size(), 2U * 12 + 2);
  const auto shape_of = [&manifest](const char* name) { return manifest.find(name)->shape; };
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(shape_of("decoder.layers.0.self_qkv"), (Shape{24, 8}));
  EXPECT_EQ(shape_of("decoder.layers.0.self_qkv_bias"), (Shape{24}));
  EXPECT_EQ(shape_of("decoder.layers.0.self_out"), (Shape{8, 12}));
  EXPECT_EQ(shape_of("decoder.layers.1.ffn_in"), (Shape{24, 8}));
  EXPECT_EQ(manifest.find("decoder.layers.1.ffn_in")->role, Role::matrix);
  EXPECT_EQ(shape_of("decoder.layers.1.ffn_in_bias"), (Shape{24}));
  EXPECT_EQ(shape_of("decoder.norm_out_bias"), (Shape{8}));
  config.is_parallel = true;
  Manifest parallel;
  declare_stack(parallel, "decoder", config);
  EXPECT_EQ(parallel.find("decoder.layers.0.ffn_norm"), nullptr);
}

TEST(StackWeights, DeclaresCrossAttention) {
  CrossConfig cross;
  cross.heads = 2;
  cross.head_dim = 3;
  Manifest manifest;
  cross.sees_text = {false, true, false};
  cross.sees_context = {false, false, true};
  declare_cross(manifest, "decoder", cross, 8);
  EXPECT_EQ(manifest.find("decoder.layers.0.cross_kv")->role, Role::unused);
  EXPECT_EQ(manifest.find("decoder.layers.2.cross_kv")->role, Role::matrix);
  EXPECT_EQ(manifest.find("decoder.layers.1.cross_kv")->shape, (std::vector<std::int64_t>{12, 8}));
  EXPECT_NE(manifest.find("decoder.layers.1.cross_memory_norm"), nullptr);
  cross.has_memory_norm = false;
  Manifest without;
  declare_cross(without, "decoder", cross, 8);
  EXPECT_EQ(without.find("decoder.layers.1.cross_memory_norm"), nullptr);
}

TEST(StackWeights, LoadsWhatWasDeclared) {
  const test::TinyEngine engine;
  const EngineData data(engine.path());
  StackConfig config = small_stack();
  config.kernel = 1;
  const StackWeights stack = load_stack(data.weights, "decoder", config);
  ASSERT_EQ(stack.layers.size(), 2U);
  EXPECT_EQ(stack.layers[1].ffn_in.name, "decoder.layers.1.ffn_in");
  EXPECT_EQ(stack.layers[1].ffn_in.data, data.weights.at("decoder.layers.1.ffn_in").data);
  EXPECT_TRUE(stack.norm_out.is_present());
  CrossConfig cross;
  cross.heads = 1;
  cross.head_dim = 6;
  EXPECT_EQ(load_cross(data.weights, "decoder", 1, cross).kv.rows, 12);
}

}  // namespace
}  // namespace ttsrt::model
