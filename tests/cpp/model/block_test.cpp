// The operations of each variant of a block.
#include "model/block.h"

#include <gtest/gtest.h>

#include "support/causal_models.h"

namespace ttsrt::model {
namespace {

// The first layer of a stack whose weights are names without bytes.
ops::Program write_layer(const StackConfig& config, const RopeTable& rope = {}) {
  ops::Program program;
  BlockWriter block(program, config, {true, false});
  block.use_rope(rope);
  LayerWeights weights;
  weights.self_norm.name = "self_norm";
  weights.ffn_norm_bias.name = "ffn_norm_bias";
  weights.ffn_in_bias.name = "ffn_in_bias";
  block.self_attention(weights, 1);
  block.feed_forward(weights, 1);
  return program;
}

StackConfig read(const Json& json) { return read_causal_stack(JsonReader(json, "decoder")); }

TEST(BlockWriter, ASequentialGatedBlock) {
  const StackConfig config = read(test::llama_stack_json());
  const RopeTable rope = make_rope_table(config.rope, 10);
  const ops::Program program = write_layer(config, rope);
  ASSERT_EQ(program.ops.size(), 8U);
  const auto& norm = std::get<ops::Norm>(program.ops[0]);
  EXPECT_EQ(norm.kind, ops::NormKind::rms);
  EXPECT_EQ(norm.epsilon, 1e-6F);
  EXPECT_EQ(norm.weight.name, "self_norm");
  const auto& attention = std::get<ops::SelfAttention>(program.ops[2]);
  EXPECT_EQ(attention.cache_layer, 1);
  EXPECT_EQ(attention.kv_heads, 2);
  EXPECT_EQ(attention.head_dim, 6);
  EXPECT_EQ(attention.rope.data, rope.weight.data);
  ASSERT_EQ(program.constants.size(), 1U);
  EXPECT_EQ(program.activations[static_cast<std::size_t>(attention.qkv)].width, 48);
  EXPECT_TRUE(std::get<ops::Linear>(program.ops[3]).accumulate);
  EXPECT_EQ(std::get<ops::Norm>(program.ops[4]).bias.name, "ffn_norm_bias");
  const auto& in = std::get<ops::Linear>(program.ops[5]);
  EXPECT_EQ(in.activate, ops::Activate::none);
  EXPECT_EQ(in.bias.name, "ffn_in_bias");
  const auto& gate = std::get<ops::Gate>(program.ops[6]);
  EXPECT_EQ(gate.x, in.out);
  EXPECT_EQ(gate.activate, ops::Activate::silu);
  EXPECT_EQ(std::get<ops::Linear>(program.ops[7]).addend, ops::kNoBuffer);
}

TEST(BlockWriter, AParallelBlockSumsItsBranchesFirst) {
  const ops::Program program = write_layer(read(test::parallel_stack_json()));
  ASSERT_EQ(program.ops.size(), 6U);  // one norm, no gate
  const auto& norm = std::get<ops::Norm>(program.ops[0]);
  EXPECT_EQ(std::get<ops::SelfAttention>(program.ops[2]).scale, 0.25F);
  const auto& attended = std::get<ops::Linear>(program.ops[3]);
  EXPECT_FALSE(attended.accumulate);
  EXPECT_NE(attended.out, norm.x);
  const auto& in = std::get<ops::Linear>(program.ops[4]);
  EXPECT_EQ(in.x, norm.out);
  EXPECT_EQ(in.activate, ops::Activate::gelu_tanh);
  const auto& out = std::get<ops::Linear>(program.ops[5]);
  EXPECT_EQ(out.out, norm.x);
  EXPECT_EQ(out.addend, attended.out);
  EXPECT_TRUE(out.accumulate);
}

}  // namespace
}  // namespace ttsrt::model
