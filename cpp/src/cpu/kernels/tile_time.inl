// Convolutions over time by tiles of bfloat16 (tile_kernels.h). A tile of rows is read where the
// packed rows lie, for every tap. Inputs of a tap that do not fill whole pieces are followed by
// zeros in the rows, so that the weights behind them, which are the next tap's, do not count.

namespace ttsrt::cpu {
namespace {

struct TimeTiles {
  int64_t row_bytes;  // from output row to output row
  int64_t tap_step;   // bytes from tap to tap in the rows
  int64_t pieces;     // of a tap
  int64_t tap_bytes;  // of a panel's tap
  int64_t all;        // pieces of all taps
  const unsigned char* w[2];
  const unsigned char* last[2];  // each panel's last piece
};

template <int P>
inline const unsigned char* time_piece(const TimeTiles& of, int64_t at, int64_t offset) {
  return at + 1 == of.all ? of.last[P] : of.w[P] + offset;
}

// Adds pieces [begin, end) of 16 or 32 rows times one or two panels, as add_chunk does.
template <int RowTiles, int Panels>
inline void add_time_chunk(const TimeTiles& of, const unsigned char* x, const TileChunk& chunk,
                           ChunkSums& sums) {
  begin_chunk<RowTiles, Panels>(chunk, sums);
  int64_t tap = chunk.begin / of.pieces;
  int64_t piece = chunk.begin % of.pieces;
  for (int64_t at = chunk.begin; at < chunk.end; ++at) {
    const int64_t offset = tap * of.tap_bytes + piece * kTileBytes;
    const unsigned char* rows = x + tap * of.tap_step + piece * kPieceBytes;
    Tiles::load<6>(time_piece<0>(of, at, offset), 64);
    Tiles::load<4>(rows, of.row_bytes);
    Tiles::add_pairs<0, 4, 6>();
    if constexpr (Panels > 1) {
      Tiles::load<7>(time_piece<1>(of, at, offset), 64);
      Tiles::add_pairs<1, 4, 7>();
    }
    if constexpr (RowTiles > 1) {
      Tiles::load<5>(rows + kTileHeight * of.row_bytes, of.row_bytes);
      Tiles::add_pairs<2, 5, 6>();
      if constexpr (Panels > 1) Tiles::add_pairs<3, 5, 7>();
    }
    if (++piece == of.pieces) {
      piece = 0;
      ++tap;
    }
  }
  end_chunk<RowTiles, Panels>(sums);
}

// All rows times one or two panels.
inline void time_panels_by_tiles(const TimeConvArgs& args, const TimeTiles& of, int32_t panel,
                                 int32_t panels) {
  const auto* rows = reinterpret_cast<const unsigned char*>(args.rows);
  ChunkSums sums[(kMostTimeRows + 31) / 32];
  for (int64_t piece = 0; piece < of.all; piece += kChunkPieces) {
    const int64_t end = piece + kChunkPieces;
    const TileChunk chunk = {piece, end < of.all ? end : of.all};
    for (int32_t row = 0; row < args.count; row += 32) {
      const unsigned char* x = rows + row * of.row_bytes;
      ChunkSums& block = sums[row / 32];
      const bool is_tall = args.count - row > kTileHeight;
      if (is_tall) {
        panels > 1 ? add_time_chunk<2, 2>(of, x, chunk, block)
                   : add_time_chunk<2, 1>(of, x, chunk, block);
      } else {
        panels > 1 ? add_time_chunk<1, 2>(of, x, chunk, block)
                   : add_time_chunk<1, 1>(of, x, chunk, block);
      }
      if (chunk.end < of.all) continue;
      const int32_t count = args.count - row < 32 ? args.count - row : 32;
      for (int32_t r = 0; r < count; ++r) {
        for (int32_t p = 0; p < panels; ++p) {
          const auto* values = reinterpret_cast<const float*>(block.at[r / 16][p]);
          finish_time(args, load(values + r % 16 * kLanes), row + r, panel + p);
        }
      }
    }
  }
}

void tile_time_convolve(const TimeConvArgs& args) {
  TimeTiles of = {};
  of.row_bytes = args.row_step * 4;
  of.tap_step = args.tap_step * 4;
  of.pieces = args.words * 4 / kPieceBytes;
  of.tap_bytes = args.panel_bytes / args.taps;
  of.all = of.pieces * args.taps;
  const int64_t before = (of.pieces - 1) * kTileBytes;  // of a tap's last piece
  alignas(64) unsigned char last[2][kTileBytes] = {};
  open_tiles();
  for (int32_t panel = args.first_panel; panel < args.last_panel; panel += 2) {
    const int32_t panels = args.last_panel - panel < 2 ? 1 : 2;
    for (int32_t p = 0; p < panels; ++p) {
      of.w[p] = static_cast<const unsigned char*>(args.weight) + (panel + p) * args.panel_bytes;
      memcpy(last[p], of.w[p] + args.panel_bytes - of.tap_bytes + before,
             static_cast<size_t>(of.tap_bytes - before));
      of.last[p] = last[p];
    }
    time_panels_by_tiles(args, of, panel, panels);
  }
  Tiles::close();
}

}  // namespace
}  // namespace ttsrt::cpu
