#include "executor/batch_builder.h"

#include <gtest/gtest.h>

#include "executor/commit.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::Input;
using step::RowClass;
using step::Segment;

Request guided(std::uint64_t seed) {
  Request request = test::small_request(seed);
  request.voice.emplace(1);  // 5 rows
  request.cfg_scale = 2.0F;
  return request;
}

class BatchBuilder : public ::testing::Test {
 protected:
  // Plans and builds a step, and commits it with codes of zeros.
  void step() {
    build();
    step::StepOutput output;
    const auto& draws = batch_.of(RowClass::decode).draws;
    for (const step::Draw& draw : draws) output.draws.push_back({draw.slot, -1, -1});
    output.codes.assign(draws.size() * static_cast<std::size_t>(at_.facts.stack_codes()), 7);
    commit(plan_, batch_, output, at_.running, at_.facts);
  }
  void build() {
    plan_ = at_.plan();
    build_batch(plan_, at_.running, at_.facts, batch_);
  }
  const std::vector<Segment>& segments(RowClass row_class) const {
    return batch_.of(row_class).segments;
  }

  test::Sequencer at_;
  step::StepPlan plan_;
  step::StepBatch batch_;
};

TEST_F(BatchBuilder, AFreshRequest) {
  at_.add(test::small_request(4));
  build();
  ASSERT_EQ(batch_.admissions.size(), 1U);
  EXPECT_EQ(batch_.admissions[0].rules.sampler.seed, 4U);
  const Segment& text = segments(RowClass::encode_text).at(0);
  EXPECT_EQ(text.rows, 3);
  EXPECT_EQ(text.input, Input::ids);
  EXPECT_EQ(text.position_table, 0);
  EXPECT_EQ(std::vector<std::int32_t>(text.ids, text.ids + 3),
            (std::vector<std::int32_t>{1, 2, 3}));
  const Segment& context = segments(RowClass::prefill).at(0);
  EXPECT_EQ(context.rows, 3);
  EXPECT_EQ(context.input, Input::vectors);
  EXPECT_EQ(context.vectors, at_.facts.voices[0]->data());
  EXPECT_FALSE(context.apply_prior);
  const Segment& decode = segments(RowClass::decode).at(0);
  EXPECT_EQ(decode.position, 3);
  EXPECT_EQ(decode.input, Input::codes);
  EXPECT_EQ(std::vector<std::int32_t>(decode.ids, decode.ids + 2),
            (std::vector<std::int32_t>{13, 13}));
  EXPECT_TRUE(decode.apply_prior);
  EXPECT_EQ(decode.num_blocks, 1);
  ASSERT_EQ(batch_.of(RowClass::decode).draws.size(), 1U);
  EXPECT_EQ(batch_.of(RowClass::decode).draws[0].unconditional_row, -1);
}

TEST_F(BatchBuilder, TheNextStepIsOneRow) {
  at_.add(test::small_request());
  step();
  build();
  EXPECT_TRUE(batch_.admissions.empty());
  EXPECT_EQ(batch_.of(RowClass::prefill).rows, 0);
  const Segment& decode = segments(RowClass::decode).at(0);
  EXPECT_EQ(decode.position, 4);
  EXPECT_EQ(decode.position_table, 0);
  EXPECT_EQ(decode.first_position, 4);
  EXPECT_EQ(decode.input, Input::last_codes);
  EXPECT_EQ(decode.num_blocks, 2);
}

TEST_F(BatchBuilder, PrefillIsSplitByTheRowsOfALaunch) {
  at_.facts.max_rows = 3;
  at_.add(test::small_request());
  Request longer = test::small_request();
  longer.voice.reset();
  longer.context_codes = {8, 2, std::vector<std::int32_t>(16, 5)};
  at_.add(longer).is_text_done = true;
  step();
  std::vector<std::pair<std::int32_t, std::int32_t>> parts;
  while (at_.running[1]->steps == 0) {
    build();
    for (const Segment& segment : segments(RowClass::prefill)) {
      parts.emplace_back(segment.position, segment.rows);
      EXPECT_EQ(segment.ids, at_.running[1]->request.context.ids.data() + 2 * segment.position);
      EXPECT_GE(segment.num_blocks * 4, segment.position + segment.rows);
    }
    step();
  }
  EXPECT_EQ(parts, (std::vector<std::pair<std::int32_t, std::int32_t>>{{0, 3}, {3, 3}, {6, 2}}));
}

TEST_F(BatchBuilder, GuidedRequestsShareAPrefix) {
  Sequence& first = at_.add(guided(1));
  Sequence& second = at_.add(guided(2));
  ASSERT_EQ(first.prefix, second.prefix);
  at_.facts.max_rows = 32;
  build();
  // Each its own 5 rows, and the prefix's 5 once.
  EXPECT_EQ(batch_.of(RowClass::prefill).rows, 15);
  const Segment& prefix = segments(RowClass::prefill).at(1);
  EXPECT_EQ(prefix.branch, Branch::unconditional);
  EXPECT_EQ(prefix.input, Input::zeros);
  EXPECT_EQ(prefix.rows, 5);
  // Both fork it in this launch: a whole block is shared, the tail copied, into which position 5
  // goes.
  ASSERT_EQ(batch_.block_copies.size(), 2U);
  EXPECT_EQ(batch_.block_copies[0].from, first.prefix->table.data()[1]);
  EXPECT_EQ(batch_.block_copies[0].to, first.unconditional.data()[1]);
  EXPECT_EQ(first.unconditional.data()[0], second.unconditional.data()[0]);
  EXPECT_NE(first.unconditional.data()[1], second.unconditional.data()[1]);
  const step::RowBatch& decode = batch_.of(RowClass::decode);
  ASSERT_EQ(decode.draws.size(), 2U);
  EXPECT_EQ(decode.draws[1].conditional_row, 2);
  EXPECT_EQ(decode.draws[1].unconditional_row, 3);
  EXPECT_EQ(decode.segments[1].branch, Branch::unconditional);
  EXPECT_FALSE(decode.segments[1].apply_prior);
  EXPECT_EQ(decode.segments[1].blocks, first.unconditional.data());
}

TEST_F(BatchBuilder, LaterRequestsFindThePrefixFilled) {
  at_.add(guided(1));
  step();
  at_.add(guided(2));
  build();
  EXPECT_EQ(batch_.of(RowClass::prefill).rows, 5);  // its own alone
  EXPECT_EQ(batch_.block_copies.size(), 1U);
}

TEST_F(BatchBuilder, APrivateUnconditionalBranch) {
  at_.facts.shares_unconditional = false;
  Sequence& sequence = at_.add(guided(1));
  EXPECT_EQ(sequence.prefix, nullptr);
  build();
  const Segment& zeros = segments(RowClass::prefill).at(1);
  EXPECT_EQ(zeros.branch, Branch::unconditional);
  EXPECT_EQ(zeros.rows, 5);
  EXPECT_EQ(zeros.blocks, sequence.unconditional.data());
  EXPECT_TRUE(batch_.block_copies.empty());
}

// Every step computes the context and all that was spoken again, then one row more.
TEST_F(BatchBuilder, ARecomputedPriorFeedsEverythingAgain) {
  Request request = test::small_request();
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  request.prior->recompute = true;
  Sequence& sequence = at_.add(request);
  step();
  step();
  build();
  ASSERT_EQ(segments(RowClass::prefill).size(), 2U);
  const Segment& context = segments(RowClass::prefill)[0];
  const Segment& spoken = segments(RowClass::prefill)[1];
  EXPECT_EQ(context.position, 0);
  EXPECT_EQ(context.rows, 3);
  EXPECT_TRUE(context.apply_prior);
  EXPECT_EQ(spoken.position, 3);
  EXPECT_EQ(spoken.rows, 2);
  EXPECT_EQ(spoken.input, Input::codes);
  EXPECT_EQ(spoken.ids, sequence.stacks.data());
  EXPECT_EQ(spoken.position_table, 0);
  EXPECT_EQ(spoken.first_position, 3);
  EXPECT_EQ(segments(RowClass::decode)[0].position, 5);
}

TEST_F(BatchBuilder, GivenEncoderOutputHasNoPositions) {
  Request request = test::small_request();
  request.text_ids.clear();
  request.encoder_output = {2, at_.facts.dim,
                            std::vector<float>(static_cast<std::size_t>(2 * at_.facts.dim), 0.5F)};
  at_.add(request);
  build();
  EXPECT_EQ(segments(RowClass::project_memory).at(0).input, Input::vectors);
  EXPECT_EQ(segments(RowClass::project_memory).at(0).position_table, -1);
}

TEST_F(BatchBuilder, EncodedContextIsReadFromTheSlot) {
  at_.facts.context_route = step::ContextRoute::encoder;
  Request request = test::small_request();
  request.voice.reset();
  request.context_codes = {4, 2, std::vector<std::int32_t>(8, 5)};
  at_.add(request);
  build();
  EXPECT_EQ(segments(RowClass::encode_context).at(0).rows, 4);
  const Segment& context = segments(RowClass::prefill).at(0);
  EXPECT_EQ(context.input, Input::kept_rows);
  EXPECT_EQ(context.ids, nullptr);
  EXPECT_EQ(context.vectors, nullptr);
}

}  // namespace
}  // namespace ttsrt::executor
