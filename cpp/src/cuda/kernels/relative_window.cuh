// Which rows of distances a block of relative attention has in shared memory, and where. These are
// plain functions, which tests call on the host.
//
// Of a segment of n rows, row m = n - 1 - (i - j) of its distances belongs to the query i and the
// key j. So a block of queries and a tile of keys need consecutive rows, and the next tile of keys
// those behind them.
#pragma once

#include <cstdint>

#include "rules/inline.h"

namespace ttsrt::cuda {

// Of blocks that multiply on tensor cores: four warps with 16 queries each, and tiles of 64 keys.
// Distances come in chunks of 64 rows, of which chunks t and t + 1 are read with tile t while the
// next one is on its way.
struct DistanceWindow {
  static constexpr int kQueries = 64;  // of a block
  static constexpr int kWarpQueries = 16;
  static constexpr int kKeys = 64;   // of a tile
  static constexpr int kChunk = 64;  // rows
  static constexpr int kChunks = 3;  // in shared memory
  // Rows that a warp reads with a tile; the last one is unused.
  static constexpr int kColumns = 80;
  static constexpr int kPitch = 88;  // of scores of distances in shared memory

  // The row of a segment's distances that is the first of a chunk, where the block begins with the
  // query `first_query` of the segment. Rows below 0 or from 2 * length on are not there.
  TTSRT_RULE static constexpr int row_of_chunk(int length, int first_query, int chunk) {
    return length - first_query - kQueries + chunk * kChunk;
  }
  // The place in shared memory of a row of the chunks that are read with a tile, counted from the
  // first one's first.
  TTSRT_RULE static constexpr int place_of(int tile, int row) {
    return (tile + row / kChunk) % kChunks * kChunk + row % kChunk;
  }
  // The first of the rows that a warp reads: that of its last query and the tile's first key.
  TTSRT_RULE static constexpr int first_of_warp(int warp) {
    return kQueries - kWarpQueries * (warp + 1);
  }
  // Which of the rows of its warp belongs to a query of the warp and a key of the tile.
  TTSRT_RULE static constexpr int column_of(int query, int key) {
    return key - query + kWarpQueries - 1;
  }
};

// Of blocks that multiply in float32: a query for each of eight warps, and tiles of 32 keys.
struct DistanceSpan {
  static constexpr int kQueries = 8;
  static constexpr int kKeys = 32;
  static constexpr int kRows = 40;  // in shared memory; the last one is unused

  // The row of a segment's distances that is the first with a tile of keys from `first_key` on.
  TTSRT_RULE static constexpr int first_row(int length, int first_query, int first_key) {
    return length - first_query - kQueries + first_key;
  }
  TTSRT_RULE static constexpr int place_of(int query, int key) {
    return key - query + kQueries - 1;
  }
};

}  // namespace ttsrt::cuda
