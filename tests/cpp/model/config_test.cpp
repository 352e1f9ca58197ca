#include "model/config.h"

#include <gtest/gtest.h>

#include "support/causal_models.h"
#include "support/errors.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

StackConfig read(const Json& json) { return read_causal_stack(JsonReader(json, "decoder")); }

TEST(CausalStack, ReadsEveryField) {
  const StackConfig llama = read(test::llama_stack_json());
  EXPECT_EQ(llama.num_kv_heads(), 2);
  EXPECT_EQ(llama.head_dim(), 6);
  EXPECT_EQ(llama.attention_width(), 24);
  EXPECT_EQ(llama.qkv_width(), 48);
  EXPECT_EQ(llama.norm, ops::NormKind::rms);
  EXPECT_EQ(llama.activation, ops::Activate::silu);
  EXPECT_TRUE(llama.is_gated);
  EXPECT_EQ(llama.rope.dims, 4);
  EXPECT_EQ(llama.attention_scale, 0.0F);
  EXPECT_FALSE(llama.has_positions);
  const StackConfig phi = read(test::parallel_stack_json());
  EXPECT_TRUE(phi.is_parallel && phi.has_norm_bias && phi.has_attention_bias && phi.has_ffn_bias);
  EXPECT_EQ(phi.attention_scale, 0.25F);
  Json without = test::llama_stack_json();
  without["rope"] = nullptr;
  EXPECT_FALSE(read(without).rope.is_present());
}

TEST(CausalStack, EveryFieldIsNeeded) {
  const Json whole = test::llama_stack_json();
  for (const auto& [field, value] : whole.items()) {
    if (value.is_null() || field == "rope") continue;  // these may be absent
    Json stack = whole;
    stack.erase(field);
    EXPECT_TRUE(throws_naming<FormatError>("decoder." + field, [&stack] { read(stack); })) << field;
  }
}

TEST(CausalStack, RefusesFieldsThatDoNotFit) {
  const auto refuses = [](const char* field, const Json& value) {
    Json stack = test::llama_stack_json();
    stack[field] = value;
    return throws_naming<FormatError>(std::string("decoder.") + field, [&stack] { read(stack); });
  };
  EXPECT_TRUE(refuses("kv_heads", 3));
  EXPECT_TRUE(refuses("kv_heads", 8));
  EXPECT_TRUE(refuses("norm", "batch"));
  EXPECT_TRUE(refuses("activation", "relu"));
  EXPECT_TRUE(refuses("attention_scale", -1.0));
  EXPECT_TRUE(refuses("rope", {{"kind", "default"}, {"dims", 8}, {"theta", 1e4}}));
}

}  // namespace
}  // namespace ttsrt::model
