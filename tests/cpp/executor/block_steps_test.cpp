// Steps that decide a block together: what the executor launches, books and emits.
#include <gtest/gtest.h>

#include "executor/commit.h"
#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

constexpr std::int32_t kRows = 4;

class BlockSteps : public ::testing::Test {
 protected:
  BlockSteps() : at_(block_facts(), programs(), 64) {}

  static step::Facts block_facts() {
    step::Facts facts = test::small_facts();
    facts.codebooks = 1;
    facts.frame_stacking = kRows;
    return facts;
  }
  static std::vector<step::ProgramInfo> programs() {
    return {{.name = "prefill", .pace = step::Pace::chunked, .uses_cache = true},
            {.name = "blocks", .pace = step::Pace::stepwise, .uses_cache = true}};
  }
  // Three rows of a prompt, and blocks of up to `frames` codes in both branches.
  static PreparedRequest request(std::int32_t frames) {
    step::RowSource codes;
    codes.input = step::Input::block_codes;
    codes.rows = kRows;
    codes.position_table = 1;
    step::Stop blocks = test::stop_of(1, {codes}, {0});
    blocks.position = 3;
    blocks.num_branches = 2;
    blocks.block_rows = kRows;
    blocks.block_frames = frames;
    blocks.repeats = 100;
    return test::request_for({test::stop_of(0, {test::zero_rows(3)}), blocks});
  }
  // A step that gives no codes, one that gives them, and one that leaves its rows as they are.
  void go_on() { commit_as(false, 0); }
  void decide(std::int32_t first_code, std::int32_t end_frame = -1) {
    commit_as(true, 0, first_code, end_frame);
  }
  void leave(std::int32_t rows) { commit_as(false, rows); }

  void commit_as(bool has_codes, std::int32_t final_rows, std::int32_t first_code = 0,
                 std::int32_t end_frame = -1) {
    at_.launch(launch_);
    ASSERT_EQ(launch_.batch.programs[1].draws.size(), 1U);
    step::StepOutput output = test::output_of(launch_.batch, at_.facts, first_code, end_frame);
    output.draws[0].has_codes = has_codes;
    output.draws[0].final_rows = final_rows;
    at_.commit(launch_, output);
  }
  const step::Segment& segment(std::size_t index) const {
    return launch_.batch.programs[1].segments.at(index);
  }

  test::Sequencer at_;
  test::Launch launch_;
};

TEST_F(BlockSteps, ABlockRunsAtOnePlaceUntilItIsLeft) {
  Sequence& sequence = at_.start(request(10));
  go_on();
  for (const std::size_t branch : {std::size_t{0}, std::size_t{1}}) {
    EXPECT_EQ(segment(branch).rows, kRows);
    EXPECT_EQ(segment(branch).position, 3);
    EXPECT_EQ(segment(branch).input, step::Input::block_codes);
    EXPECT_EQ(segment(branch).first_position, 0);
  }
  EXPECT_EQ(launch_.batch.programs[1].draws[0].rows, kRows);
  EXPECT_EQ(launch_.batch.programs[1].draws[0].unconditional_row, kRows);
  EXPECT_FALSE(test::next_event_of(sequence).has_value());
  decide(20);
  EXPECT_EQ(segment(0).position, 3);
  EXPECT_EQ(test::next_event_of(sequence)->codes.values,
            (std::vector<std::int32_t>{20, 21, 22, 23}));
  leave(kRows);
  EXPECT_EQ(segment(0).position, 3);
  go_on();
  EXPECT_EQ(segment(0).position, 3 + kRows);
  EXPECT_EQ(segment(0).first_position, 0);  // learned positions begin again
  EXPECT_EQ(sequence.frames, kRows);
  EXPECT_EQ(sequence.steps(), 4);
}

TEST_F(BlockSteps, TheNextStepWaitsForTheOneBefore) {
  at_.start(request(10));
  at_.launch(launch_);
  EXPECT_EQ(launch_.batch.programs[1].rows, 2 * kRows);
  EXPECT_TRUE(at_.launch().plan.is_empty());
}

TEST_F(BlockSteps, TheLastBlockIsAsShortAsTheRequest) {
  Sequence& sequence = at_.start(request(6));
  decide(0);
  leave(kRows);
  decide(10);
  EXPECT_EQ(segment(0).rows, 2);
  EXPECT_EQ(segment(1).first_row, 2);
  EXPECT_EQ(sequence.end, FinishReason::length);
  EXPECT_EQ(frames_of(sequence, 1, 0, 6).values, (std::vector<std::int32_t>{0, 1, 2, 3, 10, 11}));
}

TEST_F(BlockSteps, SpeechEndsInsideABlock) {
  Sequence& sequence = at_.start(request(12));
  decide(0);
  leave(kRows);
  decide(10, 1);
  EXPECT_EQ(sequence.end, FinishReason::stop);
  EXPECT_EQ(sequence.frames, kRows + 1);
}

}  // namespace
}  // namespace ttsrt::executor
