// Where the arrays of a launch lie in one block of int32, in device memory and in the pinned memory
// from which it is copied: counts, arrays by row, arrays by draw, arrays of whole items, block
// tables, ids, arrays of drafts, drafts. Vectors are a block of their own.
//
// The block has the size of the largest launch, so that every array stays where it is and a
// captured graph can hold its address. TensorRT binds the same block as one tensor
// (plugins/common/bound.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/views.h"

namespace ttsrt::cuda {

// How many pieces the segments of a launch have at most (item_piece).
struct ItemTiles {
  std::int32_t max_segments = 0;

  std::int32_t most(std::int32_t rows) const {
    const std::int32_t pieces = rows / kItemTile + max_segments;
    return pieces < rows ? pieces : rows;
  }
};

struct RowsLayout {
  std::int64_t max_rows = 0;
  std::int64_t max_draws = 0;
  std::int64_t max_blocks = 0;  // of one segment's block table; 0: the Program reads no cache
  std::int64_t codebooks = 0;   // forced codes of a draw
  std::int64_t code_width = 0;  // ids of a row of codes
  std::int64_t max_drafts = 0;  // of a draw; 0: there are no arrays of drafts
  bool has_items = false;       // whether there are arrays of whole items
  std::int64_t max_tiles = 0;   // with items

  using Array = const std::int32_t* RowsView::*;
  // The arrays that have an entry for each row, for each draw, and for each row of whole items.
  static constexpr Array kRowArrays[] = {
      &RowsView::slot,           &RowsView::position,     &RowsView::branch,
      &RowsView::source,         &RowsView::source_at,    &RowsView::id_table,
      &RowsView::position_table, &RowsView::position_row, &RowsView::kept_row,
      &RowsView::applies_prior,  &RowsView::draw,         &RowsView::segment_begin,
      &RowsView::segment_end,    &RowsView::chain_begin,  &RowsView::chain_end,
      &RowsView::table_at};
  static constexpr Array kDrawArrays[] = {
      &RowsView::draw_slot,   &RowsView::draw_conditional, &RowsView::draw_unconditional,
      &RowsView::draw_forced, &RowsView::draw_rows,        &RowsView::pick_draw,
      &RowsView::pick_first};
  static constexpr Array kDraftArrays[] = {&RowsView::draw_ahead, &RowsView::draw_drafts,
                                           &RowsView::draw_guess};
  static constexpr Array kItemArrays[] = {
      &RowsView::segment, &RowsView::schedule_row, &RowsView::step_size, &RowsView::ends_step,
      &RowsView::is_last, &RowsView::settled_end,  &RowsView::partner};

  std::int64_t draws() const { return max_draws > 1 ? max_draws : 1; }
  // Sizes, in int32: of all arrays before the block tables, of these, of the ids, and of all.
  std::int64_t table_numbers() const {
    const std::int64_t items = has_items ? count_of(kItemArrays) * max_rows + max_tiles : 0;
    return static_cast<std::int64_t>(Count::num_counts) + count_of(kRowArrays) * max_rows +
           (count_of(kDrawArrays) + 2) * draws() + items;
  }
  std::int64_t block_numbers() const { return max_rows * max_blocks; }
  std::int64_t id_numbers() const {
    return max_rows * (code_width > 1 ? code_width : 1) + draws() * codebooks;
  }
  // Where the drafts begin, counted from the first id.
  std::int64_t first_draft() const { return id_numbers() + count_of(kDraftArrays) * draws(); }
  std::int64_t numbers() const {
    const std::int64_t ids = max_drafts > 0 ? first_draft() + draws() * max_drafts : id_numbers();
    return table_numbers() + block_numbers() + ids;
  }

  // The arrays of a block at `numbers`, which may be null: so are then all of them.
  RowsView view(const std::int32_t* numbers, const float* vectors) const {
    const std::int32_t* next = numbers;
    const auto cut = [&next](std::int64_t count) {
      const std::int32_t* begin = next;
      next = next == nullptr ? nullptr : next + count;
      return begin;
    };
    RowsView view;
    view.counts = cut(static_cast<std::int64_t>(Count::num_counts));
    for (const Array array : kRowArrays) view.*array = cut(max_rows);
    for (const Array array : kDrawArrays) view.*array = cut(draws());
    view.pick_source = cut(2 * draws());
    if (has_items) {
      for (const Array array : kItemArrays) view.*array = cut(max_rows);
      view.tile_row = cut(max_tiles);
    }
    view.blocks = cut(block_numbers());
    view.ids = cut(id_numbers());
    if (max_drafts > 0) {
      for (const Array array : kDraftArrays) view.*array = cut(draws());
    }
    view.vectors = vectors;
    return view;
  }

 private:
  template <std::size_t N>
  static constexpr std::int64_t count_of(const Array (&)[N]) {
    return static_cast<std::int64_t>(N);
  }
};

}  // namespace ttsrt::cuda
