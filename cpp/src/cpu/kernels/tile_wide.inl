// Matrix products over tiles of more than 16 rows (tile_products.inl).
//
// A chunk of two panels stays in the L1 cache while the rows of a block pass by, which lie in the
// L2 cache. The next chunk, and the rows that a thread has not read yet, are prefetched meanwhile,
// spread over the steps: in one go they would fill all buffers for lines that are under way.

namespace ttsrt::cpu {
namespace {

constexpr int64_t kRowsAhead = 2;       // pieces of rows that are prefetched from the L2 cache
constexpr int64_t kFarBytes = 1 << 20;  // of rows, more of which do not stay in the L2 cache

// Lines of a chunk of panels that are prefetched little by little.
class ChunkAhead {
 public:
  ChunkAhead() = default;
  ChunkAhead(const PanelPieces& of, const TileChunk& chunk, int32_t panels, int64_t steps)
      : w_(of.w + chunk.begin * kTileBytes),
        panel_bytes_(of.panel_bytes),
        bytes_((chunk.end - chunk.begin) * kTileBytes),
        end_(bytes_ * panels),
        step_bytes_((end_ / kPieceBytes + steps - 1) / steps * kPieceBytes) {}

  void step() {
    const int64_t end = at_ + step_bytes_ < end_ ? at_ + step_bytes_ : end_;
    for (; at_ < end; at_ += kPieceBytes)
      prefetch_far(at_ < bytes_ ? w_ + at_ : w_ + panel_bytes_ + at_ - bytes_);
  }

 private:
  const unsigned char* w_ = nullptr;
  int64_t panel_bytes_ = 0;
  int64_t bytes_ = 0;  // of a panel
  int64_t end_ = 0;
  int64_t step_bytes_ = 0;
  int64_t at_ = 0;
};

// Packed rows of a block by panels.
struct WideSource {
  const unsigned char* rows;
  int64_t block_bytes;  // of 16 rows
  PanelPieces of;

  static int64_t row_bytes() { return kPieceBytes; }
  PieceAt at(int64_t piece) const {
    const int64_t offset = piece * kTileBytes;
    return {rows + offset, rows + block_bytes + offset, of.w + offset,
            of.w + of.panel_bytes + offset};
  }
};

// Makes outputs of a row of a block.
template <class Step>
struct FinishWide {
  const LinearArgs& args;
  void operator()(const SumsBlock& block, int32_t row) const {
    const int32_t half = row / kTileHeight;
    const int32_t first = block.first_row + half * kTileHeight;
    const uint32_t* heads = heads_of<Step>(args, block_at(args, first));
    for (int32_t p = 0; p < block.panels; ++p) {
      const BlockSums sums = {block.at[half][p], heads, first, kTileHeight, block.panel + p};
      finish(args, Step::output(args, sums, row % kTileHeight), block.first_row + row,
             block.panel + p);
    }
  }
};

// More than 16 rows times one or two panels.
template <class Step>
class WideProduct {
 public:
  explicit WideProduct(const LinearArgs& args)
      : args_(args),
        pieces_(args.row.group_words * 4 / kPieceBytes),
        blocks_((args.last_row - args.first_row + kBlockRows - 1) / kBlockRows),
        block_bytes_(args.row.words * 4 * kTileHeight),
        chunks_((pieces_ + kNearPieces - 1) / kNearPieces),
        // So that all rows of a group of panels are done when the next group is.
        turn_rows_(static_cast<int32_t>((2 * kBlockRows + pieces_ - 1) / pieces_)),
        is_far_(blocks_ * 2 * block_bytes_ > kFarBytes),
        waiting_(FinishWide<Step>{args}) {}

  void run() {
    for (int32_t panel = args_.first_panel; panel < args_.last_panel; panel += kManyPanels)
      multiply(panel);
    waiting_.finish_all();
  }

 private:
  PanelPieces panels_at(int32_t panel) const {
    const int64_t panel_bytes = pieces_ * kTileBytes;
    return {static_cast<const unsigned char*>(args_.weight) + panel * panel_bytes, panel_bytes};
  }
  int32_t row_of(int32_t block) const { return args_.first_row + block * kBlockRows; }

  void multiply(int32_t panel) {
    const int32_t left = args_.last_panel - panel;
    const PanelPieces of = panels_at(panel);
    for (int32_t b = 0; b < blocks_; ++b) {
      SumsBlock& sums = waiting_.next(b);
      const int32_t rows = args_.last_row - row_of(b);
      sums.first_row = row_of(b);
      sums.rows = rows < kBlockRows ? rows : kBlockRows;
      sums.panel = panel;
      sums.panels = left < kManyPanels ? left : kManyPanels;
    }
    for (int64_t c = 0; c < chunks_; ++c) {
      const TileChunk chunk = chunk_of(pieces_, c, chunks_);
      ChunkAhead ahead = chunk_ahead(panel, c);
      for (int32_t b = 0; b < blocks_; ++b) add_chunk(of, chunk, c, b, panel, ahead);
    }
  }

  // The weights behind chunk `c` of these panels.
  ChunkAhead chunk_ahead(int32_t panel, int64_t c) const {
    const int64_t steps = blocks_ * ((pieces_ / chunks_ + 1) / 2);
    if (c + 1 < chunks_)
      return ChunkAhead(panels_at(panel), chunk_of(pieces_, c + 1, chunks_), kManyPanels, steps);
    if (panel + 2 * kManyPanels > args_.near_panels) return ChunkAhead();
    return ChunkAhead(panels_at(panel + kManyPanels), chunk_of(pieces_, 0, chunks_), kManyPanels,
                      steps);
  }

  void add_chunk(const PanelPieces& of, const TileChunk& chunk, int64_t c, int32_t b, int32_t panel,
                 ChunkAhead& ahead) {
    const bool is_last = c + 1 == chunks_;
    SumsBlock& sums = waiting_.next(is_last ? 0 : b);
    const WideSource source = {block_at(args_, row_of(b)), block_bytes_, of};
    // The rows that come next: those of the next block, or of the first one in the next chunk.
    const bool goes_round = b + 1 == blocks_;
    const unsigned char* next = block_at(args_, row_of(goes_round ? 0 : b + 1));
    const int64_t next_begin = !goes_round ? chunk.begin : is_last ? 0 : chunk.end;
    next += next_begin * kTileBytes;
    const bool is_new = is_far_ || panel == args_.first_panel;
    const auto between = [&](int64_t piece) {
      for (int64_t i = piece + 1 + kRowsAhead; i < piece + 3 + kRowsAhead; ++i) {
        const unsigned char* near =
            i < chunk.end ? source.rows + i * kTileBytes : next + (i - chunk.end) * kTileBytes;
        prefetch_tile_near(near);
        prefetch_tile_near(near + block_bytes_);
        if (!is_new) continue;
        const unsigned char* far = next + (i - kRowsAhead - 1 - chunk.begin) * kTileBytes;
        prefetch_tile(far);
        prefetch_tile(far + block_bytes_);
      }
      ahead.step();
      waiting_.finish_rows(turn_rows_);
    };
    add_pieces_of<Step>(source, chunk.begin, chunk.end, sums, between);
    if (is_last) waiting_.add();
  }

  const LinearArgs& args_;
  int64_t pieces_;
  int32_t blocks_;
  int64_t block_bytes_;
  int64_t chunks_;
  int32_t turn_rows_;
  bool is_far_;
  WaitingBlocks<FinishWide<Step>> waiting_;
};

template <class Step>
void tile_product(const LinearArgs& args) {
  if (args.rows > kTileHeight) return WideProduct<Step>(args).run();
  const int64_t panel_bytes = args.row.group_words * 64;
  const auto* weight = static_cast<const unsigned char*>(args.weight);
  for (int32_t panel = args.first_panel; panel < args.last_panel; panel += kFewPanels) {
    const unsigned char* w = weight + panel * panel_bytes;
    args.last_panel - panel >= 2 ? multiply_few<Step, 2>(args, w, panel)
                                 : multiply_few<Step, 1>(args, w, panel);
  }
}

}  // namespace
}  // namespace ttsrt::cpu
