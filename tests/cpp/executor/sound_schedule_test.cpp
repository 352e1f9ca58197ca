// Rows that become samples: how many run in a launch, and whose.
#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "executor/scheduler.h"
#include "support/itineraries.h"

namespace ttsrt::executor {
namespace {

using test::kSoundCodec;
using test::kSoundDecode;

using Item = std::tuple<int, int, int, int>;  // program, slot, first, rows
using Items = std::vector<Item>;

constexpr double kUnheard = StopView::kUnheard;

// A stream with so many frames that wait behind `first`; it makes steps where it still decodes.
SequenceView stream(std::int32_t slot, bool decodes, std::int32_t first, std::int32_t waiting,
                    double lead = kUnheard) {
  SequenceView view;
  view.slot = slot;
  view.num_stops = 3;
  view.stops[0].is_complete = true;
  StopView& decode = view.stops[1];
  decode.program = kSoundDecode;
  decode.first = first + waiting;
  decode.rows = 1;
  decode.is_complete = !decodes;
  StopView& codec = view.stops[2];
  codec.program = kSoundCodec;
  codec.first = first;
  codec.rows = first + waiting;
  codec.is_final = !decodes;
  codec.lead = lead;
  return view;
}

class SoundSchedule : public ::testing::Test {
 protected:
  SoundSchedule() : scheduler_(test::sound_programs(), 16), split_(3) {
    budget_.max_rows = 100;
    budget_.seconds = 10.0;
    budget_.row_seconds = {0.0, 0.0, 4.0};
  }

  // Only rows of the codec.
  Items plan(const std::vector<SequenceView>& views) {
    step::StepPlan planned;
    scheduler_.plan(views, split_, budget_, planned);
    Items items;
    for (const step::PlanItem& item : planned.items) {
      if (item.program == kSoundCodec)
        items.emplace_back(item.program, item.slot, item.first, item.rows);
    }
    EXPECT_EQ(planned.items.size() - items.size(), num_steps_);
    return items;
  }

  Scheduler scheduler_;
  std::vector<SplitBatch> split_;
  StepBudget budget_;
  std::size_t num_steps_ = 0;
};

// Two rows fit into the slice. What one stream has waiting delays another's steps no longer.
TEST_F(SoundSchedule, TakesASliceWhileOthersStep) {
  num_steps_ = 1;
  EXPECT_EQ(plan({stream(0, false, 7, 40), stream(1, true, 0, 0)}), (Items{{2, 0, 7, 2}}));
  budget_.row_seconds = {0.0, 0.0, 100.0};  // not even one, but it must get on
  EXPECT_EQ(plan({stream(0, false, 7, 40), stream(1, true, 0, 0)}), (Items{{2, 0, 7, 1}}));
  budget_.row_seconds = {0.0, 0.0, 0.0};  // not known yet
  EXPECT_EQ(plan({stream(0, false, 7, 40), stream(1, true, 0, 0)}), (Items{{2, 0, 7, 1}}));
}

TEST_F(SoundSchedule, KeepsUpWithTheSteps) {
  num_steps_ = 4;
  EXPECT_EQ(plan({stream(0, true, 1, 1, 1), stream(1, true, 2, 1, 2), stream(2, true, 3, 1, 3),
                  stream(3, true, 4, 1, 4)}),
            (Items{{2, 0, 1, 1}, {2, 1, 2, 1}, {2, 2, 3, 1}, {2, 3, 4, 1}}));
  budget_.step_frames = 2;
  num_steps_ = 2;
  EXPECT_EQ(plan({stream(0, true, 1, 2, 1), stream(1, true, 2, 5, 2)}),
            (Items{{2, 0, 1, 2}, {2, 1, 2, 2}}));
}

TEST_F(SoundSchedule, HelpsWhoWouldRunDryFirst) {
  num_steps_ = 4;
  std::vector<SequenceView> views = {stream(0, true, 9, 3, 5.0), stream(1, true, 9, 3, -2.0),
                                     stream(2, true, 0, 2), stream(3, true, 9, 3, 0.5)};
  EXPECT_EQ(plan(views), (Items{{2, 2, 0, 2}, {2, 1, 9, 2}}));
  views[3].priority = 1;
  EXPECT_EQ(plan(views), (Items{{2, 3, 9, 3}, {2, 2, 0, 1}}));
}

// A stream that nobody has heard yet, with a step to take and a frame that waits, and others whose
// listeners have two seconds left, less than half a second, or next to nothing.
class Yielding : public SoundSchedule {
 protected:
  Yielding() { budget_.step_share = 0.5; }

  const SequenceView ample_ = stream(0, true, 9, 3, 2.0);
  const SequenceView some_ = stream(1, true, 9, 3, 0.4);
  const SequenceView scarce_ = stream(2, true, 9, 3, 0.1);
  const SequenceView unheard_ = stream(3, true, 0, 1);
};

TEST_F(Yielding, WhoHasSoundLeftToWhoIsNotHeard) {
  budget_.row_seconds = {0.0, 0.0, 0.1};
  num_steps_ = 1;
  EXPECT_EQ(plan({ample_, some_, unheard_}), (Items{{2, 3, 0, 1}}));
  num_steps_ = 2;
  EXPECT_EQ(plan({ample_, scarce_, unheard_}), (Items{{2, 3, 0, 1}, {2, 2, 9, 3}}));
}

TEST_F(Yielding, WhoHasAmpleSoundToWhoRunsDry) {
  budget_.row_seconds = {0.0, 0.0, 0.1};
  num_steps_ = 2;
  EXPECT_EQ(plan({ample_, some_, scarce_}), (Items{{2, 2, 9, 3}, {2, 1, 9, 3}}));
}

TEST_F(Yielding, NobodyWhereAllHaveSoundLeft) {
  num_steps_ = 2;
  EXPECT_EQ(plan({ample_, some_}), (Items{{2, 1, 9, 2}}));
}

TEST_F(Yielding, NobodyWhereStepsShareTheirTime) {
  num_steps_ = 2;
  for (const double share : {0.0, 0.1}) {
    budget_.step_share = share;
    EXPECT_EQ(plan({ample_, unheard_}), (Items{{2, 3, 0, 1}, {2, 0, 9, 1}})) << share;
  }
}

TEST_F(Yielding, NeverToALowerPriority) {
  SequenceView first = ample_;
  first.priority = 1;
  num_steps_ = 2;
  EXPECT_EQ(plan({first, unheard_}), (Items{{2, 0, 9, 2}}));
  SequenceView urgent = unheard_;
  urgent.priority = 1;
  num_steps_ = 1;
  EXPECT_EQ(plan({urgent, first}), (Items{{2, 3, 0, 1}}));
}

// Otherwise nothing would run before a launch is collected.
TEST_F(Yielding, NobodyToOneThatWaits) {
  SequenceView waiting = unheard_;
  waiting.stops[1].can_go_on = false;
  waiting.stops[2].can_go_on = false;
  num_steps_ = 1;
  EXPECT_EQ(plan({ample_, waiting}), (Items{{2, 0, 9, 2}}));
}

// A stream whose frames the caller makes sound of, behind `prefilled` of 20 rows of its prompt.
SequenceView codes(std::int32_t slot, double lead, std::int32_t prefilled = 20) {
  SequenceView view;
  view.slot = slot;
  view.num_stops = 2;
  view.stops[0].first = prefilled;
  view.stops[0].rows = 20;
  view.stops[0].is_complete = prefilled == 20;
  view.stops[1].program = kSoundDecode;
  view.stops[1].rows = 1;
  view.stops[1].follows = 1;
  view.stops[1].lead = lead;
  return view;
}

TEST_F(Yielding, StepsOfCodesToThoseWithoutAFrame) {
  std::vector<std::tuple<int, int, int>> found;
  const auto plan_of = [&](const std::vector<SequenceView>& views) {
    step::StepPlan planned;
    scheduler_.plan(views, split_, budget_, planned);
    found.clear();
    for (const step::PlanItem& item : planned.items)
      found.emplace_back(item.program, item.slot, item.rows);
    return found;
  };
  using Found = std::vector<std::tuple<int, int, int>>;
  const SequenceView arrives = codes(1, kUnheard, 0);
  EXPECT_EQ(plan_of({codes(0, 0.3), arrives}), (Found{{0, 1, 20}, {1, 1, 1}}));
  EXPECT_EQ(plan_of({codes(0, 0.1), arrives}), (Found{{0, 1, 20}, {1, 0, 1}, {1, 1, 1}}));
  // Text is read, not heard: it neither yields nor is it waited for.
  EXPECT_EQ(plan_of({codes(0, StopView::kNobody), arrives}),
            (Found{{0, 1, 20}, {1, 0, 1}, {1, 1, 1}}));
  EXPECT_EQ(plan_of({codes(0, 0.9), codes(1, StopView::kNobody)}), (Found{{1, 0, 1}, {1, 1, 1}}));
}

// Nobody else steps, so the rows of the one in a hurry may take longer than the slice.
TEST_F(Yielding, ALaunchMayTakeHalfOfWhatIsLeft) {
  budget_.seconds = 0.02;
  budget_.row_seconds = {0.0, 0.0, 0.1};
  SequenceView waits = unheard_;
  waits.stops[1].is_complete = true;
  waits.stops[2].rows = 30;
  EXPECT_EQ(plan({ample_, waits}), (Items{{2, 3, 0, 10}}));
  SequenceView nearer = ample_;
  nearer.stops[2].lead = 0.8;
  EXPECT_EQ(plan({ample_, nearer, waits}), (Items{{2, 3, 0, 4}}));
}

// Someone may come meanwhile.
TEST_F(SoundSchedule, IsBoundedWhileNobodySteps) {
  EXPECT_EQ(plan({stream(0, false, 0, 90), stream(1, false, 0, 90)}), (Items{{2, 0, 0, 10}}));
  budget_.row_seconds = {0.0, 0.0, 0.0};
  EXPECT_EQ(plan({stream(0, false, 0, 90), stream(1, false, 0, 90)}), (Items{{2, 0, 0, 8}}));
  budget_.seconds = 0.0;  // no limit
  EXPECT_EQ(plan({stream(0, false, 0, 90), stream(1, false, 0, 90)}),
            (Items{{2, 0, 0, 90}, {2, 1, 0, 10}}));
  EXPECT_TRUE(plan({stream(0, false, 3, 0), stream(1, false, 0, 0)}).empty());
}

}  // namespace
}  // namespace ttsrt::executor
