#include "executor/batch_builder.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::Input;
using step::Segment;

Request guided(std::uint64_t seed) {
  Request request = test::small_request(seed);
  request.voice.emplace(1);  // 5 rows
  request.cfg_scale = 2.0F;
  return request;
}

Request recomputing() {
  Request request = test::small_request();
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  request.prior->recompute = true;
  return request;
}

std::vector<std::int32_t> ids_of(const Segment& segment, std::int32_t per_row) {
  return {segment.ids, segment.ids + segment.rows * per_row};
}

class BatchBuilder : public ::testing::Test {
 protected:
  void step() { at_.step(7); }
  // Plans and builds, without booking: the same launch may be built again.
  void build() {
    at_.plan(plan_);
    build_batch(plan_, at_.slots, at_.site, batch_);
  }
  const step::RowBatch& rows(std::int32_t program) const {
    return batch_.programs[static_cast<std::size_t>(program)];
  }
  const std::vector<Segment>& segments(std::int32_t program) const {
    return rows(program).segments;
  }

  test::Sequencer at_;
  step::StepPlan plan_;
  step::StepBatch batch_;
};

TEST_F(BatchBuilder, AFreshRequest) {
  const Sequence& sequence = at_.add(test::small_request(4));
  build();
  ASSERT_EQ(batch_.programs.size(), 5U);
  ASSERT_EQ(batch_.resets.size(), 1U);
  EXPECT_EQ(batch_.resets[0].slot, 0);
  EXPECT_EQ(batch_.resets[0].rules.sampler.seed, 4U);
  const Segment& text = segments(test::kEncodeText).at(0);
  EXPECT_EQ(text.rows, 3);
  EXPECT_EQ(text.input, Input::ids);
  EXPECT_EQ(text.table, 0);
  EXPECT_EQ(ids_of(text, 1), (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(text.num_blocks, 0);  // encoders keep nothing in the cache
  const Segment& context = segments(test::kPrefill).at(0);
  EXPECT_EQ(context.rows, 3);
  EXPECT_EQ(context.input, Input::vectors);
  EXPECT_EQ(context.vectors, sequence.stop(1).rows.at(0).vectors->data());
  EXPECT_EQ(*context.vectors, 0.5F);
  EXPECT_FALSE(context.apply_prior);
  const Segment& decode = segments(test::kDecode).at(0);
  EXPECT_EQ(decode.position, 3);
  EXPECT_EQ(decode.rows, 1);
  EXPECT_EQ(decode.input, Input::codes);
  EXPECT_EQ(ids_of(decode, 2), (std::vector<std::int32_t>{13, 13}));
  EXPECT_TRUE(decode.apply_prior);
  EXPECT_EQ(decode.num_blocks, 1);
  EXPECT_EQ(decode.blocks, sequence.tables[0].data());
  ASSERT_EQ(rows(test::kDecode).draws.size(), 1U);
  EXPECT_EQ(rows(test::kDecode).draws[0].slot, 0);
  EXPECT_EQ(rows(test::kDecode).draws[0].conditional_row, 0);
  EXPECT_EQ(rows(test::kDecode).draws[0].unconditional_row, -1);
}

TEST_F(BatchBuilder, TheNextStepIsOneRow) {
  at_.add(test::small_request());
  step();
  build();
  EXPECT_TRUE(batch_.resets.empty());
  EXPECT_EQ(rows(test::kEncodeText).rows, 0);
  EXPECT_EQ(rows(test::kPrefill).rows, 0);
  const Segment& decode = segments(test::kDecode).at(0);
  EXPECT_EQ(decode.position, 4);
  EXPECT_EQ(decode.input, Input::last_codes);
  EXPECT_EQ(decode.num_blocks, 2);
}

TEST_F(BatchBuilder, ForcedCodesGoWithTheirStep) {
  const std::int32_t width = at_.facts.stack_codes();
  const auto codes = std::make_shared<const std::vector<std::int32_t>>(std::size_t{64}, 3);
  at_.add(test::small_request()).request.itinerary.forced_codes = codes;
  build();
  EXPECT_EQ(rows(test::kDecode).draws.at(0).forced, codes->data());
  step();
  build();
  EXPECT_EQ(rows(test::kDecode).draws.at(0).forced, codes->data() + width);
  EXPECT_EQ(rows(test::kDecode).draws.at(0).code(0, 7), 3);
  EXPECT_EQ(step::Draw{}.code(0, 7), 7);
}

// The second launch is built while the first is in flight: its codes come from the slot.
TEST_F(BatchBuilder, AStepBehindOneInFlightTakesTheNextPosition) {
  const Sequence& sequence = at_.add(test::small_request());
  const test::Launch first = at_.launch();
  EXPECT_EQ(sequence.steps(), 0);
  EXPECT_EQ(sequence.planned_steps(), 1);
  const test::Launch second = at_.launch();
  EXPECT_TRUE(second.batch.resets.empty());
  const Segment& decode = second.batch.programs[test::kDecode].segments.at(0);
  EXPECT_EQ(decode.input, Input::last_codes);
  EXPECT_EQ(decode.position, 4);
  EXPECT_EQ(decode.first_position, 4);
  EXPECT_EQ(first.batch.programs[test::kDecode].segments.at(0).blocks, decode.blocks);
  EXPECT_EQ(sequence.flights, 4);  // three items of the first launch, one of the second
}

TEST_F(BatchBuilder, LearnedPositionsCountOnFromWhereTheirRowsStart) {
  at_.facts.max_rows = 4;
  Request request = test::small_request();
  request.voice.emplace(1);
  at_.add(request);
  build();
  EXPECT_EQ(segments(test::kEncodeText).at(0).position_table, 0);
  EXPECT_EQ(segments(test::kEncodeText).at(0).first_position, 0);
  EXPECT_EQ(segments(test::kPrefill).at(0).position_table, 0);
  EXPECT_EQ(segments(test::kPrefill).at(0).first_position, 0);
  step();
  build();  // the fifth row of the context, and the first step
  EXPECT_EQ(segments(test::kPrefill).at(0).first_position, 4);
  EXPECT_EQ(segments(test::kPrefill).at(0).position, 4);
  EXPECT_EQ(segments(test::kDecode).at(0).position_table, 0);
  EXPECT_EQ(segments(test::kDecode).at(0).first_position, 5);
}

TEST_F(BatchBuilder, PrefillIsSplitByTheRowsOfALaunch) {
  at_.facts.max_rows = 3;
  at_.add(test::small_request());
  Request longer = test::small_request();
  longer.voice.reset();
  longer.context_codes = {8, 2, std::vector<std::int32_t>(16, 5)};
  const Sequence& sequence = at_.add(longer);
  step();  // the first one's rows fill it
  step();  // and the second one's text
  std::vector<std::pair<std::int32_t, std::int32_t>> parts;
  const auto* codes = sequence.stop(1).rows.at(0).ids->data();
  parts.emplace_back(0, sequence.progress_of(1).committed_rows);
  while (sequence.steps() == 0) {
    build();
    for (const Segment& segment : segments(test::kPrefill)) {
      parts.emplace_back(segment.position, segment.rows);
      EXPECT_EQ(segment.ids, codes + 2 * segment.position);
      EXPECT_GE(segment.num_blocks * 4, segment.position + segment.rows);
    }
    step();
  }
  EXPECT_EQ(parts, (std::vector<std::pair<std::int32_t, std::int32_t>>{{0, 3}, {3, 3}, {6, 2}}));
}

TEST_F(BatchBuilder, GuidedRequestsShareAPrefix) {
  const Sequence& first = at_.add(guided(1));
  const Sequence& second = at_.add(guided(2));
  ASSERT_NE(first.prefix_of(2), nullptr);
  ASSERT_EQ(first.prefix_of(2), second.prefix_of(2));
  at_.facts.max_rows = 32;
  build();
  // Each its own 5 rows, and the prefix's 5 once.
  EXPECT_EQ(rows(test::kPrefill).rows, 15);
  const Segment& prefix = segments(test::kPrefill).at(1);
  EXPECT_EQ(prefix.branch, Branch::unconditional);
  EXPECT_EQ(prefix.input, Input::zeros);
  EXPECT_EQ(prefix.rows, 5);
  EXPECT_EQ(prefix.blocks, first.prefix_of(2)->table.data());
  // Both fork it in front of the first step: a whole block is shared, the tail copied, into which
  // position 5 goes.
  EXPECT_TRUE(rows(test::kPrefill).copies.empty());
  const std::vector<step::BlockCopy>& copies = rows(test::kDecode).copies;
  ASSERT_EQ(copies.size(), 2U);
  EXPECT_EQ(copies[0].from, first.prefix_of(2)->table.data()[1]);
  EXPECT_EQ(copies[0].to, first.tables[1].data()[1]);
  EXPECT_EQ(first.tables[1].data()[0], second.tables[1].data()[0]);
  EXPECT_NE(first.tables[1].data()[1], second.tables[1].data()[1]);
  const step::RowBatch& decode = rows(test::kDecode);
  ASSERT_EQ(decode.draws.size(), 2U);
  EXPECT_EQ(decode.draws[1].conditional_row, 2);
  EXPECT_EQ(decode.draws[1].unconditional_row, 3);
  EXPECT_EQ(decode.segments[0].blocks, first.tables[0].data());
  EXPECT_EQ(decode.segments[1].branch, Branch::unconditional);
  EXPECT_EQ(decode.segments[1].position, 5);
  EXPECT_FALSE(decode.segments[1].apply_prior);
  EXPECT_EQ(decode.segments[1].blocks, first.tables[1].data());
}

// A prefix of 5 rows of which this request needs 4: all of them are whole blocks.
TEST_F(BatchBuilder, ARequestForksAsMuchOfAPrefixAsItNeeds) {
  PreparedRequest request = test::prepared(guided(1), test::small_model(at_.facts));
  request.itinerary.stops[2].forked_rows = 4;
  const Sequence& sequence = at_.start(std::move(request));
  at_.facts.max_rows = 32;
  build();
  EXPECT_EQ(segments(test::kPrefill).at(1).rows, 5);
  EXPECT_TRUE(rows(test::kDecode).copies.empty());
  EXPECT_EQ(sequence.tables[1].data()[0], sequence.prefix_of(2)->table.data()[0]);
}

// The first source feeds the first step, with a row for each branch; the last one says which
// positions later steps add.
TEST_F(BatchBuilder, TheFirstStepMayHaveARowForEachBranch) {
  PreparedRequest request = test::prepared(guided(1), test::small_model(at_.facts));
  step::Stop& decode = request.itinerary.stops.back();
  step::RowSource first;
  first.input = Input::vectors;
  first.rows = 2;
  first.vectors = std::make_shared<const std::vector<float>>(std::size_t{2 * 4}, 0.5F);
  decode.rows.insert(decode.rows.begin(), first);
  decode.rows.back().position_table = 1;
  const Sequence& sequence = at_.start(std::move(request));
  at_.facts.max_rows = 32;
  build();
  const float* vectors = sequence.stops().back().rows.front().vectors->data();
  ASSERT_EQ(segments(test::kDecode).size(), 2U);
  EXPECT_EQ(segments(test::kDecode)[0].vectors, vectors);
  EXPECT_EQ(segments(test::kDecode)[1].vectors, vectors + 4);
  EXPECT_EQ(segments(test::kDecode)[0].position_table, -1);
  step();
  build();
  EXPECT_EQ(segments(test::kDecode)[0].input, Input::last_codes);
  EXPECT_EQ(segments(test::kDecode)[0].position_table, 1);
}

TEST_F(BatchBuilder, LaterRequestsFindThePrefixFilled) {
  at_.add(guided(1));
  step();
  const Sequence& later = at_.add(guided(2));
  build();
  EXPECT_EQ(rows(test::kPrefill).rows, 5);  // its own alone
  EXPECT_EQ(rows(test::kDecode).copies.size(), 1U);
  EXPECT_TRUE(later.is_forked[1]);
  step();
  build();
  EXPECT_TRUE(rows(test::kDecode).copies.empty());  // forked once
}

TEST_F(BatchBuilder, APrivateUnconditionalBranch) {
  model::magpie::Facts model = test::small_model();
  model.shares_unconditional = false;
  const Sequence& sequence = at_.add(guided(1), model);
  EXPECT_EQ(sequence.prefixes, std::vector<Prefix*>(sequence.stops().size(), nullptr));
  build();
  const Segment& zeros = segments(test::kPrefill).at(1);
  EXPECT_EQ(zeros.branch, Branch::unconditional);
  EXPECT_EQ(zeros.rows, 5);
  EXPECT_EQ(zeros.blocks, sequence.tables[1].data());
  EXPECT_TRUE(rows(test::kPrefill).copies.empty());
  EXPECT_TRUE(rows(test::kDecode).copies.empty());
}

// Every step computes the context and all that was spoken again, then one row more.
TEST_F(BatchBuilder, ARecomputedPriorFeedsEverythingAgain) {
  const Sequence& sequence = at_.add(recomputing());
  step();
  step();
  build();
  ASSERT_EQ(segments(test::kPrefill).size(), 2U);
  const Segment& context = segments(test::kPrefill)[0];
  const Segment& spoken = segments(test::kPrefill)[1];
  EXPECT_EQ(context.position, 0);
  EXPECT_EQ(context.rows, 3);
  EXPECT_TRUE(context.apply_prior);
  EXPECT_EQ(spoken.position, 3);
  EXPECT_EQ(spoken.rows, 2);
  EXPECT_EQ(spoken.input, Input::codes);
  EXPECT_EQ(spoken.ids, sequence.stacks.data());
  EXPECT_EQ(spoken.vectors, nullptr);
  EXPECT_EQ(ids_of(spoken, 2), (std::vector<std::int32_t>{13, 13, 7, 8}));
  EXPECT_EQ(spoken.position_table, 0);
  EXPECT_EQ(spoken.first_position, 3);
  EXPECT_TRUE(spoken.apply_prior);
  EXPECT_EQ(segments(test::kDecode)[0].position, 5);
}

TEST_F(BatchBuilder, ReplayedRowsAreSplitToo) {
  at_.facts.max_rows = 4;
  const Sequence& sequence = at_.add(recomputing());
  for (int i = 0; sequence.steps() < 3; ++i) {
    ASSERT_LT(i, 10);
    step();
  }
  build();  // three rows of the context and one that was spoken
  EXPECT_EQ(rows(test::kPrefill).rows, 4);
  EXPECT_TRUE(rows(test::kDecode).segments.empty());
  step();
  build();
  ASSERT_EQ(segments(test::kPrefill).size(), 1U);
  const Segment& spoken = segments(test::kPrefill)[0];
  EXPECT_EQ(spoken.position, 4);
  EXPECT_EQ(spoken.rows, 2);
  EXPECT_EQ(spoken.first_position, 4);
  EXPECT_EQ(spoken.ids, sequence.stacks.data() + 2);
  EXPECT_EQ(segments(test::kDecode).size(), 1U);
}

TEST_F(BatchBuilder, EncodedContextIsReadFromTheSlot) {
  model::magpie::Facts model = test::small_model();
  model.context_route = model::magpie::ContextRoute::encoder;
  Request request = test::small_request();
  request.voice.reset();
  request.context_codes = {4, 2, std::vector<std::int32_t>(8, 5)};
  at_.add(request, model);
  build();
  EXPECT_EQ(segments(test::kEncodeContext).at(0).rows, 4);
  EXPECT_EQ(segments(test::kEncodeContext).at(0).input, Input::codes);
  const Segment& context = segments(test::kPrefill).at(0);
  EXPECT_EQ(context.input, Input::kept_rows);
  EXPECT_EQ(context.kept_offset, 0);
  EXPECT_EQ(context.rows, 4);
  EXPECT_EQ(context.ids, nullptr);
  EXPECT_EQ(context.vectors, nullptr);
}

TEST_F(BatchBuilder, RowsOfRequestsThatEndedKeepTheirPlace) {
  at_.add(test::small_request(1));
  Sequence& gone = at_.add(test::small_request(2));
  at_.plan(plan_);
  ASSERT_EQ(plan_.items[0].program, test::kEncodeText);
  plan_.items[0].slot = step::kNoSlot;
  plan_.programs[test::kEncodeText] = {1, 2, true};
  gone.is_slot_reset = true;
  build_batch(plan_, at_.slots, at_.site, batch_);
  const step::RowBatch& text = rows(test::kEncodeText);
  EXPECT_EQ(text.first_part, 1);
  EXPECT_EQ(text.last_part, 2);
  ASSERT_EQ(text.segments.size(), 2U);
  EXPECT_EQ(text.segments[0].slot, step::kNoSlot);
  EXPECT_EQ(text.segments[0].rows, 3);
  EXPECT_EQ(text.segments[1].first_row, 3);
  EXPECT_EQ(text.segments[1].slot, 1);
  EXPECT_EQ(rows(test::kPrefill).last_part, step::kAllParts);
}

}  // namespace
}  // namespace ttsrt::executor
