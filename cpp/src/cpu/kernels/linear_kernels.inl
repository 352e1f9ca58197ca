// Matrix products over panel16 weights: float32, bfloat16 (inputs rounded to bfloat16, exact
// products, float32 sums), float16 (widened to float32).
//
// Every output is one chain of fused multiply-adds over K for any number of rows, so its bits
// depend only on its row and its weights. With few rows, several panels in flight hide the latency
// of the chain while the weights are read once. With many rows, register tiles run over blocks of
// rows that stay in the L2 cache.

namespace ttsrt::cpu {
namespace {

// One step over K for 16 outputs: it loads a weight vector and kInputWords words of an input, which
// are `apart` words from each other, and adds their product to the sums.
struct StepFloat32 {
  static constexpr int64_t kBytes = 64;
  static constexpr int kInputWords = 1;
  static Vec weight(const unsigned char* p) { return load(reinterpret_cast<const float*>(p)); }
  static Vec input(const uint32_t* p, int64_t = 0) {
    float x;
    memcpy(&x, p, sizeof(x));
    return set(x);
  }
  static Vec add(Vec w, Vec x, Vec sum) { return fma(w, x, sum); }
};

struct StepBfloat16 {
  static constexpr int64_t kBytes = 64;
  static constexpr int kInputWords = kPairWords;
  static Bf16Pairs weight(const unsigned char* p) { return load_pairs(p); }
  static Bf16Pairs input(const uint32_t* p, int64_t apart) { return set_pair(p, apart); }
  static Vec add(const Bf16Pairs& w, const Bf16Pairs& x, Vec sum) { return dot_pairs(w, x, sum); }
};

struct StepFloat16 {
  static constexpr int64_t kBytes = 32;
  static constexpr int kInputWords = 1;
  static Vec weight(const unsigned char* p) {
    return load_f16(reinterpret_cast<const uint16_t*>(p));
  }
  static Vec input(const uint32_t* p, int64_t = 0) { return StepFloat32::input(p); }
  static Vec add(Vec w, Vec x, Vec sum) { return fma(w, x, sum); }
};

// On instruction sets with few load ports, tiles of more than 4 rows prefetch panels only in the
// last tile of a product of at most this many rows.
constexpr int32_t kMaxPrefetchRows = 32;

inline void finish(const LinearArgs& args, Vec value, int32_t row, int32_t panel) {
  const int32_t first = panel * kLanes;
  const int32_t lanes = lanes_left(args.outputs, first);
  float* out = args.out + row * args.out_stride + first;
  if (args.bias != nullptr) value = value + read_floats(args.bias + first, lanes);
  value = activated(args.activation, value);
  if (args.factors != nullptr)
    value = value * read_floats(args.factors[row] + args.first_factor + first, lanes);
  if (args.addend != nullptr)
    value = read_floats(args.addend + row * args.addend_stride + first, lanes) + value;
  if (args.accumulate) value = read_floats(out, lanes) + value;
  write_floats(out, value, lanes);
}

// Returns the prefetch distance: the bytes from a step of `Panels` panels to the same step of the
// panels after them, or 0 if this thread has no more panels. Panels are short streams that the
// hardware prefetcher detects late, and narrow weights are used up faster than it learns (one EPYC
// core, 2 rows, K 768: w4a16 11 to 17 GB/s, w8a16 13 to 18 with prefetch). It follows long panels
// by itself, and they would not fit in the L2 cache.
template <int Panels>
inline int64_t bytes_ahead(const LinearArgs& args, int32_t panel, int64_t panel_bytes) {
  const int64_t bytes = Panels * panel_bytes;
  return panel + 2 * Panels <= args.near_panels && bytes <= 256 * 1024 ? bytes : 0;
}

// Multiplies `Rows` rows from `first_row` on by `Panels` panels from `panel` on, whose weights
// begin at `w`. x: [words][Rows].
template <class Step, int Rows, int Panels, bool Prefetches>
void multiply_tile(const LinearArgs& args, const unsigned char* w, const uint32_t* x,
                   int32_t first_row, int32_t panel) {
  const int64_t steps = args.row.words / Step::kInputWords;
  const int64_t panel_bytes = steps * Step::kBytes;
  const int64_t ahead = bytes_ahead<Panels>(args, panel, panel_bytes);
  Vec sums[Rows][Panels];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) sums[r][p] = zero();
  }
  for (int64_t k = 0; k < steps; ++k) {
    decltype(Step::weight(w)) weights[Panels];
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      const unsigned char* at = w + p * panel_bytes + k * Step::kBytes;
      if constexpr (Prefetches) prefetch_far(at + ahead);
      weights[p] = Step::weight(at);
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const auto input = Step::input(x + k * Step::kInputWords * Rows + r, Rows);
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) sums[r][p] = Step::add(weights[p], input, sums[r][p]);
    }
  }
  const int32_t rows = args.rows - first_row;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      if (r < rows) finish(args, sums[r][p], first_row + r, panel + p);
    }
  }
}

// Products of float weights. Every Product has panel_bytes and multiply<Rows, Panels, Prefetches>,
// where Prefetches says whether to prefetch panels. If kUnpacks is true, it also has `unpack` and
// `Unpacked`, which unpack panels for many rows.
template <class Step>
struct Chain {
  static constexpr bool kUnpacks = false;
  static int64_t panel_bytes(const RowShape& row) {
    return row.words / Step::kInputWords * Step::kBytes;
  }
  template <int Rows, int Panels, bool Prefetches>
  static void multiply(const LinearArgs& args, const unsigned char* w, const uint32_t* x,
                       int32_t first_row, int32_t panel) {
    multiply_tile<Step, Rows, Panels, Prefetches>(args, w, x, first_row, panel);
  }
};

template <class Product, int Rows>
void multiply_panels(const LinearArgs& args, const unsigned char* w, const uint32_t* x,
                     int32_t first_row, int32_t panel, int32_t count) {
  constexpr int kPanels = panels_in_flight(Rows);
  constexpr bool kPrefetches = kAlwaysPrefetches || Rows <= 4;
  if constexpr (kPanels > 3) {  // for the last rows of a block whose tiles have 3 panels
    if (count == 3)
      return Product::template multiply<Rows, 3, kPrefetches>(args, w, x, first_row, panel);
  }
  if constexpr (kPanels > 2) {
    if (count == 2)
      return Product::template multiply<Rows, 2, kPrefetches>(args, w, x, first_row, panel);
  }
  if constexpr (kPanels > 1) {
    if (count == 1)
      return Product::template multiply<Rows, 1, kPrefetches>(args, w, x, first_row, panel);
  }
  if constexpr (!kPrefetches) {
    const bool is_last_of_few = first_row + Rows >= args.rows && args.rows <= kMaxPrefetchRows;
    if (is_last_of_few)
      return Product::template multiply<Rows, kPanels, true>(args, w, x, first_row, panel);
  }
  Product::template multiply<Rows, kPanels, kPrefetches>(args, w, x, first_row, panel);
}

// Multiplies a tile of `tile` rows by `count` panels, at most as many as the block's first tile has
// in flight.
template <class Product>
void multiply_rows(const LinearArgs& args, int32_t tile, const unsigned char* w, const uint32_t* x,
                   int32_t first_row, int32_t panel, int32_t count) {
  if constexpr (kWideRows >= 16) {
    if (tile == 16) return multiply_panels<Product, 16>(args, w, x, first_row, panel, count);
  }
  if constexpr (kTileRows >= 12) {
    if (tile == 12) return multiply_panels<Product, 12>(args, w, x, first_row, panel, count);
  }
  if constexpr (kTileRows >= 8) {
    if (tile == 8) return multiply_panels<Product, 8>(args, w, x, first_row, panel, count);
  }
  if constexpr (kTileRows >= 4) {
    if (tile == 4) return multiply_panels<Product, 4>(args, w, x, first_row, panel, count);
  }
  if (tile == 2) return multiply_panels<Product, 2>(args, w, x, first_row, panel, count);
  multiply_panels<Product, 1>(args, w, x, first_row, panel, count);
}

// Returns the rows of the next tile, when `rows` of `all` rows are left. A single tile may be wider
// than others, so that all rows use the weights in one pass: with two tiles, the second one reads
// them from the L2 cache while the memory is idle (16 rows of bfloat16, K 768, two Zen 4 cores: 230
// GFLOP/s with two tiles, 370 with one).
inline int32_t tile_for(int32_t rows, int32_t all) {
  if (all > kTileRows && all <= kWideRows) return kWideRows;
  if (rows >= kTileRows) return kTileRows;
  return rows <= 2 ? rows : rows <= 4 ? 4 : rows <= 8 ? 8 : 12;
}

int32_t tile_of(int32_t rows) { return tile_for(rows, rows); }

int32_t panels_for(int32_t rows) { return panels_in_flight(tile_of(rows)); }

// Returns the rows whose packed inputs fit in the L2 cache together with a few panels, at least
// four tiles.
int32_t block_rows(int64_t words) {
  const int64_t fitting = 384 * 1024 / (words * 4) / kTileRows;
  return kTileRows * static_cast<int32_t>(fitting < 4 ? 4 : fitting > 16 ? 16 : fitting);
}

// Returns the bytes for the panels in flight of a full tile, each [inputs / 2][16] bfloat16 pairs.
int64_t unpacked_bytes(int64_t inputs) { return panels_in_flight(kTileRows) * inputs * 32; }

// Multiplies rows first_row..last_row-1 by `count` panels whose weights begin at `w`.
template <class Product>
void multiply_tiles(const LinearArgs& args, const unsigned char* w, int32_t panel, int32_t count) {
  for (int32_t row = args.first_row; row < args.last_row;) {
    const int32_t tile = tile_for(args.last_row - row, args.rows);
    multiply_rows<Product>(args, tile, w, args.packed + row * args.row.words, row, panel, count);
    row += tile;
  }
}

template <class Product>
void product_kernel(const LinearArgs& args) {
  const int32_t rows = args.last_row - args.first_row;
  const int32_t group = panels_in_flight(tile_for(rows, args.rows));
  const int64_t panel_bytes = Product::panel_bytes(args.row);
  for (int32_t panel = args.first_panel; panel < args.last_panel; panel += group) {
    const int32_t count = args.last_panel - panel < group ? args.last_panel - panel : group;
    const unsigned char* w = static_cast<const unsigned char*>(args.weight) + panel * panel_bytes;
    if constexpr (Product::kUnpacks) {
      if (args.unpacked != nullptr && rows > 2 * kTileRows) {
        Product::unpack(args.row, w, count, args.unpacked);
        LinearArgs unpacked = args;
        unpacked.near_panels = panel;  // do not prefetch past the scratch
        multiply_tiles<typename Product::Unpacked>(
            unpacked, static_cast<const unsigned char*>(args.unpacked), panel, count);
        continue;
      }
    }
    multiply_tiles<Product>(args, w, panel, count);
  }
}

// Packs x [depth] as floats; words beyond depth are zero.
void prepare_floats(const float* x, const RowShape& shape, uint32_t* out) {
  memcpy(out, x, static_cast<size_t>(shape.depth) * sizeof(float));
  for (int64_t i = shape.depth; i < shape.words; ++i) out[i] = 0;
}

// Packs x [depth] rounded to bfloat16, as floats or as pairs with the lower index in the lower
// half.
void prepare_pairs(const float* x, const RowShape& shape, uint32_t* out) {
  if constexpr (kPairWords == 2) {
    for (int64_t i = 0; i < shape.depth; ++i)
      out[i] = uint32_t{Stored<Element::bfloat16>::round(x[i])} << 16;
    for (int64_t i = shape.depth; i < shape.words; ++i) out[i] = 0;
    return;
  }
  auto* halves = reinterpret_cast<uint16_t*>(out);  // little-endian, like the weights
  for (int64_t i = 0; i < shape.depth; ++i) halves[i] = Stored<Element::bfloat16>::round(x[i]);
  for (int64_t i = shape.depth; i < 2 * shape.words; ++i) halves[i] = 0;
}

template <int Tile>
void interleave_tile(const uint32_t* const* from, int64_t words, uint32_t* out) {
  constexpr int64_t kStep = 16;  // one cache line of each row at a time
  int64_t k = 0;
  for (; k + kStep <= words; k += kStep) {
    uint32_t lines[Tile][kStep];
    for (int r = 0; r < Tile; ++r) memcpy(lines[r], from[r] + k, sizeof(lines[r]));
    for (int64_t i = 0; i < kStep; ++i) {
      for (int r = 0; r < Tile; ++r) out[(k + i) * Tile + r] = lines[r][i];
    }
  }
  for (; k < words; ++k) {
    for (int r = 0; r < Tile; ++r) out[k * Tile + r] = from[r][k];
  }
}

// Rows beyond `rows` copy the first one; they only fill the tile, and their outputs are discarded.
void interleave_kernel(const uint32_t* rows_of_words, int32_t rows, int32_t tile, int64_t words,
                       uint32_t* out) {
  const uint32_t* from[kWideRows > 4 ? kWideRows : 4];
  for (int32_t r = 0; r < tile; ++r) from[r] = rows_of_words + (r < rows ? r * words : 0);
  if (tile == 16) return interleave_tile<16>(from, words, out);
  if (tile == 12) return interleave_tile<12>(from, words, out);
  if (tile == 8) return interleave_tile<8>(from, words, out);
  if (tile == 4) return interleave_tile<4>(from, words, out);
  if (tile == 2) return interleave_tile<2>(from, words, out);
  memcpy(out, from[0], static_cast<size_t>(words) * sizeof(uint32_t));
}

}  // namespace
}  // namespace ttsrt::cpu
