// Which rows the taps of a convolution over time read if its slot keeps no rows before the segment
// (ops::TimeConv). Kernels and the tests on the host share these functions.
#pragma once

#include <cstdint>

#include "rules/inline.h"

namespace ttsrt::cuda {

// What stands for rows before and behind an item, as ops::Padding.
enum class ConvEdge : std::int32_t { zeros, replicate, reflect };

// The row that stands for row i of an item of so many rows, or -1: zeros.
TTSRT_RULE constexpr std::int64_t edge_row(ConvEdge edge, std::int64_t i, std::int64_t rows) {
  if (i >= 0 && i < rows) return i;
  if (edge == ConvEdge::zeros || rows <= 0) return -1;
  if (edge == ConvEdge::reflect) {
    if (i < 0) i = -i;
    if (i >= rows) i = 2 * (rows - 1) - i;
  }
  return i < 0 ? 0 : i >= rows ? rows - 1 : i;
}

constexpr std::int32_t kMostTaps = 31;  // that taps_inside() has bits for

// Returns a mask of the taps that read rows [begin, end): bit `tap` is 1 if first + tap * dilation
// is one of them.
TTSRT_RULE constexpr std::uint32_t taps_inside(std::int32_t first, std::int32_t begin,
                                               std::int32_t end, std::int32_t dilation,
                                               std::int32_t kernel) {
  const std::int32_t skipped = first >= begin ? 0 : (begin - first + dilation - 1) / dilation;
  const std::int32_t all = first >= end ? 0 : (end - 1 - first) / dilation + 1;
  const std::int32_t last = all < kernel ? all : kernel;
  if (last <= skipped) return 0;
  return ((std::uint32_t{1} << last) - 1) & ~((std::uint32_t{1} << skipped) - 1);
}
TTSRT_RULE constexpr bool has_tap(std::uint32_t taps, std::int32_t tap) {
  return (taps >> tap & 1) != 0;
}

// The rows that the taps of a tile of consecutive output rows see are consecutive too, so that a
// tap is a shift: row w of the window is row `first` + w of the buffer, and the first tap of output
// row m of the tile sees row m of the window.
struct SegmentWindow {
  std::int32_t first = 0;  // row of the buffer, may be negative
  std::int32_t rows = 0;

  TTSRT_RULE constexpr SegmentWindow(std::int32_t first_row, std::int32_t tile_rows,
                                     std::int32_t before, std::int32_t dilation,
                                     std::int32_t kernel)
      : first(first_row - before), rows(tile_rows + (kernel - 1) * dilation) {}
  // Whether a row of the window is one of the buffer's `end_row` rows.
  TTSRT_RULE constexpr bool has(std::int32_t row, std::int32_t end_row) const {
    return first + row >= 0 && first + row < end_row;
  }
};

}  // namespace ttsrt::cuda
