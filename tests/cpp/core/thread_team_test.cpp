// Every thread of a team runs, barriers order their writes, and errors reach the caller and leave
// the team usable.
#include "core/thread_team.h"

#include <gtest/gtest.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/errors.h"

namespace ttsrt {
namespace {

class ThreadTeamTest : public testing::TestWithParam<std::int32_t> {};

TEST_P(ThreadTeamTest, EveryThreadRunsOncePerRun) {
  ThreadTeam team(GetParam());
  ASSERT_EQ(team.num_threads(), GetParam());
  std::vector<int> counts(static_cast<std::size_t>(GetParam()), 0);
  for (int i = 0; i < 200; ++i) {
    team.run(
        [](void* context, std::int32_t thread) {
          ++(*static_cast<std::vector<int>*>(context))[static_cast<std::size_t>(thread)];
        },
        &counts);
  }
  for (const int count : counts) EXPECT_EQ(count, 200);
}

struct Relay {
  ThreadTeam* team;
  std::vector<int> values;
  bool is_broken = false;
};

// In each round, a thread reads what its neighbour wrote in the previous round; barriers separate
// writes and reads.
TEST_P(ThreadTeamTest, BarriersOrderRounds) {
  ThreadTeam team(GetParam());
  Relay relay{&team, std::vector<int>(static_cast<std::size_t>(GetParam()), 0)};
  team.run(
      [](void* context, std::int32_t thread) {
        auto& at = *static_cast<Relay*>(context);
        const auto mine = static_cast<std::size_t>(thread);
        for (int round = 1; round <= 2000; ++round) {
          at.values[mine] = round;
          at.team->barrier();
          if (at.values[(mine + 1) % at.values.size()] != round) at.is_broken = true;
          at.team->barrier();
        }
      },
      &relay);
  EXPECT_FALSE(relay.is_broken);
}

// The other threads sleep until a late thread arrives.
TEST_P(ThreadTeamTest, LateThreadsAreAwaited) {
  ThreadTeam team(GetParam());
  Relay relay{&team, std::vector<int>(static_cast<std::size_t>(GetParam()), 0)};
  team.run(
      [](void* context, std::int32_t thread) {
        auto& at = *static_cast<Relay*>(context);
        if (thread == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        at.values[static_cast<std::size_t>(thread)] = 1;
        at.team->barrier();
        for (const int value : at.values) {
          if (value != 1) at.is_broken = true;
        }
      },
      &relay);
  EXPECT_FALSE(relay.is_broken);
}

struct Failing {
  ThreadTeam* team;
  std::int32_t thread;
  int barriers_after;
};

TEST_P(ThreadTeamTest, AnErrorReachesTheCallerAndTheTeamGoesOn) {
  ThreadTeam team(GetParam());
  for (std::int32_t thread = 0; thread < GetParam(); ++thread) {
    for (const int barriers_after : {0, 3}) {
      Failing failing{&team, thread, barriers_after};
      const auto fail = [](void* context, std::int32_t self) {
        const auto& at = *static_cast<Failing*>(context);
        at.team->barrier();
        if (self == at.thread) throw std::runtime_error("thread " + std::to_string(self));
        for (int i = 0; i < at.barriers_after; ++i) at.team->barrier();
      };
      try {
        team.run(fail, &failing);
        ADD_FAILURE() << "no error from thread " << thread;
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), "thread " + std::to_string(thread));
      }
      Relay relay{&team, std::vector<int>(static_cast<std::size_t>(GetParam()), 0)};
      team.run(
          [](void* context, std::int32_t self) {
            static_cast<Relay*>(context)->values[static_cast<std::size_t>(self)] = 7;
          },
          &relay);
      for (const int value : relay.values) EXPECT_EQ(value, 7);
    }
  }
}

// Threads arrive one after another, after longer than a spin: each sleeps and is woken.
TEST_P(ThreadTeamTest, SleepersAreWokenEachTime) {
  ThreadTeam team(GetParam());
  Relay relay{&team, std::vector<int>(static_cast<std::size_t>(GetParam()), 0)};
  team.run(
      [](void* context, std::int32_t thread) {
        auto& at = *static_cast<Relay*>(context);
        const auto size = static_cast<int>(at.values.size());
        for (int round = 0; round < 4 * size; ++round) {
          if (round % size == thread) std::this_thread::sleep_for(std::chrono::milliseconds(1));
          at.values[static_cast<std::size_t>(thread)] = round;
          at.team->barrier();
          for (const int value : at.values) {
            if (value != round) at.is_broken = true;
          }
          at.team->barrier();
        }
      },
      &relay);
  EXPECT_FALSE(relay.is_broken);
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadTeamTest, testing::Values(1, 2, 3, 5, 10));

TEST(ThreadTeam, ZeroTakesTheCoresOfTheProcess) {
  EXPECT_GE(usable_cores(), 1);
  ThreadTeam team(0);
  EXPECT_EQ(team.num_threads(), usable_cores());
}

#ifdef __linux__
cpu_set_t own_mask() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  return set;
}

// Returns the cores of a mask in order.
std::vector<std::size_t> cores_of(const cpu_set_t& set) {
  std::vector<std::size_t> cores;
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

std::vector<cpu_set_t> masks_of(ThreadTeam& team) {
  std::vector<cpu_set_t> masks(static_cast<std::size_t>(team.num_threads()));
  team.run(
      [](void* context, std::int32_t thread) {
        (*static_cast<std::vector<cpu_set_t>*>(context))[static_cast<std::size_t>(thread)] =
            own_mask();
      },
      &masks);
  return masks;
}

TEST(ThreadTeam, EachPinnedThreadHasItsOwnCore) {
  const std::vector<std::size_t> allowed = cores_of(own_mask());
  ThreadTeam team(static_cast<std::int32_t>(allowed.size()), {.is_pinned = true});
  std::vector<cpu_set_t> masks = masks_of(team);
  EXPECT_EQ(cores_of(masks[0]), allowed);  // run() does not change the caller's mask
  std::thread([&] {
    team.pin_caller();
    masks = masks_of(team);
  }).join();
  for (std::size_t t = 0; t < allowed.size(); ++t)
    EXPECT_EQ(cores_of(masks[t]), std::vector<std::size_t>{allowed[t]});
  EXPECT_EQ(cores_of(own_mask()), allowed);
}

TEST(ThreadTeam, UnpinnedThreadsKeepTheirCores) {
  const std::vector<std::size_t> allowed = cores_of(own_mask());
  ThreadTeam team(3);
  team.pin_caller();
  for (const cpu_set_t& mask : masks_of(team)) EXPECT_EQ(cores_of(mask), allowed);
}

TEST(ThreadTeam, MorePinnedThreadsThanCoresAreRefused) {
  EXPECT_TRUE(test::throws_naming<ConfigError>(
      "pin_threads", [] { ThreadTeam team(usable_cores() + 1, {.is_pinned = true}); }));
}
#else
TEST(ThreadTeam, PinningIsRefusedElsewhere) {
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("Linux", [] { ThreadTeam team(1, {.is_pinned = true}); }));
}
#endif

}  // namespace
}  // namespace ttsrt
