// Relative attention reads, for every query and key, the row of the distance between them. The test
// goes over the places in shared memory on the host, in the order of the kernels.
#include "cuda/kernels/relative_window.cuh"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace ttsrt::cuda {
namespace {

constexpr int kNothing = -1;  // zeros stand there
constexpr int kLengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 128, 200, 321, 500};

// The row of a segment's distances between a query and a key.
int distance_row(int length, int query, int key) { return length - 1 - (query - key); }

int row_or_nothing(int length, int row) { return row >= 0 && row < 2 * length ? row : kNothing; }

// A block on tensor cores, which begins with a query of a segment.
class Block {
 public:
  Block(int length, int first_query)
      : length_(length),
        first_(first_query),
        memory_(DistanceWindow::kChunks * DistanceWindow::kChunk, -2) {}

  void load(int chunk) {
    const int place = DistanceWindow::place_of(chunk, 0);
    const int row = DistanceWindow::row_of_chunk(length_, first_, chunk);
    for (int i = 0; i < DistanceWindow::kChunk; ++i)
      memory_.at(static_cast<std::size_t>(place + i)) = row_or_nothing(length_, row + i);
  }

  // The rows that a warp multiplies with a tile, in the order of its columns, by 16.
  std::vector<int> rows_of(int tile, int warp) const {
    std::vector<int> rows;
    for (int column = 0; column < DistanceWindow::kColumns; column += 16) {
      const int place =
          DistanceWindow::place_of(tile, DistanceWindow::first_of_warp(warp) + column);
      for (int i = 0; i < 16; ++i) rows.push_back(memory_.at(static_cast<std::size_t>(place + i)));
    }
    return rows;
  }

 private:
  int length_, first_;
  std::vector<int> memory_;
};

void expect_distances(int length, int first_query) {
  Block block(length, first_query);
  block.load(0);
  block.load(1);
  const int tiles = (length + DistanceWindow::kKeys - 1) / DistanceWindow::kKeys;
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) block.load(tile + 2);  // while this tile is multiplied
    for (int warp = 0; warp < DistanceWindow::kQueries / DistanceWindow::kWarpQueries; ++warp) {
      const std::vector<int> rows = block.rows_of(tile, warp);
      for (int q = 0; q < DistanceWindow::kWarpQueries; ++q) {
        for (int k = 0; k < DistanceWindow::kKeys; ++k) {
          const int column = DistanceWindow::column_of(q, k);
          ASSERT_GE(column, 0);
          ASSERT_LT(column, DistanceWindow::kColumns - 1);
          const int query = first_query + warp * DistanceWindow::kWarpQueries + q;
          const int key = tile * DistanceWindow::kKeys + k;
          if (query >= length || key >= length) continue;
          ASSERT_EQ(rows.at(static_cast<std::size_t>(column)), distance_row(length, query, key))
              << length << " rows, query " << query << ", key " << key;
        }
      }
    }
  }
}

TEST(CudaRelativeWindow, HasTheDistanceOfEveryQueryAndKeyOnTensorCores) {
  for (const int length : kLengths) {
    for (int first = 0; first < length; first += DistanceWindow::kQueries)
      expect_distances(length, first);
  }
}

// Accumulators of a lane have two neighbouring columns of two rows 8 apart, for every 8 columns.
TEST(CudaRelativeWindow, EveryLaneReadsWhatTheLanesOfItsWarpLeft) {
  std::vector<int> scores(DistanceWindow::kWarpQueries * DistanceWindow::kPitch, kNothing);
  for (int lane = 0; lane < 32; ++lane) {
    for (int column = 0; column < DistanceWindow::kColumns; column += 16) {
      for (int i = 0; i < 8; ++i) {
        const int row = lane / 4 + i % 4 / 2 * 8;
        const int at = column + i / 4 * 8 + lane % 4 * 2 + i % 2;
        int& to = scores.at(static_cast<std::size_t>(row * DistanceWindow::kPitch + at));
        ASSERT_EQ(to, kNothing);
        to = row * 1000 + at;
      }
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 32; ++i) {
      const int query = lane / 4 + i % 4 / 2 * 8;
      const int key = i / 4 * 8 + lane % 4 * 2 + i % 2;
      const int column = DistanceWindow::column_of(query, key);
      EXPECT_EQ(scores.at(static_cast<std::size_t>(query * DistanceWindow::kPitch + column)),
                query * 1000 + column);
    }
  }
}

TEST(CudaRelativeWindow, HasTheDistanceOfEveryQueryAndKeyInFloat32) {
  for (const int length : kLengths) {
    for (int first = 0; first < length; first += DistanceSpan::kQueries) {
      for (int first_key = 0; first_key < length; first_key += DistanceSpan::kKeys) {
        const int row = DistanceSpan::first_row(length, first, first_key);
        for (int q = 0; q < std::min(DistanceSpan::kQueries, length - first); ++q) {
          for (int k = 0; k < std::min(DistanceSpan::kKeys, length - first_key); ++k) {
            const int place = DistanceSpan::place_of(q, k);
            ASSERT_GE(place, 0);
            ASSERT_LT(place, DistanceSpan::kRows - 1);
            ASSERT_EQ(row_or_nothing(length, row + place),
                      distance_row(length, first + q, first_key + k))
                << length << " rows, query " << first + q << ", key " << first_key + k;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ttsrt::cuda
