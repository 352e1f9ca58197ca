#include "executor/scheduler.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <tuple>
#include <vector>

#include "support/facts.h"
#include "support/itineraries.h"

namespace ttsrt::executor {
namespace {

constexpr std::int32_t kText = test::kEncodeText;
constexpr std::int32_t kMemory = test::kProjectMemory;
constexpr std::int32_t kContext = test::kEncodeContext;
constexpr std::int32_t kPrefill = test::kPrefill;
constexpr std::int32_t kDecode = test::kDecode;

// slot, program, stop, first, rows
using Item = std::tuple<int, int, int, int, int>;
using Items = std::vector<Item>;

Items items_of(const step::StepPlan& planned) {
  Items items;
  for (const step::PlanItem& item : planned.items)
    items.emplace_back(item.slot, item.program, item.stop, item.first, item.rows);
  return items;
}

SequenceView view_of(std::int32_t slot, std::initializer_list<StopView> stops) {
  SequenceView view;
  view.slot = slot;
  for (const StopView& stop : stops) view.stops[static_cast<std::size_t>(view.num_stops++)] = stop;
  return view;
}

// Rows of a stop; one without rows is complete.
StopView rows_of(std::int32_t program, std::int32_t rows, std::uint32_t follows = 0) {
  StopView stop;
  stop.program = program;
  stop.rows = rows;
  stop.follows = follows;
  stop.is_complete = rows == 0;
  return stop;
}

StopView step_of(std::int32_t steps, std::uint32_t follows) {
  StopView stop = rows_of(kDecode, 1, follows);
  stop.first = steps;
  return stop;
}

SequenceView decoding(std::int32_t slot, std::int32_t steps) {
  return view_of(slot, {rows_of(kText, 0), step_of(steps, 0b1)});
}

SequenceView fresh(std::int32_t slot, std::int32_t text_rows, std::int32_t context_rows) {
  return view_of(
      slot, {rows_of(kText, text_rows), rows_of(kPrefill, context_rows, 0b1), step_of(0, 0b11)});
}

// Its text is encoded; behind its own rows stand those of a shared prefix.
SequenceView guided(std::int32_t slot, std::int32_t rows, std::uint64_t prefix) {
  StopView shared = rows_of(kPrefill, rows);
  shared.prefix = prefix;
  return view_of(slot,
                 {rows_of(kText, 0), rows_of(kPrefill, rows, 0b1), shared, step_of(0, 0b111)});
}

class SchedulerTest : public ::testing::Test {
 protected:
  explicit SchedulerTest(std::vector<step::ProgramInfo> programs = test::small_programs(3))
      : scheduler_(programs, 16), split_(programs.size()) {
    budget_.row_seconds.assign(programs.size(), 0.0);
  }

  Items plan(const std::vector<SequenceView>& views, std::int32_t max_rows) {
    budget_.max_rows = max_rows;
    return plan(views);
  }
  Items plan(const std::vector<SequenceView>& views) {
    scheduler_.plan(views, split_, budget_, planned_);
    return items_of(planned_);
  }

  // A slice of 10 seconds, where a row takes `row_seconds` in each part.
  void slice_of_ten(double row_seconds = 1.0) {
    budget_.max_rows = 100;
    budget_.seconds = 10.0;
    budget_.row_seconds.assign(budget_.row_seconds.size(), row_seconds);
  }

  const step::ProgramParts& parts(std::int32_t program) const {
    return planned_.programs[static_cast<std::size_t>(program)];
  }

  Scheduler scheduler_;
  std::vector<SplitBatch> split_;
  StepBudget budget_;
  step::StepPlan planned_;
};

TEST_F(SchedulerTest, NothingForNobody) {
  EXPECT_TRUE(plan({}, 8).empty());
  EXPECT_TRUE(planned_.is_empty());
  EXPECT_EQ(planned_.programs.size(), 5U);
}

// One item for a step, whatever the number of its branches.
TEST_F(SchedulerTest, WhoCanStepSteps) {
  EXPECT_EQ(plan({decoding(2, 5), decoding(0, 9)}, 8),
            (Items{{2, kDecode, 1, 5, 1}, {0, kDecode, 1, 9, 1}}));
}

// All steps come first; what they leave of the launch goes to the drafts that are likeliest to come
// true, of equal ones to the older request.
TEST_F(SchedulerTest, DraftsTakeWhatStepsLeave) {
  const auto drafted = [](std::int32_t slot, std::int32_t drafts, double gain) {
    SequenceView view = decoding(slot, 5);
    view.stops[1].drafts = drafts;
    view.stops[1].gain = gain;
    return view;
  };
  const std::vector<SequenceView> views = {drafted(0, 4, 0.2), drafted(1, 3, 0.9), decoding(2, 5),
                                           drafted(3, 2, 0.2)};
  const auto rows = [&](std::int32_t max_rows) {
    std::vector<int> all;
    for (const Item& item : plan(views, max_rows)) all.push_back(std::get<4>(item));
    return all;
  };
  EXPECT_EQ(rows(13), (std::vector<int>{5, 4, 1, 3}));
  EXPECT_EQ(rows(10), (std::vector<int>{4, 4, 1, 1}));
  EXPECT_EQ(rows(6), (std::vector<int>{1, 3, 1, 1}));
  EXPECT_EQ(rows(4), (std::vector<int>{1, 1, 1, 1}));
}

TEST_F(SchedulerTest, AFreshRequestGoesAllTheWay) {
  EXPECT_EQ(plan({fresh(0, 4, 3)}, 8),
            (Items{{0, kText, 0, 0, 4}, {0, kPrefill, 1, 0, 3}, {0, kDecode, 2, 0, 1}}));
  EXPECT_FALSE(planned_.pauses_in(kText));
}

TEST_F(SchedulerTest, WholeProgramsSeeWholeInputs) {
  EXPECT_EQ(plan({fresh(0, 5, 0), fresh(1, 4, 0)}, 8),
            (Items{{0, kText, 0, 0, 5}, {0, kDecode, 2, 0, 1}}));
  EXPECT_EQ(
      plan({fresh(0, 5, 0), fresh(1, 4, 0), fresh(2, 3, 0)}, 8),
      (Items{
          {0, kText, 0, 0, 5}, {2, kText, 0, 0, 3}, {0, kDecode, 2, 0, 1}, {2, kDecode, 2, 0, 1}}));
}

TEST_F(SchedulerTest, AStopRunsInItsOwnProgram) {
  const SequenceView projecting = view_of(0, {rows_of(kMemory, 4), step_of(0, 0b1)});
  EXPECT_EQ(plan({projecting}, 8), (Items{{0, kMemory, 0, 0, 4}, {0, kDecode, 1, 0, 1}}));
}

TEST_F(SchedulerTest, RowsWaitForAllThatTheyFollow) {
  const auto with_context = [](std::int32_t rows) {
    return view_of(0, {rows_of(kText, 4), rows_of(kContext, rows), rows_of(kPrefill, 3, 0b11),
                       step_of(0, 0b111)});
  };
  const SequenceView before = fresh(1, 0, 0);
  SequenceView filling = with_context(4);
  filling.stops[1].can_go_on = false;
  EXPECT_EQ(plan({filling}, 8), (Items{{0, kText, 0, 0, 4}}));
  EXPECT_EQ(plan({with_context(8)}, 8).size(), 4U);
  // Another's context takes the room of the launch.
  const SequenceView other = view_of(1, {rows_of(kContext, 6)});
  EXPECT_EQ(plan({other, with_context(3), before}, 8),
            (Items{{0, kText, 0, 0, 4}, {1, kContext, 0, 0, 6}, {1, kDecode, 2, 0, 1}}));
}

TEST_F(SchedulerTest, PrefillIsCutWhereTheRowsEnd) {
  SequenceView view = fresh(0, 0, 10);
  EXPECT_EQ(plan({view}, 4), (Items{{0, kPrefill, 1, 0, 4}}));
  view.stops[1].first = 8;
  EXPECT_EQ(plan({view, fresh(1, 0, 3)}, 4),
            (Items{{0, kPrefill, 1, 8, 2}, {1, kPrefill, 1, 0, 2}, {0, kDecode, 2, 0, 1}}));
}

TEST_F(SchedulerTest, APrivateUnconditionalBranchIsFilledToo) {
  const SequenceView view = view_of(
      0, {rows_of(kText, 0), rows_of(kPrefill, 3, 0b1), rows_of(kPrefill, 3), step_of(0, 0b111)});
  EXPECT_EQ(plan({view}, 4), (Items{{0, kPrefill, 1, 0, 3}, {0, kPrefill, 2, 0, 1}}));
}

TEST_F(SchedulerTest, ASharedPrefixIsFilledOnce) {
  EXPECT_EQ(plan({guided(0, 3, 7), guided(1, 3, 7)}, 20), (Items{{0, kPrefill, 1, 0, 3},
                                                                 {0, kPrefill, 2, 0, 3},
                                                                 {1, kPrefill, 1, 0, 3},
                                                                 {0, kDecode, 3, 0, 1},
                                                                 {1, kDecode, 3, 0, 1}}));
  EXPECT_EQ(plan({guided(0, 3, 7), guided(1, 3, 8)}, 20).size(), 6U);  // two prefixes
}

TEST_F(SchedulerTest, APrefixMayBeFilledByTwo) {
  // Four rows: three of the first, one of the prefix; nobody steps.
  EXPECT_EQ(plan({guided(0, 3, 7), guided(1, 3, 7)}, 4),
            (Items{{0, kPrefill, 1, 0, 3}, {0, kPrefill, 2, 0, 1}}));
  SequenceView first = guided(0, 3, 7);
  first.stops[1] = rows_of(kPrefill, 0);
  SequenceView second = guided(1, 3, 7);
  first.stops[2].first = second.stops[2].first = 1;
  EXPECT_EQ(plan({first, second}, 4),
            (Items{{0, kPrefill, 2, 1, 2}, {1, kPrefill, 1, 0, 2}, {0, kDecode, 3, 0, 1}}));
  // Where the first one ended before, the second goes on from where it came to.
  second.stops[1] = rows_of(kPrefill, 0);
  EXPECT_EQ(plan({second}, 4), (Items{{1, kPrefill, 2, 1, 2}, {1, kDecode, 3, 0, 1}}));
}

// What follows rows in the same chunked Program runs with them, but a prefix is forked between two
// Programs: what follows it there waits for the next launch.
TEST_F(SchedulerTest, RowsMayFollowRowsButNotAPrefixOfTheirProgram) {
  StopView voice = rows_of(kPrefill, 5);
  const SequenceView own = view_of(0, {voice, rows_of(kPrefill, 2, 0b1), step_of(0, 0b11)});
  EXPECT_EQ(plan({own}, 8),
            (Items{{0, kPrefill, 0, 0, 5}, {0, kPrefill, 1, 0, 2}, {0, kDecode, 2, 0, 1}}));
  voice.prefix = 1;
  SequenceView shared = view_of(0, {voice, rows_of(kPrefill, 2, 0b1), step_of(0, 0b11)});
  EXPECT_EQ(plan({shared}, 8), (Items{{0, kPrefill, 0, 0, 5}}));
  shared.stops[0].first = 5;
  shared.stops[0].is_complete = true;
  EXPECT_EQ(plan({shared}, 8), (Items{{0, kPrefill, 1, 0, 2}, {0, kDecode, 2, 0, 1}}));
  // A step isn't in the prefix's Program, and needs not wait.
  EXPECT_EQ(plan({view_of(0, {voice, step_of(0, 0b1)})}, 8),
            (Items{{0, kPrefill, 0, 0, 5}, {0, kDecode, 1, 0, 1}}));
}

TEST_F(SchedulerTest, APrefixOfOneKeyInBothBranchesIsFilledOnce) {
  StopView voice = rows_of(kPrefill, 5);
  voice.prefix = 9;
  const SequenceView view = view_of(3, {voice, voice, step_of(0, 0b11)});
  EXPECT_EQ(plan({view}, 8), (Items{{3, kPrefill, 0, 0, 5}, {3, kDecode, 2, 0, 1}}));
  EXPECT_EQ(plan({view}, 4), (Items{{3, kPrefill, 0, 0, 4}}));
}

TEST_F(SchedulerTest, WhatWaitsForACollectIsntPlanned) {
  SequenceView view = fresh(0, 0, 4);
  view.stops[1].first = 2;
  view.stops[1].can_go_on = false;
  EXPECT_TRUE(plan({view}, 8).empty());
  view.stops[1].can_go_on = true;
  EXPECT_EQ(plan({view}, 8), (Items{{0, kPrefill, 1, 2, 2}, {0, kDecode, 2, 0, 1}}));
}

// A stop that grows is never complete, however many of its rows are launched.
TEST_F(SchedulerTest, AStopThatGrowsHoldsWhatFollowsIt) {
  StopView growing = rows_of(kPrefill, 6);
  growing.first = 4;
  growing.is_final = false;
  EXPECT_EQ(plan({view_of(0, {growing, step_of(0, 0b1)})}, 8), (Items{{0, kPrefill, 0, 4, 2}}));
  growing.first = 6;
  EXPECT_TRUE(plan({view_of(0, {growing, step_of(0, 0b1)})}, 8).empty());
  growing.is_final = true;
  EXPECT_EQ(plan({view_of(0, {growing, step_of(0, 0b1)})}, 8), (Items{{0, kDecode, 1, 0, 1}}));
}

TEST_F(SchedulerTest, NobodyWaitsSoNothingIsCut) {
  slice_of_ten();
  EXPECT_EQ(plan({fresh(0, 40, 50)}).size(), 3U);
  EXPECT_FALSE(planned_.pauses_in(kText));
}

TEST_F(SchedulerTest, AnEncoderPausesBetweenLayersWhileOthersStep) {
  slice_of_ten();
  // The first two fit one part; the last waits for the next batch; nobody prefills yet.
  EXPECT_EQ(plan({decoding(0, 5), fresh(1, 5, 3), fresh(2, 4, 3), fresh(3, 3, 3)}),
            (Items{{1, kText, 0, 0, 5}, {2, kText, 0, 0, 4}, {0, kDecode, 1, 5, 1}}));
  EXPECT_TRUE(planned_.pauses_in(kText));
  EXPECT_EQ(parts(kText).first, 0);
  EXPECT_EQ(parts(kText).last, 1);
}

TEST_F(SchedulerTest, ASplitBatchGoesOnWithTheSameRows) {
  slice_of_ten();
  split_[kText] = {{{1, 0, 2}, {step::kNoSlot, 0, 2}}, 1};
  // Two parts of four rows end it; what remains is the least that prefill goes on by.
  EXPECT_EQ(plan({decoding(0, 5), fresh(1, 2, 3), fresh(2, 3, 3)}),
            (Items{{1, kText, 0, 0, 2},
                   {step::kNoSlot, kText, 0, 0, 2},
                   {1, kPrefill, 1, 0, 3},
                   {0, kDecode, 1, 5, 1},
                   {1, kDecode, 2, 0, 1}}));
  EXPECT_EQ(parts(kText).first, 1);
  EXPECT_EQ(parts(kText).last, 3);
  EXPECT_FALSE(planned_.pauses_in(kText));
}

TEST_F(SchedulerTest, AnInputLargerThanTheSliceGoesAlone) {
  slice_of_ten();
  EXPECT_EQ(plan({decoding(0, 5), fresh(1, 50, 0), fresh(2, 1, 0)}),
            (Items{{1, kText, 0, 0, 50}, {0, kDecode, 1, 5, 1}}));
  EXPECT_EQ(parts(kText).last, 1);
}

TEST_F(SchedulerTest, PrefillTakesWhatIsLeftOfTheSlice) {
  const auto rows = [&](double row_seconds, std::int32_t context_rows) {
    slice_of_ten(row_seconds);
    return std::get<4>(plan({decoding(0, 5), fresh(1, 0, context_rows)}).at(0));
  };
  EXPECT_EQ(rows(0.4, 60), 25);
  EXPECT_EQ(rows(4.0, 60), 16);  // at least a block of rows
  EXPECT_EQ(rows(0.0, 90), 64);  // nobody knows yet
  slice_of_ten(0.0);
  EXPECT_EQ(std::get<4>(plan({decoding(0, 5), fresh(1, 0, 90)}, 8).at(0)), 8);
}

// A larger priority may arrive while this launch runs, so its time is limited even if nobody steps,
// and no batch of a whole Program, which has three parts here, takes longer than a slice in all.
TEST_F(SchedulerTest, PreemptionLimitsEveryLaunch) {
  slice_of_ten();
  budget_.is_preemptible = true;
  EXPECT_EQ(plan({fresh(0, 2, 3), fresh(1, 1, 3), fresh(2, 1, 3)}), (Items{{0, kText, 0, 0, 2},
                                                                           {1, kText, 0, 0, 1},
                                                                           {0, kPrefill, 1, 0, 3},
                                                                           {1, kPrefill, 1, 0, 3},
                                                                           {0, kDecode, 2, 0, 1},
                                                                           {1, kDecode, 2, 0, 1}}));
  EXPECT_EQ(plan({fresh(0, 9, 3), fresh(1, 1, 3)}), (Items{{0, kText, 0, 0, 9}}));
  EXPECT_EQ(parts(kText).last, 1);
}

// Several evaluations of a whole Program, and what follows them.
class FlowScheduler : public SchedulerTest {
 protected:
  FlowScheduler() : SchedulerTest(test::flow_programs(4)) {}

  static SequenceView flowing(std::int32_t slot, std::int32_t rows, bool is_last) {
    StopView flow = rows_of(test::kFlow, rows, 0b1);
    flow.is_final = is_last;
    return view_of(slot, {rows_of(test::kFlowText, 0), flow, rows_of(test::kVocoder, rows, 0b10)});
  }
};

TEST_F(FlowScheduler, WhatFollowsWaitsForTheLastEvaluation) {
  EXPECT_EQ(
      plan({flowing(0, 4, false), flowing(1, 3, true)}, 8),
      (Items{{0, test::kFlow, 1, 0, 4}, {1, test::kFlow, 1, 0, 3}, {1, test::kVocoder, 2, 0, 3}}));
}

TEST_F(FlowScheduler, EvaluationsOfOneBatchPauseTogether) {
  split_[test::kFlow] = {{{0, 1, 4}, {1, 1, 3}}, 2};
  EXPECT_EQ(
      plan({flowing(0, 4, false), flowing(1, 3, true), flowing(2, 1, true)}, 8),
      (Items{{0, test::kFlow, 1, 0, 4}, {1, test::kFlow, 1, 0, 3}, {1, test::kVocoder, 2, 0, 3}}));
  EXPECT_EQ(parts(test::kFlow).first, 2);
  EXPECT_EQ(parts(test::kFlow).last, 4);
}

// Whatever the mix and the slice, rows fit, something runs, and everybody arrives.
class SchedulerArrival : public ::testing::TestWithParam<std::tuple<int, double>> {};

TEST_P(SchedulerArrival, EveryoneArrives) {
  const auto [max_rows, row_seconds] = GetParam();
  const std::vector<step::ProgramInfo> programs = test::small_programs(3);
  Scheduler scheduler(programs, 16);
  StepBudget budget;
  budget.max_rows = max_rows;
  budget.seconds = 1.0;
  budget.row_seconds.assign(programs.size(), row_seconds);
  std::vector<SequenceView> views = {decoding(0, 1)};
  for (std::int32_t i = 1; i < 7; ++i) views.push_back(fresh(i, 1 + i % 5, 3 * (i - 1)));
  std::vector<bool> has_stepped(views.size(), false);
  step::StepPlan planned;
  std::vector<SplitBatch> split(programs.size());
  for (int launch = 0; launch < 100; ++launch) {
    scheduler.plan(views, split, budget, planned);
    ASSERT_FALSE(planned.is_empty());
    std::vector<std::int32_t> rows(programs.size(), 0);
    split[kText] = {};
    if (planned.pauses_in(kText)) split[kText].next_part = planned.programs[kText].last;
    for (const step::PlanItem& item : planned.items) {
      rows[static_cast<std::size_t>(item.program)] += item.rows;
      SequenceView& view = views[static_cast<std::size_t>(item.slot)];
      StopView& stop = view.stops[static_cast<std::size_t>(item.stop)];
      if (item.program == kText && planned.pauses_in(kText)) {
        split[kText].members.push_back({item.slot, item.stop, item.rows});
        continue;
      }
      stop.first += item.rows;
      stop.is_complete = item.program != kDecode && stop.first == stop.rows;
      if (item.program == kDecode) has_stepped[static_cast<std::size_t>(item.slot)] = true;
    }
    EXPECT_LE(rows[kText], max_rows);
    EXPECT_LE(rows[kPrefill], max_rows);
  }
  EXPECT_EQ(has_stepped, std::vector<bool>(views.size(), true));
}

INSTANTIATE_TEST_SUITE_P(Budgets, SchedulerArrival,
                         ::testing::Combine(::testing::Range(5, 12),
                                            ::testing::Values(0.0, 1e-3, 0.3, 100.0)));

}  // namespace
}  // namespace ttsrt::executor
