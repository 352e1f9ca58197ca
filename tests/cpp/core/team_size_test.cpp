// Which size a team takes, for losses that are made up.
#include "core/team_size.h"

#include <gtest/gtest.h>

#include <vector>

namespace ttsrt {
namespace {

constexpr double kRun = 0.01;

// Runs of 10 ms, in which each member that takes part loses its share of them.
class Team {
 public:
  Team(std::int32_t members, bool is_pinned)
      : size_(members, is_pinned), lost_(static_cast<std::size_t>(members), 0.0) {}

  void lose(std::size_t member, double share) { lost_[member] = share * kRun; }
  void lose(double share) { lost_.assign(lost_.size(), share * kRun); }

  // Seconds of runs until the size changes; more than 60 if it doesn't.
  double run_until_changed() {
    double seconds = 0.0;
    do {
      seconds += kRun;
    } while (!size_.add(kRun, lost_) && seconds < 60.0);
    return seconds;
  }
  std::int32_t size() const { return size_.size(); }
  const TeamSize& rule() const { return size_; }

 private:
  TeamSize size_;
  std::vector<double> lost_;
};

TEST(TeamSize, AMemberThatLosesHalfRests) {
  Team team(16, false);
  team.lose(5, 0.5);
  EXPECT_LT(team.run_until_changed(), 0.15);
  EXPECT_EQ(team.size(), 15);
}

// 64 members: one that rests is the 64th part of the team.
TEST(TeamSize, OneOfManyCostsOne) {
  Team team(64, true);
  team.lose(63, 0.3);
  team.run_until_changed();
  EXPECT_EQ(team.size(), 63);
}

TEST(TeamSize, SmallLossesAreLeft) {
  Team team(16, false);
  team.lose(0.1);
  EXPECT_GT(team.run_until_changed(), 60.0);
  EXPECT_EQ(team.size(), 16);
}

// Two threads of which one runs for 60 % of the time do 1.2 times what one does, and 0.8 times with
// 40 %.
TEST(TeamSize, TheSecondOfTwoRestsFromHalfOn) {
  Team team(2, true);
  team.lose(1, 0.4);
  EXPECT_GT(team.run_until_changed(), 60.0);
  team.lose(1, 0.6);
  team.run_until_changed();
  EXPECT_EQ(team.size(), 1);
}

// A quota of half of the cores stops all members alike: half of them then never stop.
TEST(TeamSize, AQuotaLeavesAsManyAsItAllows) {
  Team team(16, false);
  team.lose(0.5);
  team.run_until_changed();
  EXPECT_EQ(team.size(), 8);
}

// Members that are bound to cores lose what they lose, however many take part.
TEST(TeamSize, PinnedMembersThatAllLoseStay) {
  Team team(16, true);
  team.lose(0.5);
  EXPECT_GT(team.run_until_changed(), 60.0);
  EXPECT_EQ(team.size(), 16);
}

TEST(TeamSize, ItGrowsWhenTheCoresAreBack) {
  Team team(4, false);
  team.lose(3, 0.9);
  team.run_until_changed();
  ASSERT_EQ(team.size(), 3);
  team.lose(0.0);
  const double waited = team.run_until_changed();
  EXPECT_EQ(team.size(), 4);
  EXPECT_GT(waited, 0.4);
  EXPECT_LT(waited, 0.7);
  EXPECT_GT(team.run_until_changed(), 60.0);
}

// Every attempt that was too early doubles the time until the next one, up to 16 seconds.
TEST(TeamSize, AttemptsBecomeRare) {
  Team team(4, false);
  team.lose(3, 0.9);
  double last = 0.0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    team.run_until_changed();
    ASSERT_EQ(team.size(), 3);
    const double waited = team.run_until_changed();
    ASSERT_EQ(team.size(), 4);
    EXPECT_LT(waited, 16.2);
    if (attempt > 0 && attempt < 6) {
      EXPECT_GT(waited, 1.7 * last);
    }
    last = waited;
  }
  EXPECT_GT(last, 15.9);
  // One that succeeds begins anew.
  team.lose(0.0);
  EXPECT_GT(team.run_until_changed(), 60.0);
  team.lose(3, 0.9);
  team.run_until_changed();
  EXPECT_LT(team.run_until_changed(), 0.7);
}

// The third and the fourth go on with the cores of the first and the second.
TEST(TeamSize, MembersThatGoOnTakeTheBetterCores) {
  Team team(4, true);
  team.lose(0, 0.9);
  team.lose(1, 0.8);
  team.run_until_changed();
  ASSERT_EQ(team.size(), 2);
  std::vector<std::int32_t> late;
  std::vector<std::int32_t> good;
  for (const auto& [one, other] : team.rule().exchanges()) {
    late.push_back(one);
    good.push_back(other);
  }
  std::sort(late.begin(), late.end());
  EXPECT_EQ(late, (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(good, (std::vector<std::int32_t>{2, 3}));
}

TEST(TeamSize, OneMemberIsATeam) {
  Team team(1, false);
  team.lose(1.0);
  EXPECT_GT(team.run_until_changed(), 60.0);
  EXPECT_EQ(team.size(), 1);
}

}  // namespace
}  // namespace ttsrt
