#include "executor/scheduler.h"

#include <gtest/gtest.h>

#include <tuple>

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::RowClass;

// sequence, class, branch, is_prefix, first, rows
using Item = std::tuple<int, RowClass, Branch, bool, int, int>;

std::vector<Item> items_of(const step::StepPlan& planned) {
  std::vector<Item> items;
  for (const step::PlanItem& item : planned.items) {
    items.emplace_back(item.sequence, item.row_class, item.branch, item.is_prefix, item.first,
                       item.rows);
  }
  return items;
}

StepBudget rows_only(std::int32_t max_rows) {
  StepBudget budget;
  budget.max_rows = max_rows;
  budget.num_parts = {3, 1, 2, 1, 1};
  return budget;
}

std::vector<Item> plan(const std::vector<SequenceView>& views, std::int32_t max_rows) {
  return items_of(plan_step(views, {}, rows_only(max_rows)));
}

constexpr auto kText = RowClass::encode_text;
constexpr auto kPrefill = RowClass::prefill;
constexpr auto kDecode = RowClass::decode;
constexpr auto kCond = Branch::conditional;
constexpr auto kUncond = Branch::unconditional;

SequenceView decoding(std::int32_t position, bool is_guided = false) {
  SequenceView view;
  view.conditional_done = view.conditional_target = position;
  view.is_guided = is_guided;
  return view;
}

SequenceView fresh(std::int32_t text_rows, std::int32_t context_rows) {
  SequenceView view;
  view.text_rows = text_rows;
  view.conditional_target = context_rows;
  return view;
}

using Items = std::vector<Item>;

TEST(Scheduler, NothingForNobody) { EXPECT_TRUE(plan({}, 8).empty()); }

TEST(Scheduler, WhoCanDecodeDecodes) {
  EXPECT_EQ(plan({decoding(5), decoding(9, true)}, 8), (Items{{0, kDecode, kCond, false, 5, 1},
                                                              {1, kDecode, kCond, false, 9, 1},
                                                              {1, kDecode, kUncond, false, 9, 1}}));
}

TEST(Scheduler, AFreshRequestGoesAllTheWay) {
  EXPECT_EQ(plan({fresh(4, 3)}, 8), (Items{{0, kText, kCond, false, 0, 4},
                                           {0, kPrefill, kCond, false, 0, 3},
                                           {0, kDecode, kCond, false, 3, 1}}));
}

TEST(Scheduler, EncodersSeeWholeInputs) {
  EXPECT_EQ(plan({fresh(5, 0), fresh(4, 0)}, 8),
            (Items{{0, kText, kCond, false, 0, 5}, {0, kDecode, kCond, false, 0, 1}}));
  EXPECT_EQ(plan({fresh(5, 0), fresh(4, 0), fresh(3, 0)}, 8),
            (Items{{0, kText, kCond, false, 0, 5},
                   {2, kText, kCond, false, 0, 3},
                   {0, kDecode, kCond, false, 0, 1},
                   {2, kDecode, kCond, false, 0, 1}}));
}

TEST(Scheduler, GivenEncoderOutputIsOnlyProjected) {
  SequenceView view = fresh(4, 0);
  view.is_encoder_output = true;
  EXPECT_EQ(std::get<1>(plan({view}, 8)[0]), RowClass::project_memory);
}

TEST(Scheduler, DecoderRowsWaitForBothEncoders) {
  SequenceView view = fresh(4, 3);
  view.context_encoder_rows = 9;
  EXPECT_EQ(plan({view}, 8), (Items{{0, kText, kCond, false, 0, 4}}));
  view.context_encoder_rows = 8;
  EXPECT_EQ(plan({view}, 8).size(), 4U);
}

TEST(Scheduler, PrefillIsCutWhereTheRowsEnd) {
  SequenceView view = fresh(0, 10);
  EXPECT_EQ(plan({view}, 4), (Items{{0, kPrefill, kCond, false, 0, 4}}));
  view.conditional_done = 8;
  EXPECT_EQ(plan({view, fresh(0, 3)}, 4), (Items{{0, kPrefill, kCond, false, 8, 2},
                                                 {0, kDecode, kCond, false, 10, 1},
                                                 {1, kPrefill, kCond, false, 0, 2}}));
}

TEST(Scheduler, APrivateUnconditionalBranchIsFilledToo) {
  SequenceView view = fresh(0, 3);
  view.is_guided = true;
  view.unconditional_target = 3;
  EXPECT_EQ(plan({view}, 4),
            (Items{{0, kPrefill, kCond, false, 0, 3}, {0, kPrefill, kUncond, false, 0, 1}}));
}

TEST(Scheduler, ASharedPrefixIsFilledOnce) {
  SequenceView view = fresh(0, 3);
  view.is_guided = true;
  view.prefix = 3;
  view.prefix_target = 3;
  EXPECT_EQ(plan({view, view}, 20), (Items{{0, kPrefill, kCond, false, 0, 3},
                                           {0, kPrefill, kUncond, true, 0, 3},
                                           {0, kDecode, kCond, false, 3, 1},
                                           {0, kDecode, kUncond, false, 3, 1},
                                           {1, kPrefill, kCond, false, 0, 3},
                                           {1, kDecode, kCond, false, 3, 1},
                                           {1, kDecode, kUncond, false, 3, 1}}));
}

TEST(Scheduler, APrefixMayBeFilledByTwo) {
  SequenceView view = fresh(0, 3);
  view.is_guided = true;
  view.prefix = 3;
  view.prefix_target = 3;
  // Four rows: three of the first, one of the prefix; nobody decodes.
  EXPECT_EQ(plan({view, view}, 4),
            (Items{{0, kPrefill, kCond, false, 0, 3}, {0, kPrefill, kUncond, true, 0, 1}}));
  view.prefix_done = 1;
  SequenceView first = view;
  first.conditional_done = 3;
  EXPECT_EQ(plan({first, view}, 4), (Items{{0, kPrefill, kUncond, true, 1, 2},
                                           {0, kDecode, kCond, false, 3, 1},
                                           {0, kDecode, kUncond, false, 3, 1},
                                           {1, kPrefill, kCond, false, 0, 2}}));
}

// A slice of 10 seconds, where a row takes one second in each part.
StepBudget slice_of_ten() {
  StepBudget budget = rows_only(100);
  budget.seconds = 10.0;
  budget.row_seconds.fill(1.0);
  return budget;
}

TEST(Scheduler, NobodyWaitsSoNothingIsCut) {
  const step::StepPlan planned = plan_step({fresh(40, 50)}, {}, slice_of_ten());
  EXPECT_EQ(items_of(planned).size(), 3U);
  EXPECT_FALSE(planned.pauses_in(kText));
}

TEST(Scheduler, AnEncoderPausesBetweenLayersWhileOthersDecode) {
  const step::StepPlan planned =
      plan_step({decoding(5), fresh(5, 3), fresh(4, 3), fresh(3, 3)}, {}, slice_of_ten());
  // The first two fit one part; the last waits for the next batch; nobody prefills yet.
  EXPECT_EQ(items_of(planned), (Items{{1, kText, kCond, false, 0, 5},
                                      {2, kText, kCond, false, 0, 4},
                                      {0, kDecode, kCond, false, 5, 1}}));
  EXPECT_TRUE(planned.pauses_in(kText));
  EXPECT_EQ(planned.parts[0].first, 0);
  EXPECT_EQ(planned.parts[0].last, 1);
}

TEST(Scheduler, APausedBatchGoesOnWithTheSameRows) {
  PausedBatches paused;
  paused[0] = {{{1, 2}, {step::kNobody, 2}}, 1};
  const std::vector<SequenceView> views = {decoding(5), fresh(2, 3), fresh(3, 3)};
  const step::StepPlan planned = plan_step(views, paused, slice_of_ten());
  // Two parts of four rows end it; what remains is the least that prefill goes on by.
  EXPECT_EQ(items_of(planned), (Items{{1, kText, kCond, false, 0, 2},
                                      {step::kNobody, kText, kCond, false, 0, 2},
                                      {0, kDecode, kCond, false, 5, 1},
                                      {1, kPrefill, kCond, false, 0, 3},
                                      {1, kDecode, kCond, false, 3, 1}}));
  EXPECT_EQ(planned.parts[0].first, 1);
  EXPECT_EQ(planned.parts[0].last, 3);
  EXPECT_FALSE(planned.pauses_in(kText));
}

TEST(Scheduler, AnInputLargerThanTheSliceGoesAlone) {
  const step::StepPlan planned =
      plan_step({decoding(5), fresh(50, 0), fresh(1, 0)}, {}, slice_of_ten());
  EXPECT_EQ(items_of(planned),
            (Items{{1, kText, kCond, false, 0, 50}, {0, kDecode, kCond, false, 5, 1}}));
  EXPECT_EQ(planned.parts[0].last, 1);
}

TEST(Scheduler, PrefillTakesWhatIsLeftOfTheSlice) {
  StepBudget budget = slice_of_ten();
  budget.row_seconds.fill(0.4);
  EXPECT_EQ(plan_step({decoding(5), fresh(0, 60)}, {}, budget).items[1].rows, 25);
  budget.row_seconds.fill(4.0);  // at least a block of rows
  EXPECT_EQ(plan_step({decoding(5), fresh(0, 60)}, {}, budget).items[1].rows, 16);
  budget.row_seconds.fill(0.0);  // nobody knows yet
  EXPECT_EQ(plan_step({decoding(5), fresh(0, 90)}, {}, budget).items[1].rows, 64);
  budget.max_rows = 8;
  EXPECT_EQ(plan_step({decoding(5), fresh(0, 90)}, {}, budget).items[1].rows, 8);
}

// Whatever the mix and the slice, rows fit, something runs, and everybody arrives.
class SchedulerArrival : public ::testing::TestWithParam<std::tuple<int, double>> {};

TEST_P(SchedulerArrival, EveryoneArrives) {
  const auto [max_rows, row_seconds] = GetParam();
  StepBudget budget = rows_only(max_rows);
  budget.seconds = 1.0;
  budget.row_seconds.fill(row_seconds);
  std::vector<SequenceView> views = {decoding(1)};
  for (std::int32_t i = 0; i < 6; ++i) views.push_back(fresh(1 + i % 5, 3 * i));
  std::vector<bool> has_decoded(views.size(), false);
  PausedBatches paused;
  for (int step = 0; step < 100; ++step) {
    const step::StepPlan planned = plan_step(views, paused, budget);
    ASSERT_FALSE(planned.is_empty());
    std::int32_t rows[step::kRowClasses] = {};
    paused = {};
    if (planned.pauses_in(kText)) paused[0].next_part = planned.parts[0].last;
    for (const step::PlanItem& item : planned.items) {
      rows[static_cast<std::int32_t>(item.row_class)] += item.rows;
      SequenceView& view = views[static_cast<std::size_t>(item.sequence)];
      if (item.row_class == kText && planned.pauses_in(kText)) {
        paused[0].members.push_back({item.sequence, item.rows});
      } else if (item.row_class == kText) {
        view.text_rows = 0;
      }
      if (item.row_class == kPrefill) view.conditional_done += item.rows;
      if (item.row_class == kDecode) has_decoded[static_cast<std::size_t>(item.sequence)] = true;
    }
    EXPECT_LE(rows[static_cast<std::int32_t>(kText)], max_rows);
    EXPECT_LE(rows[static_cast<std::int32_t>(kPrefill)], max_rows);
  }
  EXPECT_EQ(has_decoded, std::vector<bool>(views.size(), true));
}

INSTANTIATE_TEST_SUITE_P(Budgets, SchedulerArrival,
                         ::testing::Combine(::testing::Range(5, 12),
                                            ::testing::Values(0.0, 1e-3, 0.3, 100.0)));

}  // namespace
}  // namespace ttsrt::executor
