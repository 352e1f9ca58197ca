#include "executor/scheduler.h"

#include <gtest/gtest.h>

#include <tuple>

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::RowClass;

// sequence, class, branch, is_prefix, first, rows
using Item = std::tuple<int, RowClass, Branch, bool, int, int>;

std::vector<Item> plan(const std::vector<SequenceView>& views, std::int32_t max_rows) {
  std::vector<Item> items;
  for (const step::PlanItem& item : plan_step(views, max_rows).items) {
    items.emplace_back(item.sequence, item.row_class, item.branch, item.is_prefix, item.first,
                       item.rows);
  }
  return items;
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
  EXPECT_EQ(plan({fresh(5, 0), fresh(4, 0), fresh(3, 0)}, 8).back(),
            (Item{2, kDecode, kCond, false, 0, 1}));
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

// Whatever the mix, rows fit, something runs, and everybody arrives.
TEST(Scheduler, EveryoneArrives) {
  for (std::int32_t max_rows = 5; max_rows < 12; ++max_rows) {
    std::vector<SequenceView> views;
    for (std::int32_t i = 0; i < 6; ++i) views.push_back(fresh(1 + i % 5, 3 * i));
    std::vector<bool> has_decoded(views.size(), false);
    for (int step = 0; step < 100; ++step) {
      const step::StepPlan planned = plan_step(views, max_rows);
      ASSERT_FALSE(planned.is_empty());
      std::int32_t rows[step::kRowClasses] = {};
      for (const step::PlanItem& item : planned.items) {
        rows[static_cast<std::int32_t>(item.row_class)] += item.rows;
        SequenceView& view = views[static_cast<std::size_t>(item.sequence)];
        if (item.row_class == kText) view.text_rows = 0;
        if (item.row_class == kPrefill) view.conditional_done += item.rows;
        if (item.row_class == kDecode) has_decoded[static_cast<std::size_t>(item.sequence)] = true;
      }
      EXPECT_LE(rows[static_cast<std::int32_t>(kText)], max_rows);
      EXPECT_LE(rows[static_cast<std::int32_t>(kPrefill)], max_rows);
    }
    EXPECT_EQ(has_decoded, std::vector<bool>(views.size(), true));
  }
}

}  // namespace
}  // namespace ttsrt::executor
