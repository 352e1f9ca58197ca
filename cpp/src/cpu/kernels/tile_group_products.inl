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
template <int Sums, int A, int B, int Parts>
inline void add_tile_group(const TileGroups& of, int64_t group) {
  const int64_t first = group * of.inputs;
  const int64_t count = of.depth - first < of.inputs ? of.depth - first : of.inputs;
  const unsigned char* x = of.x + first * Parts * of.block_rows;
  const unsigned char* low = x + of.inputs * of.block_rows;
  const unsigned char* w = of.w + first * kLanes;
  Tiles::zero<Sums>();
  if constexpr (Parts > 1) Tiles::zero<Sums + 1>();
  for (int64_t at = 0; at < count; at += of.piece) {
    Tiles::load<B>(w + at * kLanes, 64);
    Tiles::load<A>(x + at * of.block_rows, of.piece);
    Tiles::add_signed_bytes<Sums, A, B>();
    if constexpr (Parts > 1) {
      Tiles::load<A + 1>(low + at * of.block_rows, of.piece);
      Tiles::add_signed_bytes<Sums + 1, A + 1, B>();
    }
  }
}

struct GroupSums {
  alignas(64) unsigned char at[2][kTileBytes];  // [parts]
};

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

// Groups take turns with four places for their sums: a group is multiplied, the sums of one before
// it are stored, and the sums of one before that are scaled, when their store is long done.
// Otherwise every group would wait for a load, a product, a store and a load again.
template <int Parts>
struct GroupTurns {
  static constexpr int kStored = Parts > 1 ? 1 : 2;  // turns after the products
  static constexpr int kScaled = kStored + 2;
};

template <int Turn, int Parts>
inline void multiply_in_turn(const TileGroups& of, int64_t group) {
  if constexpr (Parts > 1) {
    add_tile_group<Turn % 2 * 2, 4, 6 + Turn % 2, 2>(of, group);
  } else {
    add_tile_group<Turn, 4 + Turn % 2, 6 + Turn % 2, 1>(of, group);
  }
}
template <int Turn, int Parts>
inline void store_in_turn(GroupSums& sums) {
  constexpr int kSums = Parts > 1 ? Turn % 2 * 2 : Turn;
  Tiles::store<kSums>(sums.at[0], 64);
  if constexpr (Parts > 1) Tiles::store<kSums + 1>(sums.at[1], 64);
}

template <class Weights, int Parts, int Rows, int Turn>
inline void take_turn(const LinearArgs& args, const TileGroups& of, int64_t group,
                      GroupSums (&sums)[4], Vec (&totals)[Rows]) {
  using Turns = GroupTurns<Parts>;
  const int64_t groups = args.row.groups;
  const int64_t stored = group - Turns::kStored;
  const int64_t done = group - Turns::kScaled;
  if (group < groups) multiply_in_turn<Turn, Parts>(of, group);
  if (stored >= 0 && stored < groups) {
    constexpr int kTurn = (Turn + 4 - Turns::kStored) % 4;
    store_in_turn<kTurn, Parts>(sums[kTurn]);
  }
  if (done >= 0 && done < groups)
    add_scaled<Weights, Parts>(args, of, done, sums[(Turn + 4 - Turns::kScaled % 4) % 4], totals);
}

template <class Weights, int Parts, int Rows>
__attribute__((noinline)) void multiply_tile_groups(const LinearArgs& args, const TileGroups& of,
                                                    int32_t first_row, int32_t rows) {
  GroupSums sums[4] = {};
  Vec totals[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) totals[r] = zero();
  const int64_t end = args.row.groups + GroupTurns<Parts>::kScaled;
  for (int64_t group = 0; group < end; group += 4) {
    take_turn<Weights, Parts, Rows, 0>(args, of, group, sums, totals);
    take_turn<Weights, Parts, Rows, 1>(args, of, group + 1, sums, totals);
    take_turn<Weights, Parts, Rows, 2>(args, of, group + 2, sums, totals);
    take_turn<Weights, Parts, Rows, 3>(args, of, group + 3, sums, totals);
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

// With few rows, unpacking is most of the work of a panel in groups.
constexpr int32_t kFewestBytes = 8;
constexpr int32_t kFewestGroups = 12;

constexpr TileLinear kTilePairs = {
    1, kFewPanels, kManyPanels, 0, open_product, prepare_tile_pairs, tile_product<TilePairs>};
constexpr TileLinear kTileBytesByRow = {kFewestBytes,
                                        kFewPanels,
                                        kManyPanels,
                                        0,
                                        open_product,
                                        prepare_tile_bytes<kByteOffset>,
                                        tile_product<TileBytes>};
template <bool HasZeros>
constexpr TileLinear kTileW4A8 = {kFewestGroups,
                                  1,
                                  1,
                                  16,
                                  open_groups,
                                  prepare_tile_bytes<8>,
                                  tile_groups_product<TileNibbles<HasZeros>, 1>};
template <bool HasZeros>
constexpr TileLinear kTileW4A16 = {kFewestGroups,
                                   1,
                                   1,
                                   16,
                                   open_groups,
                                   prepare_tile_split<8, true>,
                                   tile_groups_product<TileNibbles<HasZeros>, 2>};
constexpr TileLinear kTileW8A16 = {kFewestGroups,
                                   1,
                                   1,
                                   16,
                                   open_groups,
                                   prepare_tile_split<kByteOffset, false>,
                                   tile_groups_product<TileOutputs, 2>};

}  // namespace
}  // namespace ttsrt::cpu
