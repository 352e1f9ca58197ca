// Matrix products over tiles (tile_kernels.h) of few rows, and what products of any number of rows
// share; tile_wide.inl has those of more than 16 rows.
//
// A product takes 16 cycles, a load 8 at best, and its tile is there after 45 or more: a tile that
// is loaded again waits for those who read it. So tiles are loaded one step ahead of their
// products. Up to 16 rows multiply two panels, with four tiles for weights, which come from far
// away.

namespace ttsrt::cpu {
namespace {

constexpr int64_t kPieceBytes = 64;
constexpr int32_t kFewPanels = 2;
constexpr int32_t kManyPanels = 2;

// The empty statement keeps the compiler from holding the address of each line in a register.
__attribute__((always_inline)) inline void prefetch_tile(const unsigned char* at) {
  asm("" : "+r"(at));
#pragma GCC unroll 16
  for (int line = 0; line < 16; ++line) prefetch_far(at + line * 64);
}

// Which tiles hold rows and sums: those of weights are whole.
enum TileUse { kFourForRows, kSixForRows, kSixForHalfRows, kTileUses };

struct TileConfigs {
  alignas(64) TileConfig of[kTileUses][kTileHeight + 1];  // [rows]
};

constexpr TileConfigs make_configs() {
  TileConfigs all = {};
  for (int use = 0; use < kTileUses; ++use) {
    const bool is_half = use == kSixForHalfRows;  // of groups of 32 bytes
    for (int rows = 1; rows <= kTileHeight; ++rows) {
      TileConfig& config = all.of[use][rows];
      config.palette = 1;
      for (int t = 0; t < 8; ++t) {
        const bool is_weight = t >= (use == kFourForRows ? 4 : 6);
        config.row_bytes[t] = is_half && (t == 4 || t == 5) ? 32 : 64;
        config.rows[t] = static_cast<uint8_t>(!is_weight ? rows : is_half ? 8 : 16);
      }
    }
  }
  return all;
}

alignas(64) constexpr TileConfigs kTileConfigs = make_configs();

inline void open_tiles(int32_t rows = kTileHeight) {
  Tiles::open(kTileConfigs.of[kSixForRows][rows]);
}

// Bytes of a piece of a packed row.
inline int64_t piece_bytes(const RowShape& shape) {
  const int64_t part = shape.group_words * 4 / shape.parts;
  return part < kPieceBytes ? part : kPieceBytes;
}

inline int32_t at_most_a_tile(int32_t rows) { return rows < kTileHeight ? rows : kTileHeight; }

void open_product(const RowShape&, int32_t rows) {
  Tiles::open(kTileConfigs.of[kFourForRows][at_most_a_tile(rows)]);
}

void open_groups(const RowShape& shape, int32_t rows) {
  const TileUse use = piece_bytes(shape) < kPieceBytes ? kSixForHalfRows : kSixForRows;
  Tiles::open(kTileConfigs.of[use][at_most_a_tile(rows)]);
}

void close_tiles() { Tiles::close(); }

inline int32_t block_rows_of(const LinearArgs& args) { return at_most_a_tile(args.rows); }
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

// The pieces of one or two panels.
struct PanelPieces {
  const unsigned char* w;
  int64_t panel_bytes;
};

// Multiplies up to 16 rows in tile A by one piece of one or two panels, whose tiles are B and the
// next. `Ahead` says whether to prefetch panels.
template <class Step, int A, int B, int Panels>
inline void add_few_piece() {
  Step::template add<0, A, B>();
  if constexpr (Panels > 1) Step::template add<1, A, B + 1>();
}
template <int B, int Panels>
inline void load_few_piece(const PanelPieces& of, int64_t offset, int64_t ahead) {
  Tiles::load<B>(of.w + offset, 64);
  prefetch_tile(of.w + offset + ahead);
  if constexpr (Panels > 1) {
    Tiles::load<B + 1>(of.w + of.panel_bytes + offset, 64);
    prefetch_tile(of.w + of.panel_bytes + offset + ahead);
  }
}

// Up to 16 rows times one or two panels.
template <class Step, int Panels>
void multiply_few(const LinearArgs& args, const unsigned char* w, int32_t panel) {
  const int64_t pieces = args.row.group_words * 4 / kPieceBytes;
  const PanelPieces of = {w, pieces * kTileBytes};
  const int64_t step = args.rows * kPieceBytes;
  const int64_t ahead = bytes_ahead<Panels>(args, panel, of.panel_bytes);
  const unsigned char* x = block_at(args, 0);
  const uint32_t* heads = heads_of<Step>(args, x);
  Tiles::zero<0>();
  if constexpr (Panels > 1) Tiles::zero<1>();
  Tiles::load<2>(x, 64);
  load_few_piece<4, Panels>(of, 0, ahead);
  int64_t piece = 0;
  for (; piece + 2 < pieces; piece += 2) {
    const int64_t offset = (piece + 1) * kTileBytes;
    Tiles::load<3>(x + step, 64);
    load_few_piece<6, Panels>(of, offset, ahead);
    add_few_piece<Step, 2, 4, Panels>();
    x += 2 * step;
    Tiles::load<2>(x, 64);
    load_few_piece<4, Panels>(of, offset + kTileBytes, ahead);
    add_few_piece<Step, 3, 6, Panels>();
  }
  if (piece + 1 < pieces) {
    Tiles::load<3>(x + step, 64);
    load_few_piece<6, Panels>(of, (piece + 1) * kTileBytes, ahead);
    add_few_piece<Step, 2, 4, Panels>();
    add_few_piece<Step, 3, 6, Panels>();
  } else {
    add_few_piece<Step, 2, 4, Panels>();
  }
  alignas(64) unsigned char sums[2][kTileBytes];
  Tiles::store<0>(sums[0], 64);
  if constexpr (Panels > 1) Tiles::store<1>(sums[1], 64);
  for (int32_t p = 0; p < Panels; ++p)
    finish_block<Step>(args, {sums[p], heads, 0, args.rows, panel + p});
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

}  // namespace
}  // namespace ttsrt::cpu
