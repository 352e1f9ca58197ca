// Which rows convolutions within a segment see, beside what is counted one by one here: what
// stands for rows outside of an item, and a tile of the kernel for Hopper, walked on the host.
#include "cuda/segment_taps.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace ttsrt::cuda {
namespace {

TEST(SegmentTaps, EdgesAreZerosCopiesOrReflections) {
  const auto rows_of = [](ConvEdge edge, std::int64_t rows) {
    std::vector<std::int64_t> found;
    for (std::int64_t i = -3; i < rows + 3; ++i) found.push_back(edge_row(edge, i, rows));
    return found;
  };
  using Rows = std::vector<std::int64_t>;
  EXPECT_EQ(rows_of(ConvEdge::zeros, 4), (Rows{-1, -1, -1, 0, 1, 2, 3, -1, -1, -1}));
  EXPECT_EQ(rows_of(ConvEdge::replicate, 4), (Rows{0, 0, 0, 0, 1, 2, 3, 3, 3, 3}));
  EXPECT_EQ(rows_of(ConvEdge::reflect, 4), (Rows{3, 2, 1, 0, 1, 2, 3, 2, 1, 0}));
  EXPECT_EQ(rows_of(ConvEdge::reflect, 2), (Rows{0, 0, 1, 0, 1, 0, 0, 0}));
  EXPECT_EQ(rows_of(ConvEdge::reflect, 1), (Rows{0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(rows_of(ConvEdge::replicate, 0), (Rows{-1, -1, -1, -1, -1, -1}));
}

TEST(SegmentTaps, TapsThatSeeRowsAreInside) {
  for (const std::int32_t dilation : {1, 3, 5}) {
    for (const std::int32_t kernel : {1, 3, 4, 7, 11, 31}) {
      for (std::int32_t first = -170; first < 30; ++first) {
        for (const std::int32_t end : {-3, 0, 1, 8, 25}) {
          const std::uint32_t taps = taps_inside(first, 0, end, dilation, kernel);
          for (std::int32_t tap = 0; tap < kernel; ++tap) {
            const std::int32_t row = first + tap * dilation;
            EXPECT_EQ(has_tap(taps, tap), row >= 0 && row < end)
                << first << " to " << end << ", tap " << tap << ", dilation " << dilation;
          }
        }
      }
    }
  }
}

struct Case {
  std::int32_t rate, beyond, kernel, dilation, before;
};

// Items of these rows of the launch, row by row of a buffer with a rate: the numbers from 1 on.
struct Launch {
  explicit Launch(std::vector<std::int32_t> lengths, const Case& of) : shape(of) {
    for (const std::int32_t length : lengths) {
      const auto begin = static_cast<std::int32_t>(begins.size());
      begins.insert(begins.end(), static_cast<std::size_t>(length), begin);
      ends.insert(ends.end(), static_cast<std::size_t>(length), begin + length);
    }
    x.resize(begins.size() * static_cast<std::size_t>(of.rate));
    std::iota(x.begin(), x.end(), 1);
  }

  std::int32_t rows() const { return static_cast<std::int32_t>(x.size()); }
  // What a tap of an output row sees, or 0.
  std::int32_t expected(std::int32_t row, std::int32_t tap) const {
    const auto of = static_cast<std::size_t>(row / shape.rate);
    const std::int32_t from = row - shape.before + tap * shape.dilation;
    const bool is_inside =
        from >= begins[of] * shape.rate && from < ends[of] * shape.rate - shape.beyond;
    return is_inside ? x[static_cast<std::size_t>(from)] : 0;
  }

  Case shape;
  std::vector<std::int32_t> begins, ends, x;
};

// As the kernel walks: a window of consecutive rows, of which each tap of a row of the tile sees
// one, if it is inside.
void expect_tiles(const Launch& launch, std::int32_t tile_rows) {
  const Case& of = launch.shape;
  for (std::int32_t first = 0; first < launch.rows(); first += tile_rows) {
    const SegmentWindow window(first, tile_rows, of.before, of.dilation, of.kernel);
    std::vector<std::int32_t> seen(static_cast<std::size_t>(window.rows), 0);
    for (std::int32_t row = 0; row < window.rows; ++row) {
      if (window.has(row, launch.rows()))
        seen[static_cast<std::size_t>(row)] =
            launch.x.at(static_cast<std::size_t>(window.first + row));
    }
    for (std::int32_t m = 0; m < tile_rows && first + m < launch.rows(); ++m) {
      const auto row = static_cast<std::size_t>((first + m) / of.rate);
      const std::uint32_t taps =
          taps_inside(first + m - of.before, launch.begins[row] * of.rate,
                      launch.ends[row] * of.rate - of.beyond, of.dilation, of.kernel);
      for (std::int32_t tap = 0; tap < of.kernel; ++tap) {
        const std::int32_t got =
            has_tap(taps, tap) ? seen.at(static_cast<std::size_t>(m + tap * of.dilation)) : 0;
        ASSERT_EQ(got, launch.expected(first + m, tap))
            << "row " << first + m << ", tap " << tap << ", rate " << of.rate;
      }
    }
  }
}

TEST(SegmentTaps, AWindowHasWhatTheTapsOfATileSee) {
  const Case cases[] = {{8, 8, 11, 5, 25},   {40, 40, 7, 3, 9}, {120, 119, 11, 1, 5},
                        {1, 1, 7, 1, 3},     {1, 0, 4, 1, 0},   {1, 0, 3, 1, 2},
                        {120, 119, 1, 1, 0}, {12, 0, 5, 2, 4},  {3, 1, 2, 4, 1}};
  for (const Case& of : cases) {
    const Launch launch({1, 17, 2, 1, 1, 40, 3}, of);
    for (const std::int32_t rows : {64, 128, 256}) expect_tiles(launch, rows);
  }
}

}  // namespace
}  // namespace ttsrt::cuda
