// A team leaves out threads that are late because they do not run, and calls them again. CPU times
// are made up, so that the machine's other work has no part in it.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/thread_team.h"

namespace ttsrt {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int32_t kThreads = 4;
constexpr std::int32_t kLate = 3;

std::atomic<bool> is_taken{false};  // the core of kLate

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

// All threads run all the time, but for kLate while its core is taken.
std::int64_t told_cpu_time(std::int32_t thread) {
  return thread == kLate && is_taken.load() ? 0 : now();
}

struct Work {
  ThreadTeam* team = nullptr;
  std::vector<int> counts = std::vector<int>(kThreads, 0);
  std::int32_t seen = 0;
  bool is_broken = false;
};

// A run of two barriers; true if each thread of the team was in all of it. The others wait for
// kLate while its core is taken.
bool run_once(ThreadTeam& team, Work& work) {
  work.team = &team;
  const std::int32_t active = team.num_active();
  work.counts.assign(kThreads, 0);
  team.run(
      [](void* context, std::int32_t thread) {
        auto& at = *static_cast<Work*>(context);
        ++at.counts[static_cast<std::size_t>(thread)];
        at.team->barrier();
        std::int32_t present = 0;
        for (const int count : at.counts) present += count;
        if (present != at.team->num_active()) at.is_broken = true;
        const bool is_late = thread == kLate && is_taken.load();
        std::this_thread::sleep_for(std::chrono::milliseconds(is_late ? 8 : 2));
        at.team->barrier();
      },
      &work);
  for (std::int32_t t = 0; t < kThreads; ++t) {
    if (work.counts[static_cast<std::size_t>(t)] != (t < active ? 1 : 0)) return false;
  }
  return !work.is_broken;
}

// Runs until so many take part; false after a minute.
bool run_until(ThreadTeam& team, std::int32_t active) {
  Work work;
  const Clock::time_point end = Clock::now() + std::chrono::minutes(1);
  while (team.num_active() != active) {
    if (!run_once(team, work) || Clock::now() > end) return false;
  }
  return run_once(team, work);
}

TEST(ThreadTeamShrinks, WithoutTheLateThreadAndGrowsAgain) {
  is_taken = false;
  ThreadTeam team(kThreads, {.may_shrink = true, .cpu_time = told_cpu_time});
  Work work;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(run_once(team, work)) << i;
  EXPECT_EQ(team.num_active(), kThreads);
  for (int turn = 0; turn < 2; ++turn) {
    is_taken = true;
    ASSERT_TRUE(run_until(team, kThreads - 1)) << team.num_active();
    is_taken = false;
    ASSERT_TRUE(run_until(team, kThreads)) << team.num_active();
  }
  EXPECT_EQ(team.num_threads(), kThreads);
}

TEST(ThreadTeamShrinks, OnlyIfItMay) {
  is_taken = true;
  ThreadTeam team(kThreads, {.cpu_time = told_cpu_time});
  Work work;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(run_once(team, work)) << i;
  EXPECT_EQ(team.num_active(), kThreads);
}

// Errors reach the caller, and a team that has shrunk ends.
TEST(ThreadTeamShrinks, ErrorsAndTheEndWithoutTheLateThread) {
  is_taken = true;
  ThreadTeam team(kThreads, {.may_shrink = true, .cpu_time = told_cpu_time});
  ASSERT_TRUE(run_until(team, kThreads - 1));
  for (std::int32_t failing = 0; failing < kThreads - 1; ++failing) {
    struct Failing {
      ThreadTeam* team;
      std::int32_t thread;
    } of{&team, failing};
    const auto fail = [](void* context, std::int32_t thread) {
      const auto& at = *static_cast<Failing*>(context);
      if (thread == at.thread) throw thread;
      at.team->barrier();
    };
    EXPECT_THROW(team.run(fail, &of), std::int32_t);
  }
  Work work;
  EXPECT_TRUE(run_once(team, work));
}

// The system's own clock: a thread that sleeps outside of barriers does not run.
TEST(ThreadTeamShrinks, BySystemTime) {
  ThreadTeam team(2, {.may_shrink = true});
  const Clock::time_point end = Clock::now() + std::chrono::minutes(1);
  while (team.num_active() == 2 && Clock::now() < end) {
    team.run(
        [](void* context, std::int32_t thread) {
          if (thread == 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
          static_cast<ThreadTeam*>(context)->barrier();
        },
        &team);
  }
  EXPECT_EQ(team.num_active(), 1);
}

}  // namespace
}  // namespace ttsrt
