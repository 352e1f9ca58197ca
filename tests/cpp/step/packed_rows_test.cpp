#include "step/packed_rows.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/backend.h"

namespace ttsrt::step {
namespace {

using Ids = std::vector<std::int32_t>;

template <typename T>
std::vector<T> front(const std::vector<T>& values, std::int32_t count) {
  return {values.begin(), values.begin() + count};
}

// A prefill of 20 rows from position 14 on, and two branches of a decode row.
test::TestBatch mixed_batch() {
  test::TestBatch made;
  Segment& prompt = made.add(2, 20, Input::zeros);
  prompt.position = 14;
  made.set_blocks({7, 3, 9, 1});  // the last block is reserved and not reached
  Segment& conditional = made.add(0, 1, Input::last_codes);
  conditional.position = 16;
  made.set_blocks({4, 5});
  Segment& unconditional = made.add(0, 1, Input::last_codes);
  unconditional.position = 3;
  unconditional.branch = Branch::unconditional;
  made.set_blocks({6});
  made.add_draw(0, 20, 21);
  return made;
}

TEST(PackedRows, TellOfEveryRow) {
  const test::TestBatch made = mixed_batch();
  PackedRows packed;
  packed.size({30, 4, 8});
  packed.fill(made.batch);
  EXPECT_EQ(packed.rows, 22);
  EXPECT_EQ(packed.segments, 3);
  EXPECT_EQ(packed.draws, 1);
  for (std::int32_t row = 0; row < 20; ++row) {
    const auto at = static_cast<std::size_t>(row);
    EXPECT_EQ(packed.segment_of[at], 0);
    EXPECT_EQ(packed.slot_of[at], 2);
    EXPECT_EQ(packed.position_of[at], 14 + row);
    EXPECT_EQ(packed.input_of[at], Input::zeros);
    EXPECT_EQ(packed.draw_of[at], -1);
  }
  EXPECT_EQ(packed.slot_of[21], 0);
  EXPECT_EQ(packed.position_of[20], 16);
  EXPECT_EQ(packed.position_of[21], 3);
  EXPECT_EQ(packed.branch_of[20], Branch::conditional);
  EXPECT_EQ(packed.branch_of[21], Branch::unconditional);
  EXPECT_EQ(packed.draw_of[20], 0);
  EXPECT_EQ(packed.draw_of[21], -1);
  EXPECT_EQ(&packed.segment(21), &made.batch.segments[2]);
}

TEST(PackedRows, HoldTheBlocksThatAreReached) {
  const test::TestBatch made = mixed_batch();
  PackedRows packed;
  packed.size({30, 4, 8});
  packed.fill(made.batch);
  EXPECT_EQ(front(packed.first_table, 4), (Ids{0, 3, 5, 6}));
  EXPECT_EQ(front(packed.blocks, 6), (Ids{7, 3, 9, 4, 5, 6}));
  EXPECT_EQ(packed.table(20)[1], 5);
  EXPECT_EQ(front(packed.first_block, 4), (Ids{0, 2, 3, 4}));
}

TEST(PackedRows, NeedNoTablesWithoutACache) {
  test::TestBatch made;
  made.add(1, 17, Input::zeros);
  PackedRows packed;
  packed.size({17, 0, 0});
  packed.fill(made.batch);
  EXPECT_EQ(front(packed.first_block, 2), (Ids{0, 2}));
  EXPECT_TRUE(packed.blocks.empty());
}

TEST(PackedRows, SingleRowsContinueNoOther) {
  test::TestBatch made;
  made.add(0, 1, Input::zeros).position = 4;
  made.add(1, 1, Input::zeros).position = 5;
  PackedRows packed;
  packed.size({3, 0, 0});
  packed.fill(made.batch);
  EXPECT_TRUE(packed.has_single_rows);
  made.batch.segments[1].slot = 0;  // now the second goes on where the first ends
  packed.fill(made.batch);
  EXPECT_FALSE(packed.has_single_rows);
  made.batch.segments[1].branch = Branch::unconditional;
  packed.fill(made.batch);
  EXPECT_TRUE(packed.has_single_rows);
  made.add(2, 2, Input::zeros);
  packed.size({4, 0, 0});
  packed.fill(made.batch);
  EXPECT_FALSE(packed.has_single_rows);
}

TEST(PackedRows, PickRowsStandBranchByBranch) {
  test::TestBatch made;
  for (std::int32_t row = 0; row < 5; ++row) made.add(row / 2, 1, Input::last_codes);
  made.add_draw(0, 0, 1);
  made.add_draw(1, 2);
  made.add_draw(2, 4, 3);
  PackedRows packed;
  packed.size({5, 3, 0});
  packed.fill(made.batch);
  packed.fill_picks([](std::int32_t slot) { return slot != 1; });
  EXPECT_EQ(packed.picks, 2);
  EXPECT_EQ(packed.pick_rows, 4);
  EXPECT_EQ(front(packed.pick_draw, 2), (Ids{0, 2}));
  EXPECT_EQ(front(packed.pick_first, 2), (Ids{0, 2}));
  EXPECT_EQ(front(packed.pick_source, 4), (Ids{0, 1, 4, 3}));
  packed.fill_picks([](std::int32_t) { return false; });
  EXPECT_EQ(packed.picks, 0);
  EXPECT_EQ(packed.pick_rows, 0);
}

TEST(PackedRows, AreFilledAnewWithoutMoving) {
  test::TestBatch first = mixed_batch();
  test::TestBatch second;
  second.add(1, 3, Input::vectors);
  second.set_blocks({2});
  PackedRows packed;
  packed.size({22, 4, 8});
  packed.fill(first.batch);
  const std::int32_t* const blocks = packed.blocks.data();
  const std::int32_t* const slots = packed.slot_of.data();
  packed.fill(second.batch);
  EXPECT_EQ(packed.rows, 3);
  EXPECT_EQ(packed.draws, 0);
  EXPECT_EQ(front(packed.slot_of, 3), (Ids{1, 1, 1}));
  EXPECT_EQ(front(packed.first_table, 2), (Ids{0, 1}));
  EXPECT_EQ(packed.blocks.data(), blocks);
  EXPECT_EQ(packed.slot_of.data(), slots);
}

}  // namespace
}  // namespace ttsrt::step
