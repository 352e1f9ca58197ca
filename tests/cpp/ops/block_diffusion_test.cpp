// ShiftBlock, GuessBlock and FinishBlock on the reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "ops/reference/reference_backend.h"
#include "support/blocks.h"
#include "support/errors.h"

namespace ttsrt::ops {
namespace {

using test::kBlockPlaces;

class BlockOps : public ::testing::Test {
 protected:
  BlockOps() { backend_->create_state(test::small_state()); }

  void begin(const rules::SlotRules& rules) {
    backend_->reset_slot({1, rules});
    test::run_program(*backend_, programs_.start, test::start_rows(1, 50).batch);
  }
  step::StepOutput step(std::uint64_t seed, std::int32_t rows = kBlockPlaces,
                        bool is_guided = true) {
    const test::TestBatch batch = test::block_rows(1, rows, seed, is_guided);
    step::StepOutput output;
    executable_ = test::run_program(*backend_, programs_.blocks, batch.batch, &output);
    return output;
  }
  std::vector<float> row(BufferId buffer, std::int32_t index, std::int64_t width = 16) const {
    const std::vector<float> values = test::values_of(*executable_, buffer, (index + 1) * width);
    return {values.end() - width, values.end()};
  }
  static std::int64_t masks_of(const step::StepOutput& output) {
    return std::count(output.codes.begin(), output.codes.end(), test::kBlockVocab);
  }

  std::unique_ptr<Backend> backend_ = make_reference_backend();
  test::BlockPrograms programs_;
  std::unique_ptr<Executable> executable_;
};

TEST_F(BlockOps, RowsMoveBackByOneBehindTheKeptRow) {
  begin(test::block_rules(3));
  step(7);
  EXPECT_EQ(row(programs_.shifted, 0), test::random_vector(16, 50));
  EXPECT_EQ(row(programs_.shifted, 1), row(programs_.hidden, 0));
  EXPECT_EQ(row(programs_.shifted, kBlockPlaces), test::random_vector(16, 51));
  EXPECT_EQ(row(programs_.shifted, 2 * kBlockPlaces - 1),
            row(programs_.hidden, 2 * kBlockPlaces - 2));
}

TEST_F(BlockOps, ABlockIsDecidedThenLeftAndTheNextBegins) {
  rules::SlotRules rules = test::block_rules(4);  // one place of four in each step
  rules.eos_id = 0;
  rules.num_forbidden = 1;  // speech does not end
  rules.forbidden[0] = 0;
  begin(rules);
  std::vector<std::int32_t> before;
  for (std::int32_t pass = 0; pass < 4; ++pass) {
    const step::StepOutput output = step(10 + static_cast<std::uint64_t>(pass));
    EXPECT_EQ(masks_of(output), 3 - pass);
    EXPECT_EQ(output.draws.at(0).has_codes, pass == 3);
    EXPECT_EQ(output.draws.at(0).final_rows, 0);
    EXPECT_EQ(output.draws.at(0).end_frame, -1);
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (before[i] == test::kBlockVocab) continue;
      EXPECT_EQ(output.codes[i], before[i]);
    }
    before = output.codes;
  }
  const step::StepOutput left = step(20);
  EXPECT_FALSE(left.draws.at(0).has_codes);
  EXPECT_EQ(left.draws.at(0).final_rows, kBlockPlaces);
  const std::vector<float> last = row(programs_.hidden, kBlockPlaces - 1);
  const step::StepOutput next = step(21);
  EXPECT_EQ(masks_of(next), 3);
  EXPECT_EQ(row(programs_.shifted, 0), last);  // kept for the next block
}

TEST_F(BlockOps, TheEndOfSpeechEndsABlock) {
  rules::SlotRules rules = test::block_rules(4);
  begin(rules);
  const std::vector<std::int32_t> codes = step(10).codes;
  const auto first = std::find_if(codes.begin(), codes.end(),
                                  [](std::int32_t code) { return code != test::kBlockVocab; });
  rules.eos_id = *first;
  begin(rules);
  const step::StepOutput output = step(10);
  EXPECT_EQ(output.draws.at(0).end_frame, first - codes.begin());
  EXPECT_TRUE(output.draws.at(0).has_codes);
}

TEST_F(BlockOps, AShortBlockLeavesTheOtherPlacesMasked) {
  begin(test::block_rules(1));
  const step::StepOutput output = step(10, 3, false);
  EXPECT_EQ(masks_of(output), 1);
  EXPECT_EQ(output.codes.at(3), test::kBlockVocab);
  EXPECT_TRUE(output.draws.at(0).has_codes);
}

TEST_F(BlockOps, RowsThatAreNotFiniteAreTold) {
  begin(test::block_rules(2));
  const float infinite = std::numeric_limits<float>::infinity();
  test::TestBatch batch;
  std::vector<float> values = test::random_vector(kBlockPlaces * 16, 3);
  values[2 * 16 + 5] = infinite;  // of row 2, which gives the logits of place 3
  batch.add_vectors(1, kBlockPlaces, values);
  batch.add_draw(1, 0);
  batch.batch.draws.back().rows = kBlockPlaces;
  step::StepOutput output;
  test::run_program(*backend_, programs_.blocks, batch.batch, &output);
  ASSERT_EQ(output.faults.size(), 1U);
  EXPECT_EQ(output.faults[0].row, 3);
  EXPECT_EQ(output.faults[0].stage, step::FaultStage::logits);
}

TEST_F(BlockOps, PlacesThatTheSlotsDoNotHaveAreRefused) {
  test::BlockPrograms wrong;
  std::get<FinishBlock>(wrong.blocks.ops.back()).places = 5;
  EXPECT_TRUE(test::throws_naming<InternalError>(
      "blocks", [&] { backend_->compile(wrong.blocks, {8, 1, false, false, 0}); }));
}

}  // namespace
}  // namespace ttsrt::ops
