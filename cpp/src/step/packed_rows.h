// A RowBatch laid out flat, one entry per row, as every backend reads it.
//
// The arrays are sized once by the limits of a Program and filled for every launch, without any
// allocation. A backend on another device copies them there as they are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "step/batch.h"

namespace ttsrt::step {

constexpr std::int32_t kBlockSize = 16;  // positions of a cache block

// Returns the number of blocks that so many positions take.
constexpr std::int64_t blocks_for(std::int64_t positions) {
  return (positions + kBlockSize - 1) / kBlockSize;
}

// Whether a segment continues the sequence and branch of the segment before it in the launch.
inline bool continues(const std::vector<Segment>& segments, std::size_t index) {
  if (index == 0) return false;
  const Segment& before = segments[index - 1];
  const Segment& segment = segments[index];
  return before.slot == segment.slot && before.branch == segment.branch &&
         before.position + before.rows == segment.position;
}

struct PackedLimits {
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;
  std::int32_t max_blocks = 0;  // of one segment's block table; 0: the Program reads no cache
};

struct PackedRows {
  const RowBatch* batch = nullptr;
  std::int32_t rows = 0;
  std::int32_t segments = 0;
  std::int32_t draws = 0;
  bool has_tables = false;
  // Every segment is one row and continues no other: no row needs another's key of this launch.
  bool has_single_rows = false;

  std::vector<std::int32_t> segment_of;   // [rows] index of the segment
  std::vector<std::int32_t> slot_of;      // [rows] or kNoSlot
  std::vector<std::int32_t> position_of;  // [rows]
  std::vector<Branch> branch_of;          // [rows]
  std::vector<Input> input_of;            // [rows]
  std::vector<std::int32_t> draw_of;      // [rows] index of the draw of a conditional row, or -1

  // Block tables of the segments, one behind the other: as many blocks as hold the positions up to
  // the segment's last row.
  std::vector<std::int32_t> first_table;  // [segments + 1] into `blocks`
  std::vector<std::int32_t> blocks;
  // If nothing is cached, the rows of a segment take blocks of their own.
  std::vector<std::int32_t> first_block;  // [segments + 1]

  // Draws that pick their codes with a local transformer, and their rows, one per branch.
  std::int32_t picks = 0;
  std::int32_t pick_rows = 0;
  std::vector<std::int32_t> pick_draw;    // [picks]
  std::vector<std::int32_t> pick_first;   // [picks] the conditional row's place in pick_source; the
                                          // unconditional row follows
  std::vector<std::int32_t> pick_source;  // [pick_rows] row of the launch

  void size(const PackedLimits& limits) {
    const auto max_rows = static_cast<std::size_t>(limits.max_rows);
    const auto max_draws = static_cast<std::size_t>(limits.max_draws);
    segment_of.resize(max_rows);
    slot_of.resize(max_rows);
    position_of.resize(max_rows);
    branch_of.resize(max_rows);
    input_of.resize(max_rows);
    draw_of.resize(max_rows);
    has_tables = limits.max_blocks > 0;
    first_table.resize(max_rows + 1);
    blocks.resize(max_rows * static_cast<std::size_t>(limits.max_blocks));
    first_block.resize(max_rows + 1);
    pick_draw.resize(max_draws);
    pick_first.resize(max_draws);
    pick_source.resize(2 * max_draws);
  }

  // The batch must have passed ops::check_batch.
  void fill(const RowBatch& from) {
    batch = &from;
    rows = from.rows;
    segments = static_cast<std::int32_t>(from.segments.size());
    draws = static_cast<std::int32_t>(from.draws.size());
    has_single_rows = segments == rows;
    for (std::int32_t s = 0; s < segments; ++s) fill_segment(s);
    for (std::size_t d = 0; d < from.draws.size(); ++d)
      draw_of[static_cast<std::size_t>(from.draws[d].conditional_row)] =
          static_cast<std::int32_t>(d);
  }

  // `picks_codes(slot)` tells whether draws of a slot use the local transformer.
  template <typename Picks>
  void fill_picks(const Picks& picks_codes) {
    picks = 0;
    pick_rows = 0;
    for (std::int32_t d = 0; d < draws; ++d) {
      const Draw& at = batch->draws[static_cast<std::size_t>(d)];
      if (!picks_codes(at.slot)) continue;
      const auto pick = static_cast<std::size_t>(picks++);
      pick_draw[pick] = d;
      pick_first[pick] = pick_rows;
      pick_source[static_cast<std::size_t>(pick_rows++)] = at.conditional_row;
      if (at.unconditional_row >= 0)
        pick_source[static_cast<std::size_t>(pick_rows++)] = at.unconditional_row;
    }
  }

  const Segment& segment(std::int32_t row) const {
    return batch->segments[static_cast<std::size_t>(segment_of[static_cast<std::size_t>(row)])];
  }
  // Block table of a row's sequence, from position 0 on.
  const std::int32_t* table(std::int32_t row) const {
    const auto at = static_cast<std::size_t>(segment_of[static_cast<std::size_t>(row)]);
    return blocks.data() + first_table[at];
  }

 private:
  void fill_segment(std::int32_t index) {
    const auto s = static_cast<std::size_t>(index);
    const Segment& from = batch->segments[s];
    if (continues(batch->segments, s)) has_single_rows = false;
    for (std::int32_t i = 0; i < from.rows; ++i) {
      const std::size_t row =
          static_cast<std::size_t>(from.first_row) + static_cast<std::size_t>(i);
      segment_of[row] = index;
      slot_of[row] = from.slot;
      position_of[row] = from.position + i;
      branch_of[row] = from.branch;
      input_of[row] = from.input;
      draw_of[row] = -1;
    }
    const auto own = static_cast<std::int32_t>(blocks_for(from.rows));
    first_block[s + 1] = first_block[s] + own;
    if (!has_tables) return;
    const auto used =
        static_cast<std::int32_t>(blocks_for(std::int64_t{from.position} + from.rows));
    std::copy(from.blocks, from.blocks + used, blocks.begin() + first_table[s]);
    first_table[s + 1] = first_table[s] + used;
  }
};

}  // namespace ttsrt::step
