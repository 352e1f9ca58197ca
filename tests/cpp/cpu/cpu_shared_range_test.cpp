// Work stealing: an owner takes units from the front and thieves from the back, each exactly once.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "core/thread_team.h"
#include "cpu/stages/shared_range.h"

namespace ttsrt::cpu {
namespace {

TEST(CpuSharedRange, EveryUnitIsTakenOnce) {
  constexpr std::int32_t kUnits = 1000;
  constexpr std::int32_t kThreads = 3;
  struct Site {
    std::vector<SharedRange> ranges = std::vector<SharedRange>(kThreads);
    std::vector<std::atomic<std::int32_t>> taken =
        std::vector<std::atomic<std::int32_t>>(kThreads * kUnits);
    std::atomic<std::int32_t> stolen{0};
    std::int32_t piece = 1;
    ThreadTeam team{kThreads};
  } site;
  const auto work = [](void* context, std::int32_t thread) {
    Site& at = *static_cast<Site*>(context);
    const auto count = [&at](const SharedRange::Taken& taken) {
      for (std::int32_t unit = taken.begin; unit < taken.end; ++unit)
        at.taken[static_cast<std::size_t>(unit)].fetch_add(1);
    };
    for (std::int32_t round = 0; round < 20; ++round) {
      SharedRange& own = at.ranges[static_cast<std::size_t>(thread)];
      // The last thread has no units of its own: it steals all units that it does.
      const std::int32_t end = thread + 1 == kThreads ? thread * kUnits : (thread + 1) * kUnits;
      own.open(thread * kUnits, end);
      at.team.barrier();  // all ranges are open, so that there are units to steal
      for (std::int32_t away = 1; away < kThreads; ++away) {
        const auto other = static_cast<std::size_t>((thread + away) % kThreads);
        const auto taken = at.ranges[other].take_back(at.piece);
        EXPECT_LE(taken.end - taken.begin, at.piece);
        at.stolen.fetch_add(taken.end - taken.begin);
        count(taken);
      }
      for (auto taken = own.take_front(4); !taken.is_empty(); taken = own.take_front(4))
        count(taken);
      for (std::int32_t away = 1; away < kThreads; ++away) {
        SharedRange& other = at.ranges[static_cast<std::size_t>((thread + away) % kThreads)];
        for (auto taken = other.take_back(at.piece); !taken.is_empty();
             taken = other.take_back(at.piece))
          count(taken);
      }
      at.team.barrier();
      EXPECT_TRUE(own.take_front(1).is_empty());
      EXPECT_TRUE(own.take_back(1).is_empty());
      at.team.barrier();
    }
  };
  for (const std::int32_t piece : {1, 3}) {
    site.piece = piece;
    site.stolen = 0;
    for (auto& taken : site.taken) taken = 0;
    site.team.run(work, &site);
    for (std::int32_t unit = 0; unit < kThreads * kUnits; ++unit) {
      const std::int32_t expected = unit < (kThreads - 1) * kUnits ? 20 : 0;
      ASSERT_EQ(site.taken[static_cast<std::size_t>(unit)].load(), expected) << unit;
    }
    EXPECT_GE(site.stolen.load(),
              20 * piece);  // the first thief after the barrier finds all ranges open
  }
}

}  // namespace
}  // namespace ttsrt::cpu
