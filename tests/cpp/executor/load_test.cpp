#include "executor/load.h"

#include <gtest/gtest.h>

namespace ttsrt::executor {
namespace {

Load load_of(std::int32_t used, std::int32_t promised = 0) {
  return {.slots = 4,
          .used_slots = used,
          .free_places = 4 - used,
          .blocks = 10,
          .promised_blocks = promised};
}

// All places are taken, and a request of this priority would pause.
Load full(std::optional<std::int32_t> rival) {
  return {.slots = 6, .used_slots = 4, .blocks = 10, .promised_blocks = 4, .rival = rival};
}

TEST(Load, TakesWhatHasASlotAPlaceAndBlocks) {
  EXPECT_TRUE(load_of(3, 4).can_take({0, 6}));
  EXPECT_FALSE(load_of(3, 4).can_take({0, 7}));
  EXPECT_FALSE(load_of(4).can_take({9, 0}));
  EXPECT_FALSE(Load{}.can_take({0, 0}));  // one that has failed
  EXPECT_FALSE(Load{}.has_room());
}

TEST(Load, TakesOnlyWhatPassesTheRival) {
  EXPECT_FALSE(full(std::nullopt).can_take({9, 0}));
  EXPECT_FALSE(full(std::nullopt).has_room());
  EXPECT_TRUE(full(2).has_room());
  EXPECT_FALSE(full(2).can_take({2, 0}));
  EXPECT_TRUE(full(2).can_take({3, 0}));
  EXPECT_FALSE(full(2).can_take({3, 7}));
  Load resumes = load_of(2);
  resumes.rival = 1;
  EXPECT_FALSE(resumes.can_take({1, 0}));
  EXPECT_TRUE(resumes.can_take({2, 0}));
}

TEST(Load, TakingFillsIt) {
  Load load = load_of(2, 1);
  load.rival = 1;
  load.take({5, 3});
  EXPECT_EQ(load.used_slots, 3);
  EXPECT_EQ(load.free_places, 1);
  EXPECT_EQ(load.promised_blocks, 4);
  EXPECT_EQ(load.rival, 1);
  load.take({5, 3});
  EXPECT_FALSE(load.has_room());
  Load paused = full(1);
  paused.take({2, 1});
  EXPECT_EQ(paused.used_slots, 5);
  EXPECT_EQ(paused.free_places, 0);
  EXPECT_FALSE(paused.has_room());
}

TEST(ChooseReplica, TheSmallestShareOfSlots) {
  EXPECT_EQ(choose_replica({load_of(2), load_of(1), load_of(1)}, {}), 1);
  Load large = load_of(3);
  large.slots = 16;
  large.free_places = 13;
  EXPECT_EQ(choose_replica({load_of(1), large}, {}), 1);
}

TEST(ChooseReplica, ThenOfBlocksThenTheFirst) {
  EXPECT_EQ(choose_replica({load_of(1, 4), load_of(1, 3), load_of(1, 3)}, {}), 1);
  Load large = load_of(1, 5);
  large.blocks = 20;
  EXPECT_EQ(choose_replica({load_of(1, 3), large}, {}), 1);
  EXPECT_EQ(choose_replica({load_of(0), load_of(0)}, {}), 0);
}

TEST(ChooseReplica, OnlyOfThoseThatCanTakeIt) {
  EXPECT_EQ(choose_replica({load_of(0, 8), load_of(3, 1), Load{}}, {0, 5}), 1);
  EXPECT_EQ(choose_replica({load_of(0, 8), load_of(4), Load{}}, {0, 5}), -1);
  EXPECT_EQ(choose_replica({}, {}), -1);
}

TEST(ChooseReplica, NobodyPausesWhereAPlaceIsFree) {
  EXPECT_EQ(choose_replica({full(0), load_of(3, 5)}, {9, 2}), 1);
  EXPECT_EQ(choose_replica({full(0), load_of(3, 9)}, {9, 2}), 0);
}

TEST(ChooseReplica, TheLowestPriorityOfAllPauses) {
  EXPECT_EQ(choose_replica({full(3), full(1), full(2)}, {4, 0}), 1);
  EXPECT_EQ(choose_replica({full(3), full(1), full(2)}, {1, 0}), -1);
}

}  // namespace
}  // namespace ttsrt::executor
