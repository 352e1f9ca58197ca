#include "executor/worst_case.h"

#include <gtest/gtest.h>

#include "support/itineraries.h"

namespace ttsrt::executor {
namespace {

constexpr std::int32_t kPrefill = 0;
constexpr std::int32_t kDecode = 1;

class WorstCase : public ::testing::Test {
 protected:
  // Prefill of so many rows on a branch.
  static step::Stop prefill(step::Branch branch, std::int32_t rows) {
    step::Stop stop = test::stop_of(kPrefill, {test::zero_rows(rows)});
    stop.branch = branch;
    return stop;
  }
  static step::Stop decode(std::int32_t position, std::int32_t repeats, std::int32_t branches) {
    step::Stop stop = test::stop_of(kDecode, {test::code_row(2, 1)});
    stop.position = position;
    stop.repeats = repeats;
    stop.num_branches = branches;
    return stop;
  }
  std::int32_t blocks(std::vector<step::Stop> stops) const {
    return worst_case(test::request_for(std::move(stops)), site_, 4);
  }

  const std::vector<step::ProgramInfo> programs_ = test::sound_programs();
  const step::Facts facts_{};
  const Site site_{facts_, programs_};
};

TEST_F(WorstCase, EachBranchAtFullLength) {
  EXPECT_EQ(blocks({prefill(step::Branch::conditional, 3)}), 1);
  EXPECT_EQ(blocks({prefill(step::Branch::conditional, 3), decode(3, 6, 1)}), 3);
  EXPECT_EQ(blocks({prefill(step::Branch::conditional, 3), decode(3, 6, 2)}), 6);
}

TEST_F(WorstCase, ProgramsWithoutACacheNeedNone) {
  EXPECT_EQ(blocks({test::stop_of(2, {test::zero_rows(50)})}), 0);
}

TEST_F(WorstCase, APrefixIsHeldOnceAndItsWholeBlocksAreShared) {
  step::Stop shared = prefill(step::Branch::unconditional, 6);
  shared.shared.emplace();
  shared.shared->rows = 6;
  EXPECT_EQ(shared_blocks(shared, 4), 1);
  EXPECT_EQ(shared_blocks(prefill(step::Branch::conditional, 6), 4), 0);
  // Two blocks of the prefix, three of the branch, of which one is the prefix's.
  EXPECT_EQ(blocks({shared, decode(6, 6, 1)}), 2 + 2 + 3 - 1);
  shared.forked_rows = 3;
  EXPECT_EQ(shared_blocks(shared, 4), 0);
}

}  // namespace
}  // namespace ttsrt::executor
