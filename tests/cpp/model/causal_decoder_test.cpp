#include "model/causal_decoder.h"

#include <gtest/gtest.h>

#include "support/causal_models.h"
#include "support/errors.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

class CausalDecoderTest : public ::testing::Test {
 protected:
  CausalDecoderTest() {
    decoder_.stack.layers.resize(2);
    decoder_.head.rows = 30;
    limits_.max_batch_size = 4;
    limits_.max_seq_len = 40;
    limits_.max_input_len = 17;
    limits_.max_num_tokens = 64;
  }

  const StackConfig config_ = read_causal_stack(JsonReader(static_json(), "decoder"));
  CausalDecoder decoder_{config_};
  Limits limits_;

 private:
  static const Json& static_json() {
    static const Json stack = test::llama_stack_json();
    return stack;
  }
};

TEST_F(CausalDecoderTest, PrefillEndsWithTheLastKeysAndValues) {
  const ops::Program program = write_prefill(decoder_);
  EXPECT_TRUE(std::holds_alternative<ops::EmbedRows>(program.ops.front()));
  const auto& last = std::get<ops::SelfAttention>(program.ops.back());
  EXPECT_EQ(last.cache_layer, 1);
}

TEST_F(CausalDecoderTest, DecodePicksOneCode) {
  const ops::Program program = write_decode(decoder_, false);
  EXPECT_EQ(program.taps.size(), 0U);
  const auto size = program.ops.size();
  EXPECT_EQ(std::get<ops::SampleCodes>(program.ops[size - 2]).vocab, 30);
  EXPECT_EQ(std::get<ops::FinishStep>(program.ops[size - 1]).codebooks, 1);
  const auto taps = write_decode(decoder_, true).taps;
  ASSERT_EQ(taps.size(), 2U + 3);  // layers, then hidden state and logits
  EXPECT_EQ(taps.back().name, "logits_guided");
}

TEST_F(CausalDecoderTest, AlignmentHeadsAddToScores) {
  decoder_.alignment = {{1, 3}, {0, 2}, {1, 0}};
  decoder_.max_text_len = 10;
  const ops::Program program = write_decode(decoder_, false);
  std::vector<std::uint64_t> heads;
  for (const ops::Op& op : program.ops) {
    const auto* attention = std::get_if<ops::SelfAttention>(&op);
    if (attention == nullptr) continue;
    heads.push_back(attention->score_heads);
    EXPECT_FLOAT_EQ(attention->score_share, 1.0F / 3);
    EXPECT_NE(attention->scores, ops::kNoBuffer);
  }
  EXPECT_EQ(heads, (std::vector<std::uint64_t>{0b100, 0b1001}));
  EXPECT_TRUE(std::holds_alternative<ops::ClearScores>(program.ops[1]));
  EXPECT_TRUE(std::holds_alternative<ops::UpdatePrior>(program.ops[program.ops.size() - 3]));
  for (const ops::Op& op : write_prefill(decoder_).ops) {
    const auto* attention = std::get_if<ops::SelfAttention>(&op);
    EXPECT_TRUE(attention == nullptr || attention->scores == ops::kNoBuffer);
  }
}

TEST_F(CausalDecoderTest, ProgramsInTheOrderTheyRun) {
  const auto programs = programs_of(decoder_, limits_, 2, false);
  ASSERT_EQ(programs.size(), 2U);
  EXPECT_EQ(programs[kPrefillProgram].pace, step::Pace::chunked);
  EXPECT_EQ(programs[kPrefillProgram].max_rows, 64);
  EXPECT_EQ(programs[kDecodeProgram].pace, step::Pace::stepwise);
  EXPECT_EQ(programs[kDecodeProgram].max_rows, 8);
  EXPECT_EQ(programs[kDecodeProgram].max_draws, 4);
}

TEST_F(CausalDecoderTest, StateHoldsBothBranchesAndAPrefixOfEverySlot) {
  const ops::StateSpec spec = state_of(config_, limits_, {}, {2, limits_.max_input_len, 30});
  EXPECT_EQ(spec.cache_heads, 2);
  EXPECT_EQ(spec.cache_head_dim, 6);
  EXPECT_EQ(spec.num_blocks, 4 * (2 * 3 + 2));
  EXPECT_EQ(spec.codebooks, 1);
  EXPECT_EQ(spec.memory_layers, 0);
  EXPECT_EQ(spec.seen_vocab, 30);
  StateOptions options;
  options.cache_positions = 33;
  EXPECT_EQ(state_of(config_, limits_, options, {2, limits_.max_input_len, 30}).num_blocks, 3);
}

TEST_F(CausalDecoderTest, FactsOfOneCodePerStep) {
  const step::Facts facts = facts_of("llm", 30, 25.0, limits_);
  EXPECT_EQ(facts.family, "llm");
  EXPECT_EQ(facts.stack_codes(), 1);
  EXPECT_EQ(facts.codebook_vocab, 30);
  EXPECT_EQ(facts.max_seq_len, 40);
}

TEST(CausalRequests, OptionsOfAnEncoderAreRefused) {
  refuse_encoder_options(Request{});
  const auto refuses = [](const char* field, auto change) {
    Request request;
    change(request);
    return throws_naming<ConfigError>(field, [&request] { refuse_encoder_options(request); });
  };
  EXPECT_TRUE(refuses("encoder_output:", [](Request& of) { of.encoder_output = {1, 1, {0.0F}}; }));
  EXPECT_TRUE(refuses("context_codes:", [](Request& of) { of.context_codes = {1, 1, {0}}; }));
  EXPECT_TRUE(refuses("context_text_ids:", [](Request& of) { of.context_text_ids = {1}; }));
  EXPECT_TRUE(refuses("prior:", [](Request& of) { of.prior = AttentionPrior{}; }));
  EXPECT_TRUE(refuses("strict_end:", [](Request& of) { of.strict_end = true; }));
}

TEST(CausalRequests, OptionsOfAnAlignmentAreRefused) {
  Request request;
  request.analyze_alignment = false;
  refuse_alignment_options(request);
  request.analyze_alignment = true;
  EXPECT_TRUE(throws_naming<ConfigError>("analyze_alignment:",
                                         [&request] { refuse_alignment_options(request); }));
  request = {};
  request.return_alignment = true;
  EXPECT_TRUE(throws_naming<ConfigError>("return_alignment:",
                                         [&request] { refuse_alignment_options(request); }));
}

TEST(CausalRequests, Defaults) {
  Json defaults = test::llm_config().at("defaults");
  defaults["temperature"] = 0.5;
  EXPECT_EQ(read_code_defaults(JsonReader(defaults, "defaults")).temperature, 0.5F);
  EXPECT_EQ(read_code_defaults(JsonReader(defaults, "defaults")).eos_method, "multinomial_any");
  defaults["max_frames"] = 0;
  EXPECT_TRUE(throws_naming<FormatError>("defaults.max_frames", [&defaults] {
    read_code_defaults(JsonReader(defaults, "defaults"));
  }));
}

}  // namespace
}  // namespace ttsrt::model
