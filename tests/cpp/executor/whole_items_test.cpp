// Items that run whole, several times and with both branches: what the executor launches of them
// and what becomes their result.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "executor/trace.h"
#include "step/packed_rows.h"
#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::Segment;
using test::Launch;

constexpr std::int32_t kSchedule = 0;
constexpr std::int32_t kEvaluate = 1;
constexpr std::int32_t kSound = 2;

std::vector<step::ProgramInfo> programs() {
  return {{.name = "schedule", .pace = step::Pace::chunked, .max_rows = 2, .uses_cache = true},
          {.name = "flow", .num_parts = 2, .reads_schedule = true},
          {.name = "vocoder", .emits = step::Emits::samples}};
}

// Evaluates `rows` rows of two branches `steps` times; rows 1 and 2 of them become sound.
PreparedRequest request(std::int32_t rows, std::int32_t steps, const char* schedule) {
  step::Stop shared = test::stop_of(kSchedule, {test::zero_rows(steps)});
  shared.shared = step::PrefixKey{schedule, steps};
  step::RowSource other = test::zero_rows(rows);
  other.is_unconditional = true;
  step::Stop flow = test::stop_of(kEvaluate, {test::zero_rows(rows), other}, {0});
  flow.position = 5;
  flow.repeats = steps;
  flow.settled_rows = 3;
  std::vector<step::Evaluation> evaluations;
  for (std::int32_t i = 0; i < steps; ++i)
    evaluations.push_back({0.5F * static_cast<float>(i + 1), i % 2 == 1});
  flow.evaluations = std::make_shared<const std::vector<step::Evaluation>>(evaluations);
  step::Stop sound = test::stop_of(kSound, {test::zero_rows(rows)}, {1});
  sound.first_emitted = 1;
  sound.emitted_rows = 2;
  return test::request_for({shared, flow, sound});
}

class WholeItems : public ::testing::Test {
 protected:
  WholeItems() { at_.facts.max_rows = 64; }

  static const std::vector<Segment>& flow(const Launch& launched) {
    return launched.batch.programs[kEvaluate].segments;
  }

  test::Sequencer at_{test::small_facts(), programs()};
};

TEST_F(WholeItems, BothBranchesBeginAtTheSamePosition) {
  at_.start(request(4, 2, "a"));
  const Launch launched = at_.launch();
  ASSERT_EQ(flow(launched).size(), 2U);
  EXPECT_EQ(flow(launched)[0].branch, Branch::conditional);
  EXPECT_EQ(flow(launched)[1].branch, Branch::unconditional);
  EXPECT_EQ(flow(launched)[0].position, 5);
  EXPECT_EQ(flow(launched)[1].position, 5);
  EXPECT_EQ(flow(launched)[1].first_row, 4);
  EXPECT_EQ(step::partner_of(flow(launched), 0), &flow(launched)[1]);
  EXPECT_EQ(step::partner_of(flow(launched), 1), nullptr);
}

TEST_F(WholeItems, EachLaunchIsTheNextEvaluation) {
  at_.start(request(4, 2, "a"));
  Launch launched = at_.launch();
  EXPECT_FLOAT_EQ(flow(launched)[1].step_size, 0.5F);
  EXPECT_FALSE(flow(launched)[0].ends_step);
  EXPECT_FALSE(flow(launched)[0].is_last);
  const std::int32_t row = flow(launched)[0].schedule_row;
  EXPECT_EQ(flow(launched)[1].schedule_row, row);
  at_.launch(launched);
  EXPECT_FLOAT_EQ(flow(launched)[0].step_size, 1.0F);
  EXPECT_TRUE(flow(launched)[0].ends_step);
  EXPECT_TRUE(flow(launched)[0].is_last);
  EXPECT_EQ(flow(launched)[0].schedule_row, row + 1);
}

TEST_F(WholeItems, RowsAreSettledInTheLastEvaluation) {
  at_.start(request(4, 2, "a"));
  at_.start(request(2, 2, "a"));
  Launch launched = at_.launch();
  for (const Segment& segment : flow(launched)) EXPECT_EQ(segment.settled_rows, 0);
  at_.launch(launched);
  ASSERT_EQ(flow(launched).size(), 4U);
  EXPECT_EQ(flow(launched)[0].settled_rows, 3);
  EXPECT_EQ(flow(launched)[1].settled_rows, 3);
  EXPECT_EQ(flow(launched)[2].settled_rows, 2);  // all that it has
}

// Rows of a schedule are computed once, whoever brings them; whole blocks are shared.
TEST_F(WholeItems, EqualSchedulesAreOne) {
  at_.start(request(4, 4, "a"));
  at_.start(request(3, 4, "a"));
  at_.start(request(2, 4, "b"));
  Launch launched = at_.launch();
  std::int32_t rows = 0;
  for (int i = 0; i < 6; ++i) {
    rows += launched.batch.programs[kSchedule].rows;
    EXPECT_LE(launched.batch.programs[kSchedule].rows, 2);  // of one launch
    if (flow(launched).size() == 6U) break;
    at_.launch(launched);
  }
  EXPECT_EQ(rows, 8);
  ASSERT_EQ(flow(launched).size(), 6U);
  EXPECT_EQ(flow(launched)[0].schedule_row / step::kBlockSize,
            flow(launched)[2].schedule_row / step::kBlockSize);
  EXPECT_NE(flow(launched)[0].schedule_row / step::kBlockSize,
            flow(launched)[4].schedule_row / step::kBlockSize);
}

TEST_F(WholeItems, RowsInTheMiddleBecomeTheResult) {
  const Sequence& first = at_.start(request(4, 2, "a"));
  const Sequence& second = at_.start(request(3, 2, "a"));
  at_.commit(at_.launch());
  const Launch last = at_.launch();
  ASSERT_EQ(last.batch.programs[kSound].rows, 7);
  step::StepOutput output;
  output.rows.push_back({kSound, 1, {0, 1, 2, 3, 4, 5, 6}});
  at_.commit(last, output);
  EXPECT_EQ(first.samples, (std::vector<float>{1, 2}));
  EXPECT_EQ(second.samples, (std::vector<float>{5, 6}));
  EXPECT_EQ(first.end, FinishReason::stop);
}

TEST_F(WholeItems, TracesKeepBothBranchesOfEachEvaluation) {
  const Sequence& sequence = at_.start(request(2, 2, "a"), true);
  for (int evaluation = 0; evaluation < 2; ++evaluation) {
    const Launch launched = at_.launch();
    step::StepOutput output;
    step::TapOutput tap;
    tap.name = "velocity";
    tap.program = kEvaluate;
    tap.rows = 4;
    tap.width = 1;
    tap.values = {0, 1, 2, 3};
    output.taps.push_back(tap);
    if (launched.batch.programs[kSound].rows > 0) output.rows.push_back({kSound, 1, {8, 9}});
    trace_rows(launched.plan, launched.batch, output, at_.slots, at_.site);
  }
  ASSERT_EQ(sequence.trace.size(), 2U);
  EXPECT_EQ(sequence.trace[1].step, 1);
  EXPECT_EQ(sequence.trace[1].values.values, (std::vector<float>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace ttsrt::executor
