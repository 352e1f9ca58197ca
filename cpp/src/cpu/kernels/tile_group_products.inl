// Matrix products over tiles of weights with a scale per group of inputs, or whose inputs are split
// in two bytes (split_kernels.inl): a panel is unpacked into the cache, and the sums of each group
// are scaled as kernels of vectors do.

namespace ttsrt::cpu {
namespace {

// Where the bytes of a group of row `row` go.
struct TilePlaces {
  unsigned char* group;
  int64_t part;   // bytes of a part of all rows
  int64_t piece;  // of a row
  int64_t rows;
  int64_t row;

  TilePlaces(const RowShape& shape, int32_t rows_of_block, int32_t row_of_block, uint32_t* block,
             int32_t g)
      : group(reinterpret_cast<unsigned char*>(block + g * shape.group_words * rows_of_block)),
        part(shape.group_words * 4 / shape.parts * rows_of_block),
        piece(piece_bytes(shape)),
        rows(rows_of_block),
        row(row_of_block) {}

  unsigned char* operator()(int64_t i, int p = 0) const {
    return group + p * part + i / piece * piece * rows + row * piece + i % piece;
  }
};

template <int Offset>
void prepare_tile_bytes(const float* x, const RowShape& shape, int32_t rows, int32_t row,
                        uint32_t* block) {
  const int64_t inputs = shape.group_words * 4;
  uint32_t* heads = block + shape.groups * shape.group_words * rows;
  for (int32_t g = 0; g < shape.groups; ++g) {
    const int64_t left = shape.depth - g * inputs;
    quantize_group(x + g * inputs, left < inputs ? left : inputs, shape.group_words, Offset,
                   heads + (int64_t{g} * rows + row) * 2, TilePlaces(shape, rows, row, block, g));
  }
}

template <int Offset, bool IsNibbles>
void prepare_tile_split(const float* x, const RowShape& shape, int32_t rows, int32_t row,
                        uint32_t* block) {
  const int64_t inputs = shape.group_words * 2;
  uint32_t* heads = block + shape.groups * shape.group_words * rows;
  for (int32_t g = 0; g < shape.groups; ++g) {
    const int64_t left = shape.depth - g * inputs;
    split_group<IsNibbles>(x + g * inputs, left < inputs ? left : inputs, inputs, Offset,
                           heads + (int64_t{g} * rows + row) * 2,
                           TilePlaces(shape, rows, row, block, g));
  }
}

typedef uint8_t TileLine __attribute__((vector_size(64)));

// Weights in groups, unpacked to signed bytes [inputs / 4][16][4].
template <bool HasZeros>
struct TileNibbles {
  static constexpr bool kHasZeros = HasZeros;
  static constexpr bool kHasRowScales = false;
  static int64_t panel_bytes(const RowShape& shape) {
    return shape.groups * shape.group_words * 4 / shape.parts * 8;
  }
  // One block of nibbles: those of a byte belong to the same place of two quads.
  static void unpack(const unsigned char* w, int64_t bytes, unsigned char* out) {
    for (int64_t at = 0; at < bytes; at += 64) {
      TileLine x;
      memcpy(&x, w + at, sizeof(x));
      const TileLine low = (x & 15) - 8;
      const TileLine high = (x >> 4) - 8;
      memcpy(out + 2 * at, &low, sizeof(low));
      memcpy(out + 2 * at + 64, &high, sizeof(high));
    }
  }
  static Vec scales(const void* p, int64_t at) { return StepW4A8::scales(p, at); }
};

struct TileOutputs {  // w8a16: the bytes of 16 outputs, input after input
  static constexpr bool kHasZeros = false;
  static constexpr bool kHasRowScales = true;
  static int64_t panel_bytes(const RowShape& shape) { return shape.depth * kLanes; }
  static void unpack(const unsigned char* w, int64_t bytes, unsigned char* out) {
    for (int64_t at = 0; at < bytes; at += 64) {
      const Block turned = turned_block(load_block(w + at));
      TileLine x;
      memcpy(&x, &turned, sizeof(x));
      x ^= 0x80;
      memcpy(out + at, &x, sizeof(x));
    }
  }
  static Vec scales(const void* p, int64_t at) { return StepW8A8::scales(p, at); }
};

// One block of up to 16 rows times one unpacked panel.
struct TileGroups {
  const unsigned char* x;
  const unsigned char* w;
  const uint32_t* heads;
  int64_t block_rows;
  int64_t panel;
  int64_t piece;   // bytes
  int64_t inputs;  // of a group; the last may have fewer
  int64_t depth;   // inputs of all groups
};

// Begins the sums of a group in tile `Sums`, and those of the low parts in the one behind it.
template <int Sums, int Parts>
inline void add_tile_group(const TileGroups& of, int64_t group) {
  const int64_t first = group * of.inputs;
  const int64_t count = of.depth - first < of.inputs ? of.depth - first : of.inputs;
  const unsigned char* x = of.x + first * Parts * of.block_rows;
  const unsigned char* low = x + of.inputs * of.block_rows;
  const unsigned char* w = of.w + first * kLanes;
  Tiles::zero<Sums>();
  if constexpr (Parts > 1) Tiles::zero<Sums + 1>();
  for (int64_t at = 0; at < count; at += of.piece) {
    Tiles::load<6 + Sums / 2>(w + at * kLanes, 64);
    Tiles::load<4>(x + at * of.block_rows, of.piece);
    Tiles::add_signed_bytes<Sums, 4, 6 + Sums / 2>();
    if constexpr (Parts > 1) {
      Tiles::load<5>(low + at * of.block_rows, of.piece);
      Tiles::add_signed_bytes<Sums + 1, 5, 6 + Sums / 2>();
    }
  }
}

struct GroupSums {
  alignas(64) unsigned char at[2][kTileBytes];  // [parts]
};

template <int Sums, int Parts>
inline void store_group(GroupSums& sums) {
  Tiles::store<Sums>(sums.at[0], 64);
  if constexpr (Parts > 1) Tiles::store<Sums + 1>(sums.at[1], 64);
}

// Adds the scaled sums of a group to totals, as `scaled` does.
template <class Weights, int Parts, int Rows>
inline void add_scaled(const LinearArgs& args, const TileGroups& of, int64_t group,
                       const GroupSums& sums, Vec (&totals)[Rows]) {
  const int64_t place =
      (Weights::kHasRowScales ? of.panel : of.panel * args.row.groups + group) * kLanes;
  const Vec scales = Weights::scales(args.scales, place);
  Vec shifts = scales;
  if constexpr (Weights::kHasZeros) shifts = set(8.0F) - load_bytes(args.zeros + place);
  const uint32_t* heads = of.heads + group * of.block_rows * 2;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    Ints sum = load_ints(sums.at[0] + r * 64);
    if constexpr (Parts > 1) sum = sum_of(times_256(sum), load_ints(sums.at[1] + r * 64));
    Vec whole = to_floats(sum);
    if constexpr (Weights::kHasZeros) {
      const auto away = static_cast<float>(static_cast<int32_t>(heads[2 * r + 1]));
      whole = fma(shifts, set(away * -0.125F), whole);
    }
    totals[r] = fma(scales * StepFloat32::input(heads + 2 * r), whole, totals[r]);
  }
}

// The next group is multiplied while the sums of one are scaled.
template <class Weights, int Parts, int Rows>
__attribute__((noinline)) void multiply_tile_groups(const LinearArgs& args, const TileGroups& of,
                                                    int32_t first_row, int32_t rows) {
  GroupSums sums[2] = {};
  Vec totals[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) totals[r] = zero();
  const int64_t groups = args.row.groups;
  add_tile_group<0, Parts>(of, 0);
  for (int64_t g = 0; g < groups; g += 2) {
    if (g + 1 < groups) add_tile_group<2, Parts>(of, g + 1);
    store_group<0, Parts>(sums[0]);
    add_scaled<Weights, Parts>(args, of, g, sums[0], totals);
    if (g + 1 == groups) break;
    if (g + 2 < groups) add_tile_group<0, Parts>(of, g + 2);
    store_group<2, Parts>(sums[1]);
    add_scaled<Weights, Parts>(args, of, g + 1, sums[1], totals);
  }
  Vec kept[Rows];  // a copy, so that the totals can stay in registers
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) kept[r] = totals[r];
  finish_tile(args, kept, {first_row, rows, static_cast<int32_t>(of.panel), 1});
}

template <class Weights, int Parts>
void tile_groups_product(const LinearArgs& args) {
  const int64_t panel_bytes = Weights::panel_bytes(args.row);
  const int64_t row_bytes = args.row.groups * args.row.group_words * 4;
  TileGroups of = {};
  of.w = static_cast<const unsigned char*>(args.unpacked);
  of.block_rows = block_rows_of(args);
  of.piece = piece_bytes(args.row);
  of.inputs = args.row.group_words * 4 / Parts;
  of.depth = Weights::kHasRowScales ? args.row.depth : args.row.groups * of.inputs;
  for (of.panel = args.first_panel; of.panel < args.last_panel; ++of.panel) {
    Weights::unpack(static_cast<const unsigned char*>(args.weight) + of.panel * panel_bytes,
                    panel_bytes, static_cast<unsigned char*>(args.unpacked));
    for (int32_t row = args.first_row; row < args.last_row; row += kTileHeight) {
      const int32_t left = args.last_row - row;
      const int32_t rows = left < kTileHeight ? left : kTileHeight;
      of.x = block_at(args, row);
      of.heads = reinterpret_cast<const uint32_t*>(of.x + row_bytes * of.block_rows);
      if (rows <= 4) {
        multiply_tile_groups<Weights, Parts, 4>(args, of, row, rows);
      } else if (rows <= 8) {
        multiply_tile_groups<Weights, Parts, 8>(args, of, row, rows);
      } else {
        multiply_tile_groups<Weights, Parts, 16>(args, of, row, rows);
      }
    }
  }
}

constexpr TileLinear kTilePairs = {1, 4, 2, 0, prepare_tile_pairs, tile_product<TilePairs>};
constexpr TileLinear kTileBytesByRow = {
    1, 4, 2, 0, prepare_tile_bytes<kByteOffset>, tile_product<TileBytes>};
template <bool HasZeros>
constexpr TileLinear kTileW4A8 = {
    1, 1, 1, 16, prepare_tile_bytes<8>, tile_groups_product<TileNibbles<HasZeros>, 1>};
template <bool HasZeros>
constexpr TileLinear kTileW4A16 = {
    1, 1, 1, 16, prepare_tile_split<8, true>, tile_groups_product<TileNibbles<HasZeros>, 2>};
constexpr TileLinear kTileW8A16 = {
    1, 1, 1, 16, prepare_tile_split<kByteOffset, false>, tile_groups_product<TileOutputs, 2>};

}  // namespace
}  // namespace ttsrt::cpu
