// Who pauses, who resumes, by numbers alone; and that no sequence of events breaks the rules.
#include "executor/ranking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace ttsrt::executor {
namespace {

std::vector<std::int32_t> slots_of(const Ranking& ranking) {
  std::vector<std::int32_t> slots;
  for (const Ranking::Entry& of : ranking.entries()) slots.push_back(of.slot);
  return slots;
}

TEST(Ranking, LargerPriorityFirstThenOlder) {
  Ranking ranking({8, 0});
  const std::int32_t priorities[] = {0, 5, -1, 5, 0};
  for (std::int32_t slot = 0; slot < 5; ++slot) ranking.add(slot, priorities[slot]);
  EXPECT_EQ(slots_of(ranking), (std::vector<std::int32_t>{1, 3, 0, 4, 2}));
  ranking.remove(3);
  ranking.remove(3);
  EXPECT_EQ(slots_of(ranking), (std::vector<std::int32_t>{1, 0, 4, 2}));
  EXPECT_EQ(ranking.num_running(), 4);
}

TEST(Ranking, TheYoungestOfTheLowestPriorityPauses) {
  Ranking ranking({4, 2});
  EXPECT_FALSE(ranking.next_paused().has_value());  // there is a place
  const std::int32_t priorities[] = {1, 0, 0, 2};
  for (std::int32_t slot = 0; slot < 4; ++slot) ranking.add(slot, priorities[slot]);
  ASSERT_TRUE(ranking.next_paused().has_value());
  EXPECT_EQ(ranking.next_paused()->slot, 2);
  EXPECT_EQ(ranking.next_paused()->priority, 0);
  ranking.pause(2);
  ranking.add(4, 3);
  EXPECT_EQ(ranking.next_paused()->slot, 1);
  ranking.pause(1);
  ranking.add(5, 3);
  EXPECT_EQ(ranking.num_paused(), 2);
  EXPECT_FALSE(ranking.next_paused().has_value());  // as many are paused as may be
}

TEST(Ranking, LargerPriorityResumesFirstThenTheOldest) {
  Ranking ranking({1, 3});
  ranking.add(0, 1);
  ranking.pause(0);
  ranking.add(1, 0);
  ranking.pause(1);
  ranking.add(2, 1);
  EXPECT_FALSE(ranking.next_resumed().has_value());  // there is no place
  ranking.pause(2);
  EXPECT_EQ(ranking.next_resumed()->slot, 0);
  ranking.resume(0);
  ranking.remove(0);
  EXPECT_EQ(ranking.next_resumed()->slot, 2);
  ranking.remove(2);  // a paused one ends
  EXPECT_EQ(ranking.num_paused(), 1);
  EXPECT_EQ(ranking.next_resumed()->slot, 1);
  ranking.resume(1);
  EXPECT_FALSE(ranking.next_resumed().has_value());
}

TEST(Ranking, WithoutPausedPlacesNobodyPauses) {
  Ranking ranking({1, 0});
  ranking.add(0, 0);
  EXPECT_FALSE(ranking.next_paused().has_value());
}

// As the loop uses it: whoever runs is never below whoever is paused or could pause for a waiting
// one, places are never exceeded, and a place is never left free while one is paused.
TEST(Ranking, RandomEventsKeepTheRules) {
  std::mt19937 random(7);
  const auto pick = [&](std::int32_t below) {
    return static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(below));
  };
  for (std::int32_t round = 0; round < 200; ++round) {
    const Places places{1 + pick(4), pick(4)};
    Ranking ranking(places);
    std::vector<std::int32_t> waiting;  // priorities
    std::int32_t next_slot = 0;
    for (std::int32_t event = 0; event < 60; ++event) {
      if (pick(3) > 0) {
        waiting.push_back(pick(4));
      } else if (!ranking.entries().empty()) {
        const auto at =
            static_cast<std::size_t>(pick(static_cast<std::int32_t>(ranking.entries().size())));
        ranking.remove(ranking.entries()[at].slot);
      }
      for (;;) {
        std::sort(waiting.begin(), waiting.end());
        const bool has_place = ranking.has_place();
        const auto loser = has_place ? ranking.next_resumed() : ranking.next_paused();
        const bool may_take = !waiting.empty() && (has_place || loser.has_value()) &&
                              (!loser.has_value() || waiting.back() > loser->priority);
        if (may_take) {
          ranking.add(next_slot++, waiting.back());
          waiting.pop_back();
          if (!has_place) ranking.pause(loser->slot);
        } else if (has_place && loser.has_value()) {
          ranking.resume(loser->slot);
        } else {
          break;
        }
      }
      std::int32_t lowest_running = 100;
      std::int32_t highest_paused = -1;
      for (const Ranking::Entry& of : ranking.entries()) {
        if (of.is_paused) highest_paused = std::max(highest_paused, of.priority);
        if (!of.is_paused) lowest_running = std::min(lowest_running, of.priority);
      }
      ASSERT_LE(ranking.num_running(), places.running);
      ASSERT_LE(ranking.num_paused(), places.paused);
      ASSERT_LE(highest_paused, lowest_running);
      ASSERT_TRUE(ranking.num_paused() == 0 || !ranking.has_place());
      ASSERT_TRUE(waiting.empty() || !ranking.has_place());
      if (!waiting.empty() && ranking.num_paused() < places.paused) {
        ASSERT_LE(waiting.back(), lowest_running);
      }
    }
  }
}

}  // namespace
}  // namespace ttsrt::executor
