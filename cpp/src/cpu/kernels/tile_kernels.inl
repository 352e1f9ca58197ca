// Attention and peaks over tiles (tile_kernels.h). Tiles 0 to 3 are sums of 2 x 2 blocks, 4 and 5
// rows, 6 and 7 keys or values: a step loads four tiles and multiplies four times.

namespace ttsrt::cpu {
namespace {

// Sums of 32 rows by 32 outputs.
struct TileSums {
  alignas(64) float at[2][2][16][16];  // [rows / 16][outputs / 16]
};

void tile_round(const float* x, int64_t count, uint32_t* out) {
  auto* halves = reinterpret_cast<uint16_t*>(out);
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    store_halves(halves + i, rounded(read_floats(x + i, lanes)), lanes);
  }
}

void tile_store(const float* const* key_rows, const float* const* value_rows, int32_t count,
                unsigned char* keys, unsigned char* values, int32_t head_dim) {
  constexpr int32_t kMostWords = 64;          // of a piece of a key
  for (int32_t half = 0; half < 2; ++half) {  // 16 positions
    auto* to = reinterpret_cast<uint32_t*>(keys) + half * 8 * head_dim;
    for (int32_t begin = 0; begin < head_dim; begin += 2 * kMostWords) {
      const int32_t inputs = head_dim - begin < 2 * kMostWords ? head_dim - begin : 2 * kMostWords;
      uint32_t words[16][kMostWords];
      for (int32_t i = 0; i < 16; ++i) {
        const int32_t position = half * 16 + i;
        if (position < count) {
          tile_round(key_rows[position] + begin, inputs, words[i]);
        } else {
          memset(words[i], 0, sizeof(words[i]));
        }
      }
      for (int32_t w = 0; w < inputs / 2; ++w) {
        for (int32_t i = 0; i < 16; ++i) to[(begin / 2 + w) * 16 + i] = words[i][w];
      }
    }
  }
  for (int32_t pair = 0; pair < 16; ++pair) {
    for (int32_t d = 0; d < head_dim; d += 16) {
      const int32_t first = 2 * pair;
      const Halves even = first < count ? rounded(load(value_rows[first] + d)) : no_halves();
      const Halves odd = first + 1 < count ? rounded(load(value_rows[first + 1] + d)) : no_halves();
      store_paired(values + d / 16 * kTileBytes + pair * 64, even, odd);
    }
  }
}

// Where the parts of an attention's scratch begin, for so many positions, a multiple of 32. Rows
// are an odd number of cache lines apart, so that the rows of a tile lie in different sets of the
// cache.
struct AttendScratch {
  int64_t stride;     // positions from row to row
  uint32_t* queries;  // [32][head_dim / 2]
  float* scores;      // [32][stride]
  uint16_t* shares;   // [32][stride] probabilities, not divided by their sum
  float* inverse;     // [32] of the sums

  AttendScratch(const TileAttend& args, int64_t positions) : stride(positions + 32) {
    if (stride / 32 % 2 == 0) stride += 32;
    unsigned char* at = args.scratch;
    queries = reinterpret_cast<uint32_t*>(at);
    at += int64_t{kTileQueries} * args.head_dim * 2;
    scores = reinterpret_cast<float*>(at);
    at += kTileQueries * stride * 4;
    shares = reinterpret_cast<uint16_t*>(at);
    at += kTileQueries * stride * 2;
    inverse = reinterpret_cast<float*>(at);
  }
};

// Turns the scores of a row into shares in bfloat16; returns the inverse of their sum, which is NaN
// if a score is not finite. Shares behind the last position are zero.
inline float soften_row(const TileAttend& args, const float* scores, uint16_t* shares,
                        int64_t positions) {
  const int32_t length = args.length;
  const int32_t whole = length / kLanes * kLanes;
  Vec largest = set(-__builtin_inff());
  Vec poison = zero();
  for (int32_t j = 0; j < whole; j += kLanes) {
    const Vec score = load(scores + j);
    largest = larger(largest, score);
    poison = poisoned_by(score, poison);
  }
  if (whole < length) {
    const Vec score = load(scores + whole);
    largest = larger(largest, keep_first(score, length - whole, -__builtin_inff()));
    poison = poisoned_by(keep_first(score, length - whole, 0.0F), poison);
  }
  const Vec scale = set(args.scale * 1.44269504F);  // to powers of 2
  const Vec most = set(reduce_max(largest) * args.scale * -1.44269504F);
  Vec sum = zero();
  for (int32_t j = 0; j < positions; j += kLanes) {
    Vec share = zero();
    if (j < length) share = rough_power(fma(load(scores + j), scale, most));
    if (j + kLanes > length && j < length) share = keep_first(share, length - j, 0.0F);
    store_halves(shares + j, rounded(share), kLanes);
    sum = sum + load_bf16(shares + j);
  }
  return 1.0F / (reduce_add(sum) + reduce_add(poison));
}

// The scores of all rows: 16 or 32 queries by 32 positions at a time.
template <int RowTiles>
void score_tiles(const TileAttend& args, const AttendScratch& scratch, int64_t positions) {
  const auto* queries = reinterpret_cast<const unsigned char*>(scratch.queries);
  const int64_t query_bytes = int64_t{args.head_dim} * 2;
  const int64_t block_bytes = int64_t{args.head_dim} * 32;  // keys of 16 positions
  const int64_t row_bytes = scratch.stride * 4;
  const int32_t steps = args.head_dim / kTileInputs;
  for (int64_t j = 0; j < positions; j += 32) {
    const unsigned char* keys = args.keys + j / 16 * block_bytes;
    Tiles::zero<0>();
    Tiles::zero<1>();
    if constexpr (RowTiles > 1) Tiles::zero<2>();
    if constexpr (RowTiles > 1) Tiles::zero<3>();
    for (int32_t k = 0; k < steps; ++k) {
      Tiles::load<6>(keys + k * kTileBytes, 64);
      Tiles::load<7>(keys + block_bytes + k * kTileBytes, 64);
      Tiles::load<4>(queries + k * 64, query_bytes);
      Tiles::add_pairs<0, 4, 6>();
      Tiles::add_pairs<1, 4, 7>();
      if constexpr (RowTiles > 1) {
        Tiles::load<5>(queries + 16 * query_bytes + k * 64, query_bytes);
        Tiles::add_pairs<2, 5, 6>();
        Tiles::add_pairs<3, 5, 7>();
      }
    }
    float* scores = scratch.scores + j;
    Tiles::store<0>(scores, row_bytes);
    Tiles::store<1>(scores + 16, row_bytes);
    if constexpr (RowTiles > 1) Tiles::store<2>(scores + 16 * scratch.stride, row_bytes);
    if constexpr (RowTiles > 1) Tiles::store<3>(scores + 16 * scratch.stride + 16, row_bytes);
  }
}

// The mix of values of all rows, 32 dimensions at a time: steps of 32 positions.
template <int RowTiles>
void mix_tiles(const TileAttend& args, const AttendScratch& scratch, int64_t positions) {
  const auto* shares = reinterpret_cast<const unsigned char*>(scratch.shares);
  const int64_t row_bytes = scratch.stride * 2;
  const int64_t step_bytes = args.head_dim / 16 * kTileBytes;
  for (int32_t d = 0; d < args.head_dim; d += 32) {
    TileSums sums;
    Tiles::zero<0>();
    Tiles::zero<1>();
    if constexpr (RowTiles > 1) Tiles::zero<2>();
    if constexpr (RowTiles > 1) Tiles::zero<3>();
    const unsigned char* v = args.values + d / 16 * kTileBytes;
    for (int64_t j = 0; j < positions; j += 32) {
      Tiles::load<6>(v, 64);
      Tiles::load<7>(v + kTileBytes, 64);
      Tiles::load<4>(shares + j * 2, row_bytes);
      Tiles::add_pairs<0, 4, 6>();
      Tiles::add_pairs<1, 4, 7>();
      if constexpr (RowTiles > 1) {
        Tiles::load<5>(shares + 16 * row_bytes + j * 2, row_bytes);
        Tiles::add_pairs<2, 5, 6>();
        Tiles::add_pairs<3, 5, 7>();
      }
      v += step_bytes;
    }
    Tiles::store<0>(sums.at[0][0], 64);
    Tiles::store<1>(sums.at[0][1], 64);
    if constexpr (RowTiles > 1) Tiles::store<2>(sums.at[1][0], 64);
    if constexpr (RowTiles > 1) Tiles::store<3>(sums.at[1][1], 64);
    for (int32_t r = 0; r < args.rows; ++r) {
      const Vec inverse = set(scratch.inverse[r]);
      store(args.outs[r] + d, load(sums.at[r / 16][0][r % 16]) * inverse);
      store(args.outs[r] + d + 16, load(sums.at[r / 16][1][r % 16]) * inverse);
    }
  }
}

void tile_attend(const TileAttend& args) {
  const int64_t positions = (int64_t{args.length} + 31) / 32 * 32;
  const AttendScratch scratch(args, positions);
  for (int32_t r = 0; r < args.rows; ++r)
    tile_round(args.queries[r], args.head_dim, scratch.queries + r * (args.head_dim / 2));
  const bool is_short = args.rows <= 16;
  open_tiles();
  is_short ? score_tiles<1>(args, scratch, positions) : score_tiles<2>(args, scratch, positions);
  for (int32_t r = 0; r < args.rows; ++r)
    scratch.inverse[r] = soften_row(args, scratch.scores + r * scratch.stride,
                                    scratch.shares + r * scratch.stride, positions);
  is_short ? mix_tiles<1>(args, scratch, positions) : mix_tiles<2>(args, scratch, positions);
  Tiles::close();
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

constexpr TileKernels kTiles = {Tiles::kName,
                                {{},
                                 kTilePairs,
                                 {},
                                 kTileW8A16,
                                 kTileW4A16<false>,
                                 kTileBytesByRow,
                                 kTileW4A8<false>,
                                 kTileW4A16<true>,
                                 kTileW4A8<true>},
                                close_tiles,
                                tile_convolve,
                                tile_time_convolve,
                                tile_round,
                                tile_store,
                                tile_attend,
                                kTilePeaks};

}  // namespace
}  // namespace ttsrt::cpu
