// Which size a team takes for given times of its members.
#include "core/team_size.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace ttsrt {
namespace {

constexpr double kRun = 0.01;

// Runs of 10 ms. Each member that takes part loses its share of them, and waits for a share of the
// largest of these losses.
class Team {
 public:
  explicit Team(std::int32_t members, std::optional<std::int32_t> quota = std::nullopt)
      : size_(members, quota),
        lost_(static_cast<std::size_t>(members), 0.0),
        times_(lost_.size()) {}

  void lose(std::size_t member, double share) { lost_[member] = share; }
  void lose(double share) { lost_.assign(lost_.size(), share); }
  void wait(double share) { waits_ = share; }

  // Seconds of runs until the size changes; more than 60 if it doesn't.
  double run_until_changed() {
    double seconds = 0.0;
    do {
      const double latest = *std::max_element(lost_.begin(), lost_.begin() + size());
      for (std::size_t i = 0; i < lost_.size(); ++i) {
        const double worked = 1.0 - lost_[i] - waits_ * (latest - lost_[i]);
        times_[i] = {kRun * worked, kRun * lost_[i]};
      }
      seconds += kRun;
    } while (!size_.add(kRun, times_) && seconds < 60.0);
    return seconds;
  }
  std::int32_t size() const { return size_.size(); }
  const TeamSize& rule() const { return size_; }

 private:
  TeamSize size_;
  std::vector<double> lost_;
  std::vector<MemberTime> times_;
  double waits_ = 1.0;
};

TEST(TeamSize, AMemberThatLosesHalfRests) {
  Team team(16);
  team.lose(5, 0.5);
  EXPECT_LT(team.run_until_changed(), 0.15);
  EXPECT_EQ(team.size(), 15);
}

// 64 members: one that rests is the 64th part of the team.
TEST(TeamSize, OneOfManyCostsOne) {
  Team team(64);
  team.lose(63, 0.3);
  team.run_until_changed();
  EXPECT_EQ(team.size(), 63);
}

TEST(TeamSize, SmallLossesAreLeft) {
  Team team(16);
  team.lose(0.1);
  EXPECT_GT(team.run_until_changed(), 60.0);
  EXPECT_EQ(team.size(), 16);
}

// Where others take over the work of a late member, it does no harm.
TEST(TeamSize, AMemberForWhichNobodyWaitsStays) {
  Team team(16);
  team.lose(5, 0.5);
  team.wait(0.05);
  EXPECT_GT(team.run_until_changed(), 60.0);
}

// Two threads of which one runs for 60 % of the time do 1.2 times what one does, and 0.8 times with
// 40 %.
TEST(TeamSize, TheSecondOfTwoRestsFromHalfOn) {
  Team team(2);
  team.lose(1, 0.4);
  EXPECT_GT(team.run_until_changed(), 60.0);
  team.lose(1, 0.6);
  team.run_until_changed();
  EXPECT_EQ(team.size(), 1);
}

// A quota of half of the cores stops all members alike, at any point of their work; a team of half
// the size is never stopped.
TEST(TeamSize, AQuotaLeavesAsManyAsItAllows) {
  Team team(16, 8);
  team.lose(0.5);
  team.lose(3, 0.6);
  team.run_until_changed();
  EXPECT_EQ(team.size(), 8);
}

// Without a quota, others run on the cores in that time, and would have those of members that rest.
TEST(TeamSize, MembersThatAllLoseStay) {
  for (const std::optional<std::int32_t> quota : {std::optional<std::int32_t>{}, {16}}) {
    Team team(16, quota);
    team.lose(0.5);
    EXPECT_GT(team.run_until_changed(), 60.0);
    EXPECT_EQ(team.size(), 16);
  }
}

TEST(TeamSize, ItGrowsWhenTheCoresAreBack) {
  Team team(4);
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
  Team team(4);
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
  Team team(4);
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
  Team team(1, 1);
  team.lose(1.0);
  EXPECT_GT(team.run_until_changed(), 60.0);
  EXPECT_EQ(team.size(), 1);
}

}  // namespace
}  // namespace ttsrt
