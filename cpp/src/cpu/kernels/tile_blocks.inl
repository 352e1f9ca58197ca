// Blocks of 32 rows by 32 outputs over tiles: 2 x 2 tiles of sums, two of rows and two of weights,
// so that a step of four products loads four tiles. Products of many rows (tile_wide.inl) and
// convolutions over time (tile_time.inl) consist of them.
//
// A tile is loaded for the next step as soon as its last product of this step is issued, and the
// products of the next step begin with the tiles that were loaded first. Between steps, rows of
// blocks that are done become outputs: the vector units work while the tiles do.

namespace ttsrt::cpu {
namespace {

// Into the L1 cache; inlined as prefetch_far is.
__attribute__((always_inline)) inline void prefetch_tile_near(const unsigned char* at) {
  asm("" : "+r"(at));
#pragma GCC unroll 16
  for (int line = 0; line < 16; ++line) __builtin_prefetch(at + line * 64, 0, 3);
}

constexpr int64_t kNearPieces = 12;  // of two panels: half of the L1 cache

struct TileChunk {
  int64_t begin;  // pieces
  int64_t end;
};

// Chunk `index` of `count` of these pieces.
inline TileChunk chunk_of(int64_t pieces, int64_t index, int64_t count) {
  return {pieces * index / count, pieces * (index + 1) / count};
}

// The sums of a block, and what becomes of them.
struct SumsBlock {
  alignas(64) unsigned char at[2][2][kTileBytes];  // [rows / 16][panels]
  int32_t first_row;
  int32_t rows;
  int32_t panel;
  int32_t panels;
};

constexpr int32_t kBlockRows = 32;
constexpr int32_t kMostBlocks = kTileBlockRows / kBlockRows;

// Blocks whose sums are done, in order, and those that are being summed. All blocks of one group of
// panels may wait while those of the next are summed.
template <class Finish>
class WaitingBlocks {
 public:
  explicit WaitingBlocks(const Finish& finish) : finish_(finish) {}

  // Block `ahead` of those that are not done.
  SumsBlock& next(int32_t ahead) {
    while (done_ + ahead - finished_ >= kPlaces) finish_rows(kBlockRows);
    return blocks_[(done_ + ahead) % kPlaces];
  }
  // The first of them is done.
  void add() { ++done_; }

  // Makes outputs of up to `count` rows.
  __attribute__((noinline)) void finish_rows(int32_t count) {
    for (; count > 0 && finished_ < done_; --count) {
      const SumsBlock& block = blocks_[finished_ % kPlaces];
      finish_(block, row_);
      if (++row_ < block.rows) continue;
      row_ = 0;
      ++finished_;
    }
  }
  void finish_all() {
    while (finished_ < done_) finish_rows(kBlockRows);
  }

 private:
  static constexpr int32_t kPlaces = 2 * kMostBlocks;
  Finish finish_;
  SumsBlock blocks_[kPlaces];
  int32_t done_ = 0;
  int32_t finished_ = 0;
  int32_t row_ = 0;  // of the oldest block
};

// Loads the sums of RowTiles x Panels tiles, which begin at zero, and stores them.
template <int RowTiles, int Panels>
inline void begin_sums(bool is_first, const SumsBlock& sums) {
  if (is_first) {
    Tiles::zero<0>();
    if constexpr (Panels > 1) Tiles::zero<1>();
    if constexpr (RowTiles > 1) Tiles::zero<2>();
    if constexpr (RowTiles > 1 && Panels > 1) Tiles::zero<3>();
  } else {
    Tiles::load<0>(sums.at[0][0], 64);
    if constexpr (Panels > 1) Tiles::load<1>(sums.at[0][1], 64);
    if constexpr (RowTiles > 1) Tiles::load<2>(sums.at[1][0], 64);
    if constexpr (RowTiles > 1 && Panels > 1) Tiles::load<3>(sums.at[1][1], 64);
  }
}
template <int RowTiles, int Panels>
inline void end_sums(SumsBlock& sums) {
  Tiles::store<0>(sums.at[0][0], 64);
  if constexpr (Panels > 1) Tiles::store<1>(sums.at[0][1], 64);
  if constexpr (RowTiles > 1) Tiles::store<2>(sums.at[1][0], 64);
  if constexpr (RowTiles > 1 && Panels > 1) Tiles::store<3>(sums.at[1][1], 64);
}

// What one step loads: a piece of 16 rows, of the 16 rows behind them, and of two panels.
struct PieceAt {
  const unsigned char* rows;
  const unsigned char* more_rows;
  const unsigned char* w;
  const unsigned char* more_w;
};

template <int RowTiles, int Panels>
inline void load_piece(const PieceAt& at, int64_t row_bytes) {
  Tiles::load<4>(at.rows, row_bytes);
  Tiles::load<6>(at.w, 64);
  if constexpr (Panels > 1) Tiles::load<7>(at.more_w, 64);
  if constexpr (RowTiles > 1) Tiles::load<5>(at.more_rows, row_bytes);
}
template <class Step, int RowTiles, int Panels>
inline void add_loaded() {
  Step::template add<0, 4, 6>();
  if constexpr (Panels > 1) Step::template add<1, 4, 7>();
  if constexpr (RowTiles > 1 && Panels > 1) Step::template add<3, 5, 7>();
  if constexpr (RowTiles > 1) Step::template add<2, 5, 6>();
}

// Adds the piece in the tiles and loads the next one. First is the tile of weights that was loaded
// first: 6 or 7.
template <class Step, int First>
inline void add_and_load(const PieceAt& next, int64_t row_bytes) {
  constexpr int kSecond = 13 - First;
  Step::template add<First - 6, 4, First>();
  Step::template add<kSecond - 6, 4, kSecond>();
  Tiles::load<4>(next.rows, row_bytes);
  Step::template add<kSecond - 4, 5, kSecond>();
  Tiles::load<kSecond>(kSecond == 7 ? next.more_w : next.w, 64);
  Step::template add<First - 4, 5, First>();
  Tiles::load<First>(First == 7 ? next.more_w : next.w, 64);
  Tiles::load<5>(next.more_rows, row_bytes);
}

// Adds pieces [begin, end) to the sums of a block. `source.at(piece)` tells where a piece is;
// `between(piece)` is called behind about every second piece.
template <class Step, int RowTiles, int Panels, class Source, class Between>
inline void add_pieces(const Source& source, int64_t begin, int64_t end, SumsBlock& sums,
                       const Between& between) {
  const int64_t row_bytes = source.row_bytes();
  begin_sums<RowTiles, Panels>(begin == 0, sums);
  load_piece<RowTiles, Panels>(source.at(begin), row_bytes);
  int64_t piece = begin;
  if constexpr (RowTiles > 1 && Panels > 1) {
    for (; piece + 2 < end; piece += 2) {
      add_and_load<Step, 6>(source.at(piece + 1), row_bytes);
      between(piece);
      add_and_load<Step, 7>(source.at(piece + 2), row_bytes);
    }
  }
  for (; piece + 1 < end; ++piece) {
    add_loaded<Step, RowTiles, Panels>();
    load_piece<RowTiles, Panels>(source.at(piece + 1), row_bytes);
    between(piece);
  }
  add_loaded<Step, RowTiles, Panels>();
  end_sums<RowTiles, Panels>(sums);
}

// As add_pieces, of a block with so many rows and panels.
template <class Step, class Source, class Between>
inline void add_pieces_of(const Source& source, int64_t begin, int64_t end, SumsBlock& sums,
                          const Between& between) {
  if (sums.rows > kTileHeight) {
    sums.panels > 1 ? add_pieces<Step, 2, 2>(source, begin, end, sums, between)
                    : add_pieces<Step, 2, 1>(source, begin, end, sums, between);
  } else {
    sums.panels > 1 ? add_pieces<Step, 1, 2>(source, begin, end, sums, between)
                    : add_pieces<Step, 1, 1>(source, begin, end, sums, between);
  }
}

}  // namespace
}  // namespace ttsrt::cpu
