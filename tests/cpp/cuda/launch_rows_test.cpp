// Rows of a launch as the kernels read them. Packing needs no GPU.
#include "cuda/launch_rows.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/backend.h"

namespace ttsrt::cuda {
namespace {

using test::TestBatch;

std::vector<std::int32_t> first(const std::int32_t* values, std::int32_t count) {
  return {values, values + count};
}

class LaunchRowsTest : public testing::Test {
 protected:
  RowsView pack(const step::RowBatch& batch, std::int32_t picks_of = -1) {
    numbers_.assign(static_cast<std::size_t>(rows_.num_numbers()), -7);
    return rows_.pack(batch,
                      {[picks_of](std::int32_t slot) { return slot == picks_of; },
                       [picks_of](std::int32_t slot) { return slot == picks_of; }},
                      1, numbers_.data(), vectors_.data());
  }

  DeviceMemory memory_{DeviceMemory::Mode::count};
  LaunchRows rows_{
      {.max_rows = 12, .max_draws = 4, .max_blocks = 3, .codebooks = 2, .code_width = 2, .dim = 3},
      memory_};
  std::vector<std::int32_t> numbers_;
  std::vector<float> vectors_ = std::vector<float>(36);
};

using Numbers = std::vector<std::int32_t>;

TEST_F(LaunchRowsTest, SegmentsBecomeRows) {
  TestBatch batch;
  batch.add_ids(2, 2, step::Input::codes, {1, 2, 3, 4}).position = 15;
  batch.set_blocks({5, 6});
  batch.set_learned(1, 7);
  step::Segment& second = batch.add_vectors(1, 1, {0.5F, 1.5F, 2.5F});
  second.branch = step::Branch::unconditional;
  second.apply_prior = true;
  batch.set_blocks({9});
  step::Segment& third = batch.add(0, 1, step::Input::kept_rows);
  third.kept_offset = 4;
  batch.set_blocks({8});
  const RowsView view = pack(batch.batch);
  EXPECT_EQ(first(view.counts, 7), (Numbers{4, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(first(view.slot, 4), (Numbers{2, 2, 1, 0}));
  EXPECT_EQ(first(view.position, 4), (Numbers{15, 16, 0, 0}));
  EXPECT_EQ(first(view.branch, 4), (Numbers{0, 0, 1, 0}));
  EXPECT_EQ(first(view.source_at, 4), (Numbers{0, 2, 0, 4}));
  EXPECT_EQ(first(view.ids, 4), (Numbers{1, 2, 3, 4}));
  EXPECT_EQ(view.vectors[2], 2.5F);
  EXPECT_EQ(first(view.position_table, 4), (Numbers{1, 1, -1, -1}));
  EXPECT_EQ(first(view.position_row, 2), (Numbers{7, 8}));
  EXPECT_EQ(first(view.applies_prior, 4), (Numbers{0, 0, 1, 0}));
  EXPECT_EQ(first(view.segment_begin, 4), (Numbers{0, 0, 2, 3}));
  EXPECT_EQ(first(view.segment_end, 4), (Numbers{2, 2, 3, 4}));
  EXPECT_EQ(first(view.table_at, 4), (Numbers{0, 0, 2, 3}));
  EXPECT_EQ(first(view.blocks, 4), (Numbers{5, 6, 9, 8}));
}

// Vectors of the host begin in front, those of the device at the end: neither moves the other.
TEST_F(LaunchRowsTest, VectorsOnTheDeviceAreLeftToTheDevice) {
  const auto* far = reinterpret_cast<const float*>(std::uintptr_t{4096});
  TestBatch batch;
  batch.add_vectors(0, 1, {1, 2, 3});
  batch.set_blocks({1});
  batch.add(1, 3, step::Input::vectors).device_vectors = far;
  batch.set_blocks({2});
  batch.add_vectors(2, 1, {4, 5, 6});
  batch.set_blocks({3});
  batch.add(3, 1, step::Input::vectors).device_vectors = far + 30;
  batch.set_blocks({4});
  const RowsView view = pack(batch.batch);
  const auto host = static_cast<std::int32_t>(Source::vectors);
  const auto device = static_cast<std::int32_t>(Source::unchecked_vectors);
  EXPECT_EQ(first(view.source, 6), (Numbers{host, device, device, device, host, device}));
  EXPECT_EQ(first(view.source_at, 6), (Numbers{0, 9, 10, 11, 1, 8}));
  EXPECT_EQ(std::vector<float>(view.vectors, view.vectors + 6),
            (std::vector<float>{1, 2, 3, 4, 5, 6}));
  ASSERT_EQ(rows_.device_rows().size(), 2U);
  EXPECT_EQ(rows_.device_rows()[0].from, far);
  EXPECT_EQ(rows_.device_rows()[0].to, 9);
  EXPECT_EQ(rows_.device_rows()[0].rows, 3);
  EXPECT_EQ(rows_.device_rows()[1].from, far + 30);
  EXPECT_EQ(rows_.device_rows()[1].to, 8);
  pack(TestBatch().batch);
  EXPECT_TRUE(rows_.device_rows().empty());
}

TEST_F(LaunchRowsTest, SegmentsThatContinueFormAChain) {
  TestBatch batch;
  batch.add(0, 2, step::Input::zeros);
  batch.set_blocks({1});
  batch.add(0, 3, step::Input::zeros).position = 2;
  batch.set_blocks({1});
  batch.add(0, 1, step::Input::zeros).position = 7;  // position 5 and 6 lie between
  batch.set_blocks({1});
  const RowsView view = pack(batch.batch);
  EXPECT_EQ(first(view.chain_begin, 6), (Numbers{0, 0, 0, 0, 0, 5}));
  EXPECT_EQ(first(view.chain_end, 6), (Numbers{5, 5, 5, 5, 5, 6}));
  EXPECT_EQ(first(view.segment_begin, 6), (Numbers{0, 0, 2, 2, 2, 5}));
}

// A segment has as few pieces as kItemTile allows, of whole units.
TEST(LaunchRowsOfItems, CutSegmentsIntoEvenPieces) {
  for (std::int32_t rows = 1; rows <= 4 * kItemTile; ++rows) {
    const std::int32_t piece = item_piece(rows);
    ASSERT_EQ(piece % kItemUnit, 0) << rows;
    ASSERT_LE(piece, kItemTile) << rows;
    const std::int32_t pieces = (rows + piece - 1) / piece;
    ASSERT_LE(pieces, (rows + kItemTile - 1) / kItemTile) << rows;
    ASSERT_LT(piece - (rows + pieces - 1) / pieces, kItemUnit) << rows;
  }
}

// Rows of whole items know their schedule, the other branch and the pieces of their segment.
TEST(LaunchRowsOfItems, NameTheirSegmentsAndTiles) {
  DeviceMemory memory{DeviceMemory::Mode::count};
  RowLimits limits;
  limits.max_rows = 1500;
  limits.max_draws = 1;
  limits.has_items = true;
  limits.tiles.max_segments = 4;
  EXPECT_EQ(limits.tiles.most(1500), 8);
  EXPECT_EQ(limits.tiles.most(3), 3);
  LaunchRows rows{limits, memory};
  TestBatch batch;
  for (const step::Branch branch : {step::Branch::conditional, step::Branch::unconditional}) {
    step::Segment& segment = batch.add(2, 650, step::Input::zeros);
    segment.branch = branch;
    segment.schedule_row = 9;
    segment.step_size = 0.25F;
    segment.ends_step = false;
    segment.is_last = true;
    segment.settled_rows = 2;
  }
  batch.add(1, 128, step::Input::zeros);
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(rows.num_numbers()), -7);
  const SlotUses none{no_slot, no_slot};
  const RowsView view = rows.pack(batch.batch, none, 0, numbers.data(), nullptr);
  EXPECT_EQ(view.counts[static_cast<int>(Count::segments)], 3);
  ASSERT_EQ(view.counts[static_cast<int>(Count::tiles)], 7);
  EXPECT_EQ(first(view.tile_row, 7), (Numbers{0, 256, 512, 650, 906, 1162, 1300}));
  EXPECT_EQ(view.segment[649], 0);
  EXPECT_EQ(view.segment[1300], 2);
  EXPECT_EQ(view.partner[1], 651);
  EXPECT_EQ(view.partner[651], -1);
  EXPECT_EQ(view.partner[1300], -1);
  EXPECT_EQ(view.schedule_row[1299], 9);
  EXPECT_EQ(view.step_size[0], 0x3E800000);  // of 0.25
  EXPECT_EQ(view.ends_step[0], 0);
  EXPECT_EQ(view.ends_step[1340], 1);
  EXPECT_EQ(view.is_last[1299], 1);
  EXPECT_EQ(view.settled_end[1299], view.segment_begin[1299] + 2);
  EXPECT_LE(view.tile_row + 8, numbers.data() + numbers.size());
}

TEST_F(LaunchRowsTest, DrawsAndPicksNameTheirRows) {
  TestBatch batch;
  for (const std::int32_t slot : {0, 0, 1, 2, 2}) {
    batch.add(slot, 1, step::Input::last_codes);
    batch.set_blocks({slot});
  }
  const std::vector<std::int32_t> forced = {11, 12};
  batch.add_draw(0, 0, 1);
  batch.add_draw(1, 2);
  batch.batch.draws.back().forced = forced.data();
  batch.add_draw(2, 3, 4);
  const RowsView view = pack(batch.batch, 2);
  EXPECT_EQ(first(view.counts, 7), (Numbers{5, 3, 1, 2, 6, 1, 1}));
  EXPECT_EQ(first(view.draw, 5), (Numbers{0, -1, 1, 2, -1}));
  EXPECT_EQ(first(view.draw_unconditional, 3), (Numbers{1, -1, 4}));
  EXPECT_EQ(first(view.draw_forced, 3), (Numbers{-1, 0, -1}));
  EXPECT_EQ(first(view.ids, 2), forced);
  EXPECT_EQ(first(view.pick_draw, 1), (Numbers{2}));
  EXPECT_EQ(first(view.pick_source, 2), (Numbers{3, 4}));
  EXPECT_EQ(view.draw_ahead, nullptr);
  EXPECT_EQ(view.draw_guess, nullptr);
}

// Draws that verify have their drafts among the ids; guesses only where scores count these.
TEST(LaunchRowsOfDrafts, FollowOtherIds) {
  DeviceMemory memory{DeviceMemory::Mode::count};
  LaunchRows rows{{.max_rows = 6, .max_draws = 5, .codebooks = 1, .code_width = 1, .max_drafts = 4},
                  memory};
  const std::vector<std::int32_t> drafts = {31, 32, 33, 34};
  TestBatch batch;
  batch.add_ids(1, 3, step::Input::codes, {30, 31, 32});
  batch.add_ids(2, 1, step::Input::codes, {40});
  batch.add_ids(3, 1, step::Input::codes, {50});
  for (std::int32_t d = 0; d < 5; ++d) {
    step::Draw draw;
    draw.slot = d < 3 ? 1 : d - 1;
    draw.conditional_row = d;
    draw.is_guess = d >= 3;
    draw.ahead = d >= 3 ? 4 : d;
    draw.drafts = drafts.data();
    batch.batch.draws.push_back(draw);
  }
  KnownSlots slots;
  slots.rules.resize(4);
  slots.tokens.resize(4);
  slots.tokens[3].presence_penalty = 0.5F;
  slots.tokens[2].num_biases = 1;
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(rows.num_numbers()), -7);
  RowsView view = rows.pack(batch.batch, uses_of(slots), 0, numbers.data(), nullptr);
  EXPECT_EQ(view.counts[static_cast<int>(Count::tells_logprobs)], 0);
  EXPECT_EQ(first(view.draw_ahead, 5), (Numbers{0, 1, 2, 4, 4}));
  EXPECT_EQ(first(view.draw_guess, 5), (Numbers{0, 0, 0, 1, 1}));
  EXPECT_EQ(first(view.ids, 5), (Numbers{30, 31, 32, 40, 50}));
  const std::int32_t begin = 6 + 5 + 3 * 5;  // behind ids of rows and draws, and arrays of drafts
  EXPECT_EQ(first(view.draw_drafts, 5), (Numbers{begin, begin, begin + 1, begin + 3, begin + 3}));
  EXPECT_EQ(first(view.ids + begin, 7), (Numbers{31, 31, 32, 31, 32, 33, 34}));
  EXPECT_EQ(view.ids + begin + 5 * 4, numbers.data() + numbers.size());
  slots.tokens[2].num_logprobs = 0;
  view = rows.pack(batch.batch, uses_of(slots), 0, numbers.data(), nullptr);
  EXPECT_EQ(view.counts[static_cast<int>(Count::tells_logprobs)], 1);
}

}  // namespace
}  // namespace ttsrt::cuda
