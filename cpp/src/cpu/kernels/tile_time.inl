// Convolutions by tiles of bfloat16 (tile_kernels.h): over time, and of the rows of items in
// groups. A tile of rows is read where the packed rows lie, for every tap. Inputs of a tap that do
// not fill whole pieces are followed by zeros in the rows, so that the weights behind them, which
// are the next tap's, do not count.

namespace ttsrt::cpu {
namespace {

struct TapTiles {
  const unsigned char* rows;
  int64_t row_step;   // bytes from output row to output row
  int64_t tap_step;   // bytes from tap to tap in the rows
  uint32_t pieces;    // of a tap
  int64_t tap_bytes;  // of a panel's tap
  int64_t all;        // pieces of all taps
  const unsigned char* w[2];
  const unsigned char* last[2];  // each panel's last piece

  int64_t row_bytes() const { return row_step; }
  PieceAt at(int64_t piece) const {
    const uint32_t tap = static_cast<uint32_t>(piece) / pieces;
    const uint32_t place = static_cast<uint32_t>(piece) - tap * pieces;
    const unsigned char* x = rows + tap * tap_step + place * kPieceBytes;
    const bool is_last = piece + 1 == all;
    const int64_t offset = tap * tap_bytes + place * kTileBytes;
    return {x, x + kTileHeight * row_step, is_last ? last[0] : w[0] + offset,
            is_last ? last[1] : w[1] + offset};
  }
};

// Adds all taps of `rows` rows times one or two panels to blocks that wait.
template <class Finish>
inline void convolve_panels(TapTiles of, int32_t rows, int32_t panel, int32_t panels,
                            WaitingBlocks<Finish>& waiting) {
  const int32_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  const int64_t chunks = (of.all + kNearPieces - 1) / kNearPieces;
  const auto turn_rows = static_cast<int32_t>((2 * kBlockRows + of.all - 1) / of.all);
  const unsigned char* first = of.rows;
  for (int64_t c = 0; c < chunks; ++c) {
    const TileChunk chunk = chunk_of(of.all, c, chunks);
    const bool is_last = c + 1 == chunks;
    for (int32_t b = 0; b < blocks; ++b) {
      SumsBlock& sums = waiting.next(is_last ? 0 : b);
      const int32_t left = rows - b * kBlockRows;
      sums.first_row = b * kBlockRows;
      sums.rows = left < kBlockRows ? left : kBlockRows;
      sums.panel = panel;
      sums.panels = panels;
      of.rows = first + b * kBlockRows * of.row_step;
      add_pieces_of<TilePairs>(of, chunk.begin, chunk.end, sums,
                               [&](int64_t) { waiting.finish_rows(turn_rows); });
      if (is_last) waiting.add();
    }
  }
}

inline Vec sums_of(const SumsBlock& block, int32_t row, int32_t p) {
  return load(reinterpret_cast<const float*>(block.at[row / kTileHeight][p]) +
              row % kTileHeight * kLanes);
}

struct FinishTime {
  const TimeConvArgs& args;
  void operator()(const SumsBlock& block, int32_t row) const {
    for (int32_t p = 0; p < block.panels; ++p)
      finish_time(args, sums_of(block, row, p), block.first_row + row, block.panel + p);
  }
};

void tile_time_convolve(const TimeConvArgs& args) {
  TapTiles of = {};
  of.rows = reinterpret_cast<const unsigned char*>(args.rows);
  of.row_step = args.row_step * 4;
  of.tap_step = args.tap_step * 4;
  of.pieces = static_cast<uint32_t>(args.words * 4 / kPieceBytes);
  of.tap_bytes = args.panel_bytes / args.taps;
  of.all = int64_t{of.pieces} * args.taps;
  const int64_t before = (of.pieces - 1) * kTileBytes;  // of a tap's last piece
  alignas(64) unsigned char last[2][kTileBytes] = {};
  WaitingBlocks<FinishTime> waiting(FinishTime{args});
  open_tiles();
  for (int32_t panel = args.first_panel; panel < args.last_panel; panel += 2) {
    const int32_t panels = args.last_panel - panel < 2 ? 1 : 2;
    for (int32_t p = 0; p < panels; ++p) {
      of.w[p] = static_cast<const unsigned char*>(args.weight) + (panel + p) * args.panel_bytes;
      memcpy(last[p], of.w[p] + args.panel_bytes - of.tap_bytes + before,
             static_cast<size_t>(of.tap_bytes - before));
      of.last[p] = last[p];
    }
    convolve_panels(of, args.count, panel, panels, waiting);
  }
  waiting.finish_all();
  Tiles::close();
}

struct FinishConv {
  const ConvArgs& args;
  void operator()(const SumsBlock& block, int32_t row) const {
    for (int32_t p = 0; p < block.panels; ++p)
      finish_conv(args, sums_of(block, row, p), block.first_row + row, block.panel + p);
  }
};

void tile_convolve(const TileProduct& product, const ConvArgs& args) {
  TapTiles of = {};
  of.rows = reinterpret_cast<const unsigned char*>(product.rows);
  of.row_step = product.row_words * 4;
  of.tap_step = of.row_step;
  of.pieces = static_cast<uint32_t>(product.steps);
  of.tap_bytes = product.steps * kTileBytes;
  of.all = int64_t{product.taps} * product.steps;
  WaitingBlocks<FinishConv> waiting(FinishConv{args});
  open_tiles();
  for (int32_t panel = 0; panel < product.panels; panel += 2) {
    const int32_t panels = product.panels - panel < 2 ? 1 : 2;
    for (int32_t p = 0; p < panels; ++p) {
      of.w[p] = product.weight + (panel + p) * product.taps * of.tap_bytes;
      of.last[p] = of.w[p] + (of.all - 1) * kTileBytes;
    }
    convolve_panels(of, product.num_rows, panel, panels, waiting);
  }
  waiting.finish_all();
  Tiles::close();
}

}  // namespace
}  // namespace ttsrt::cpu
