#include "model/block_decoder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/causal_models.h"

namespace ttsrt::model {
namespace {

class BlockDecoderTest : public ::testing::Test {
 protected:
  BlockDecoderTest() {
    decoder_.stack.layers.resize(2);
    decoder_.head.rows = 30;
    limits_.max_batch_size = 3;
    limits_.max_seq_len = 40;
    limits_.max_num_tokens = 64;
  }

  static bool is_causal(const ops::Program& program) {
    return std::any_of(program.ops.begin(), program.ops.end(), [](const ops::Op& op) {
      const auto* attention = std::get_if<ops::SelfAttention>(&op);
      return attention != nullptr && attention->causal;
    });
  }

  const Json stack_ = test::llama_stack_json();
  const StackConfig config_ = read_causal_stack(JsonReader(stack_, "decoder"));
  CausalDecoder decoder_{config_};
  const BlockDecoder blocks_{decoder_, {}, 5};
  Limits limits_;
};

TEST_F(BlockDecoderTest, TheStartRowKeepsItsHiddenState) {
  const ops::Program program = write_start(decoder_);
  EXPECT_TRUE(is_causal(program));
  EXPECT_TRUE(std::holds_alternative<ops::StoreContext>(program.ops.back()));
}

TEST_F(BlockDecoderTest, RowsOfABlockSeeEachOther) {
  const ops::Program program = write_blocks(blocks_, false);
  EXPECT_FALSE(is_causal(program));
  const auto size = program.ops.size();
  EXPECT_TRUE(std::holds_alternative<ops::ShiftBlock>(program.ops[size - 4]));
  EXPECT_EQ(std::get<ops::GuessBlock>(program.ops[size - 2]).vocab, 30);
  EXPECT_EQ(std::get<ops::FinishBlock>(program.ops[size - 1]).places, 5);
  EXPECT_TRUE(program.taps.empty());
  EXPECT_EQ(write_blocks(blocks_, true).taps.back().name, "scores");
}

TEST_F(BlockDecoderTest, ProgramsInTheOrderTheyRun) {
  const auto programs = programs_of(blocks_, limits_, 2, false);
  ASSERT_EQ(programs.size(), 3U);
  EXPECT_EQ(programs[kPrefillProgram].name, "prefill");
  EXPECT_EQ(programs[kStartProgram].pace, step::Pace::chunked);
  EXPECT_EQ(programs[kStartProgram].max_rows, 64);
  EXPECT_EQ(programs[kBlocksProgram].pace, step::Pace::stepwise);
  EXPECT_EQ(programs[kBlocksProgram].max_rows, 2 * 3 * 5);
  EXPECT_EQ(programs[kBlocksProgram].max_draws, 3);
}

}  // namespace
}  // namespace ttsrt::model
