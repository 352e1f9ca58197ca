// Matrix products over tiles (tile_kernels.h).
//
// Tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 panels. Up to 16 rows multiply four panels at once,
// because an instruction starts every 16 cycles and its sums are there after 52; more rows multiply
// two panels in blocks of 32 rows, which takes as many loads as products. A chunk of two panels
// stays in the L1 cache for all rows of a block.

namespace ttsrt::cpu {
namespace {

constexpr int64_t kPieceBytes = 64;

struct TileConfigs {
  alignas(64) TileConfig of[2][kTileHeight + 1];  // [groups of 32 bytes][rows]
};

constexpr TileConfigs make_configs() {
  TileConfigs all = {};
  for (int narrow = 0; narrow < 2; ++narrow) {
    for (int rows = 1; rows <= kTileHeight; ++rows) {
      TileConfig& config = all.of[narrow][rows];
      config.palette = 1;
      for (int t = 0; t < 8; ++t) {
        const bool is_rows = t == 4 || t == 5;
        config.row_bytes[t] = is_rows && narrow == 1 ? 32 : 64;
        config.rows[t] = static_cast<uint8_t>(t < 6 ? rows : narrow == 1 ? 8 : 16);
      }
    }
  }
  return all;
}

alignas(64) constexpr TileConfigs kTileConfigs = make_configs();

inline void open_tiles() { Tiles::open(kTileConfigs.of[0][kTileHeight]); }

// Bytes of a piece of a packed row.
inline int64_t piece_bytes(const RowShape& shape) {
  const int64_t part = shape.group_words * 4 / shape.parts;
  return part < kPieceBytes ? part : kPieceBytes;
}

void open_product(const RowShape& shape, int32_t rows) {
  const int narrow = piece_bytes(shape) < kPieceBytes ? 1 : 0;
  Tiles::open(kTileConfigs.of[narrow][rows < kTileHeight ? rows : kTileHeight]);
}

void close_tiles() { Tiles::close(); }

inline int32_t block_rows_of(const LinearArgs& args) {
  return args.rows < kTileHeight ? args.rows : kTileHeight;
}
inline const unsigned char* block_at(const LinearArgs& args, int32_t row) {
  return reinterpret_cast<const unsigned char*>(args.packed + row * args.row.words);
}

inline Ints load_ints(const void* from) {
  Ints v;
  memcpy(&v, from, sizeof(v));
  return v;
}

// The sums of a block of rows and of panels, with what comes after them in a block of rows.
struct BlockSums {
  const unsigned char* sums;  // [rows][16]
  const uint32_t* heads;      // [rows][2], or null
  int32_t first_row;
  int32_t rows;
  int32_t panel;
};

// How one instruction multiplies a piece, and what the outputs are.
struct TilePairs {
  static constexpr bool kHasHeads = false;
  template <int Sums, int A, int B>
  static void add() {
    Tiles::add_pairs<Sums, A, B>();
  }
  static Vec output(const LinearArgs&, const BlockSums& block, int32_t r) {
    return load(reinterpret_cast<const float*>(block.sums) + r * kLanes);
  }
};

struct TileBytes {
  static constexpr bool kHasHeads = true;
  template <int Sums, int A, int B>
  static void add() {
    Tiles::add_unsigned_bytes<Sums, A, B>();
  }
  static Vec output(const LinearArgs& args, const BlockSums& block, int32_t r) {
    const uint32_t* head = block.heads + 2 * r;
    const Vec scales = StepW8A8::scales(args.scales, int64_t{block.panel} * kLanes);
    const Ints sum =
        sum_of(load_ints(block.sums + r * 64), set_ints(static_cast<int32_t>(head[1])));
    return fma(scales * StepFloat32::input(head), to_floats(sum), zero());
  }
};

template <class Step>
__attribute__((noinline)) void finish_block(const LinearArgs& args, const BlockSums& block) {
  for (int32_t r = 0; r < block.rows; ++r)
    finish(args, Step::output(args, block, r), block.first_row + r, block.panel);
}

// The heads of a block whose pieces begin at `block`.
template <class Step>
inline const uint32_t* heads_of(const LinearArgs& args, const unsigned char* block) {
  if constexpr (!Step::kHasHeads) return nullptr;
  const int64_t words = args.row.groups * args.row.group_words * block_rows_of(args);
  return reinterpret_cast<const uint32_t*>(block) + words;
}

struct ChunkSums {
  alignas(64) unsigned char at[2][2][kTileBytes];  // [rows / 16][panels]
};

struct TileChunk {
  int64_t begin;  // pieces
  int64_t end;
};

// Loads the sums of RowTiles x Panels tiles, which begin at zero, and stores them.
template <int RowTiles, int Panels>
inline void begin_chunk(const TileChunk& chunk, const ChunkSums& sums) {
  if (chunk.begin == 0) {
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
inline void end_chunk(ChunkSums& sums) {
  Tiles::store<0>(sums.at[0][0], 64);
  if constexpr (Panels > 1) Tiles::store<1>(sums.at[0][1], 64);
  if constexpr (RowTiles > 1) Tiles::store<2>(sums.at[1][0], 64);
  if constexpr (RowTiles > 1 && Panels > 1) Tiles::store<3>(sums.at[1][1], 64);
}

// Adds pieces of 16 or 32 rows times one or two panels to their sums.
template <class Step, int RowTiles, int Panels>
inline void add_chunk(const LinearArgs& args, const unsigned char* x, const unsigned char* w,
                      int64_t panel_bytes, const TileChunk& chunk, ChunkSums& sums) {
  const int64_t block_bytes = args.row.words * 4 * kTileHeight;
  begin_chunk<RowTiles, Panels>(chunk, sums);
  for (int64_t at = chunk.begin * kTileBytes; at < chunk.end * kTileBytes; at += kTileBytes) {
    Tiles::load<6>(w + at, 64);
    Tiles::load<4>(x + at, 64);
    Step::template add<0, 4, 6>();
    if constexpr (Panels > 1) {
      Tiles::load<7>(w + panel_bytes + at, 64);
      Step::template add<1, 4, 7>();
    }
    if constexpr (RowTiles > 1) {
      Tiles::load<5>(x + block_bytes + at, 64);
      Step::template add<2, 5, 6>();
      if constexpr (Panels > 1) Step::template add<3, 5, 7>();
    }
  }
  end_chunk<RowTiles, Panels>(sums);
}

constexpr int64_t kChunkPieces = 16;  // whose two panels stay in the L1 cache for all rows
constexpr int32_t kMostPairs = kTileBlockRows / 32;

// More than 16 rows: blocks of 32 rows times two panels.
template <class Step>
void multiply_many(const LinearArgs& args, const unsigned char* w, int32_t panel, int32_t panels) {
  const int64_t pieces = args.row.group_words * 4 / kPieceBytes;
  const int64_t panel_bytes = pieces * kTileBytes;
  ChunkSums sums[kMostPairs];
  for (int64_t piece = 0; piece < pieces; piece += kChunkPieces) {
    const int64_t end = piece + kChunkPieces;
    const TileChunk chunk = {piece, end < pieces ? end : pieces};
    for (int32_t row = args.first_row; row < args.last_row; row += 32) {
      const unsigned char* x = block_at(args, row);
      ChunkSums& block = sums[(row - args.first_row) / 32];
      const bool is_tall = args.last_row - row > kTileHeight;
      if (is_tall) {
        panels > 1 ? add_chunk<Step, 2, 2>(args, x, w, panel_bytes, chunk, block)
                   : add_chunk<Step, 2, 1>(args, x, w, panel_bytes, chunk, block);
      } else {
        panels > 1 ? add_chunk<Step, 1, 2>(args, x, w, panel_bytes, chunk, block)
                   : add_chunk<Step, 1, 1>(args, x, w, panel_bytes, chunk, block);
      }
      if (chunk.end < pieces) continue;
      for (int32_t t = 0; t < (is_tall ? 2 : 1); ++t) {
        const int32_t first = row + t * kTileHeight;
        const int32_t left = args.last_row - first;
        const uint32_t* heads = heads_of<Step>(args, block_at(args, first));
        for (int32_t p = 0; p < panels; ++p)
          finish_block<Step>(args, {block.at[t][p], heads, first,
                                    left < kTileHeight ? left : kTileHeight, panel + p});
      }
    }
  }
}

template <bool Prefetches>
inline void prefetch_tile(const unsigned char* at) {
  if constexpr (Prefetches) {
#pragma GCC unroll 16
    for (int line = 0; line < 16; ++line) prefetch_far(at + line * 64);
  }
}

// One piece of up to 16 rows, in tile A, times `Panels` panels.
template <class Step, int A, int Panels, bool Prefetches>
inline void add_piece(const unsigned char* x, const unsigned char* w, int64_t panel_bytes,
                      int64_t ahead) {
  Tiles::load<A>(x, 64);
  Tiles::load<6>(w, 64);
  prefetch_tile<Prefetches>(w + ahead);
  Step::template add<0, A, 6>();
  if constexpr (Panels > 1) {
    Tiles::load<7>(w + panel_bytes, 64);
    prefetch_tile<Prefetches>(w + panel_bytes + ahead);
    Step::template add<1, A, 7>();
  }
  if constexpr (Panels > 2) {
    Tiles::load<6>(w + 2 * panel_bytes, 64);
    prefetch_tile<Prefetches>(w + 2 * panel_bytes + ahead);
    Step::template add<2, A, 6>();
  }
  if constexpr (Panels > 3) {
    Tiles::load<7>(w + 3 * panel_bytes, 64);
    prefetch_tile<Prefetches>(w + 3 * panel_bytes + ahead);
    Step::template add<3, A, 7>();
  }
}

// Up to 16 rows times `Panels` panels.
template <class Step, int Panels, bool Prefetches>
void multiply_few(const LinearArgs& args, const unsigned char* w, int32_t panel) {
  const int64_t pieces = args.row.group_words * 4 / kPieceBytes;
  const int64_t panel_bytes = pieces * kTileBytes;
  const int64_t step = args.rows * kPieceBytes;
  const int64_t ahead = Prefetches ? bytes_ahead<Panels>(args, panel, panel_bytes) : 0;
  const unsigned char* x = block_at(args, 0);
  const uint32_t* heads = heads_of<Step>(args, x);
  Tiles::zero<0>();
  if constexpr (Panels > 1) Tiles::zero<1>();
  if constexpr (Panels > 2) Tiles::zero<2>();
  if constexpr (Panels > 3) Tiles::zero<3>();
  int64_t piece = 0;
  for (; piece + 2 <= pieces; piece += 2) {
    add_piece<Step, 4, Panels, Prefetches>(x, w, panel_bytes, ahead);
    add_piece<Step, 5, Panels, Prefetches>(x + step, w + kTileBytes, panel_bytes, ahead);
    x += 2 * step;
    w += 2 * kTileBytes;
  }
  if (piece < pieces) add_piece<Step, 4, Panels, Prefetches>(x, w, panel_bytes, ahead);
  alignas(64) unsigned char sums[4][kTileBytes];
  Tiles::store<0>(sums[0], 64);
  if constexpr (Panels > 1) Tiles::store<1>(sums[1], 64);
  if constexpr (Panels > 2) Tiles::store<2>(sums[2], 64);
  if constexpr (Panels > 3) Tiles::store<3>(sums[3], 64);
  for (int32_t p = 0; p < Panels; ++p)
    finish_block<Step>(args, {sums[p], heads, 0, args.rows, panel + p});
}

template <class Step>
void tile_product(const LinearArgs& args) {
  const int64_t panel_bytes = args.row.group_words * 64;
  const auto* weight = static_cast<const unsigned char*>(args.weight);
  const bool is_few = args.rows <= kTileHeight;
  const int32_t group = is_few ? 4 : 2;
  for (int32_t panel = args.first_panel; panel < args.last_panel; panel += group) {
    const unsigned char* w = weight + panel * panel_bytes;
    const int32_t left = args.last_panel - panel;
    if (!is_few) {
      multiply_many<Step>(args, w, panel, left < 2 ? left : 2);
    } else if (left >= 4) {
      multiply_few<Step, 4, true>(args, w, panel);
    } else if (left == 3) {
      multiply_few<Step, 3, true>(args, w, panel);
    } else if (left == 2) {
      multiply_few<Step, 2, true>(args, w, panel);
    } else {
      multiply_few<Step, 1, true>(args, w, panel);
    }
  }
}

// Rounds a row to bfloat16; its inputs are whole pieces.
void prepare_tile_pairs(const float* x, const RowShape& shape, int32_t rows, int32_t row,
                        uint32_t* block) {
  const int64_t step = rows * kPieceBytes / 2;
  auto* out = reinterpret_cast<uint16_t*>(block) + row * kPieceBytes / 2;
  for (int64_t i = 0; i < shape.depth; i += kTileInputs) {
    store_halves(out, rounded(load(x + i)), kLanes);
    store_halves(out + kLanes, rounded(load(x + i + kLanes)), kLanes);
    out += step;
  }
}

// Loops for the peaks: four tiles of sums from the same operands.
struct PeakTilePairs {
  template <int Sums>
  static void add() {
    Tiles::add_pairs<Sums, 4, 6>();
  }
};
struct PeakTileBytes {
  template <int Sums>
  static void add() {
    Tiles::add_signed_bytes<Sums, 4, 6>();
  }
};

template <class Step>
float tile_chain_kernel(const unsigned char* operands, int64_t steps) {
  open_tiles();
  Tiles::load<4>(operands, 64);
  Tiles::load<6>(operands, 64);
  Tiles::zero<0>();
  Tiles::zero<1>();
  Tiles::zero<2>();
  Tiles::zero<3>();
  for (int64_t i = 0; i < steps; ++i) {
    Step::template add<0>();
    Step::template add<1>();
    Step::template add<2>();
    Step::template add<3>();
  }
  alignas(64) unsigned char sums[kTileBytes];
  Tiles::store<3>(sums, 64);
  Tiles::close();
  return reduce_add(load(reinterpret_cast<const float*>(sums)));
}

constexpr TilePeaks kTilePeaks = {4, tile_chain_kernel<PeakTilePairs>,
                                  tile_chain_kernel<PeakTileBytes>};

}  // namespace
}  // namespace ttsrt::cpu
