// What launches took, as shares of what they carried.
#include "executor/speed.h"

#include <gtest/gtest.h>

#include "support/itineraries.h"

namespace ttsrt::executor {
namespace {

class SpeedTest : public ::testing::Test {
 protected:
  SpeedTest() {
    budget_.row_seconds.assign(programs_.size(), 0.0);
    batch_.programs.resize(programs_.size());
  }

  // A launch of one Program with so many rows of so many requests.
  void learn(std::int32_t program, std::int32_t rows, std::int32_t requests, double seconds) {
    const auto at = static_cast<std::size_t>(program);
    step::StepPlan plan;
    plan.clear(programs_.size());
    for (std::int32_t slot = 0; slot < requests; ++slot) plan.items.push_back({program, slot});
    step::StepOutput output;
    output.seconds.assign(programs_.size(), 0.0);
    output.seconds[at] = seconds;
    for (step::RowBatch& none : batch_.programs) none.rows = 0;
    batch_.programs[at].rows = rows;
    batch_.programs[at].last_part = 1;
    speed_.learn(plan, batch_, output, {facts_, programs_}, budget_);
  }

  const std::vector<step::ProgramInfo> programs_ = test::sound_programs();
  const step::Facts facts_;
  step::StepBatch batch_;
  StepBudget budget_;
  Speed speed_;
};

TEST_F(SpeedTest, SecondsOfARow) {
  learn(test::kSoundCodec, 4, 2, 0.8);
  EXPECT_DOUBLE_EQ(budget_.row_seconds[test::kSoundCodec], 0.2);
  learn(test::kSoundCodec, 1, 1, 0.4);  // a quarter of the way
  EXPECT_DOUBLE_EQ(budget_.row_seconds[test::kSoundCodec], 0.25);
  EXPECT_EQ(budget_.step_share, 0.0);  // no steps
}

// Guided requests have two rows each.
TEST_F(SpeedTest, ShareOfARequestMore) {
  learn(test::kSoundDecode, 6, 3, 0.04);
  EXPECT_EQ(budget_.step_share, 0.0);  // no step alone so far
  learn(test::kSoundDecode, 2, 1, 0.01);
  EXPECT_EQ(budget_.step_share, 0.0);
  learn(test::kSoundDecode, 6, 3, 0.02);
  EXPECT_DOUBLE_EQ(budget_.step_share, 0.5);
  learn(test::kSoundDecode, 4, 2, 0.01);
  EXPECT_DOUBLE_EQ(budget_.step_share, 0.375);
  learn(test::kSoundDecode, 4, 2, 0.0);  // nothing was measured
  EXPECT_DOUBLE_EQ(budget_.step_share, 0.375);
}

}  // namespace
}  // namespace ttsrt::executor
