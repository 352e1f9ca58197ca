// Attention over tiles of bfloat16 (tile_kernels.h). Tiles 0 to 3 are sums of 2 x 2 blocks, 4 and 5
// rows, 6 and 7 keys or values.
//
// With two parts, a query or a share is the sum of two bfloat16, which are both multiplied by the
// same keys or values; the sum is within 2^-17 of the float32.

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

// Copies keys of 16 positions, the first `count` of which are there: none, if it is not positive.
inline void gather_keys(const unsigned char* block, int32_t count, int32_t head_dim,
                        unsigned char* to) {
  if (count <= 0) {
    memset(to, 0, static_cast<size_t>(head_dim) * kLanes * 2);
    return;
  }
  for (int32_t d = 0; d < head_dim; d += 2) {
    const unsigned char* at = block + int64_t{d} * kLanes * 2;
    store_paired(to + int64_t{d} * kLanes * 2, load_halves(at, count),
                 load_halves(at + kLanes * 2, count));
  }
}

// 16 values of a position, or zeros if one of them is not finite.
inline Halves finite_halves(const unsigned char* at, bool& is_finite) {
  const Vec x = load_bf16(reinterpret_cast<const uint16_t*>(at));
  if (is_pure(poisoned_by(x, zero()))) return load_halves(at, kLanes);
  is_finite = false;
  return no_halves();
}

int32_t tile_gather(const TileCached& args) {
  const int32_t head_dim = args.head_dim;
  for (int32_t half = 0; half < 2; ++half) {
    const int32_t left = args.count - half * kLanes;
    gather_keys(args.blocks[half], left < kLanes ? left : kLanes, head_dim,
                args.keys + int64_t{half} * kLanes * head_dim * 2);
  }
  int32_t finite = args.count;
  for (int32_t position = 0; position < kTileInputs; position += 2) {
    const unsigned char* rows[2];
    for (int32_t i = 0; i < 2; ++i) {
      const int32_t at = position + i;
      rows[i] = at < args.count ? args.blocks[at / kLanes] + args.value_offset +
                                      int64_t{at % kLanes} * head_dim * 2
                                : nullptr;
    }
    for (int32_t d = 0; d < head_dim; d += kLanes) {
      bool is_finite[2] = {true, true};
      Halves halves[2] = {no_halves(), no_halves()};
      for (int32_t i = 0; i < 2; ++i) {
        if (rows[i] != nullptr) halves[i] = finite_halves(rows[i] + d * 2, is_finite[i]);
        if (!is_finite[i] && position + i < finite) finite = position + i;
      }
      store_paired(args.values + d / 16 * kTileBytes + position / 2 * 64, halves[0], halves[1]);
    }
  }
  return finite;
}

// Where the parts of an attention's scratch begin, for so many positions, a multiple of 32. The
// stride is an odd multiple of 32 positions, so rows of shares are an odd number of cache lines
// apart, rows of scores twice that, and the rows of a tile lie in different sets of the cache.
struct AttendScratch {
  int64_t stride;     // positions from row to row
  uint32_t* queries;  // [parts][32][head_dim / 2]
  float* scores;      // [32][stride]
  uint16_t* shares;   // [parts][32][stride] probabilities, not divided by their sum
  float* inverse;     // [32] of the sums

  AttendScratch(const TileAttend& args, int64_t positions) : stride(positions + 32) {
    if (stride / 32 % 2 == 0) stride += 32;
    unsigned char* at = args.scratch;
    queries = reinterpret_cast<uint32_t*>(at);
    at += int64_t{kTileQueries} * args.parts * args.head_dim * 2;
    scores = reinterpret_cast<float*>(at);
    at += kTileQueries * stride * 4;
    shares = reinterpret_cast<uint16_t*>(at);
    at += kTileQueries * args.parts * stride * 2;
    inverse = reinterpret_cast<float*>(at);
  }
};

// Rounds 16 values to one or two bfloat16 each, `apart` from each other; returns what they add up
// to.
template <int Parts>
inline Vec store_parts(uint16_t* to, int64_t apart, Vec x) {
  store_halves(to, rounded(x), kLanes);
  const Vec high = load_bf16(to);
  if constexpr (Parts == 1) return high;
  store_halves(to + apart, rounded(x - high), kLanes);
  return high + load_bf16(to + apart);
}

// Turns the scores of a row into shares in bfloat16; returns the inverse of their sum, which is NaN
// if a score is not finite. Shares behind the last position are zero.
template <int Parts>
inline float soften_row(const TileAttend& args, int32_t length, const float* scores,
                        uint16_t* shares, int64_t apart, int64_t positions) {
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
  constexpr float kBase = Parts == 1 ? 1.44269504F : 1.0F;  // to powers of 2, or of e
  const Vec scale = set(args.scale * kBase);
  const Vec most = set(reduce_max(largest) * args.scale * -kBase);
  Vec sum = zero();
  for (int32_t j = 0; j < positions; j += kLanes) {
    Vec share = zero();
    if (j < length) {
      const Vec power = fma(load(scores + j), scale, most);
      share = Parts == 1 ? rough_power(power) : exp_of(power);
    }
    if (j + kLanes > length && j < length) share = keep_first(share, length - j, 0.0F);
    sum = sum + store_parts<Parts>(shares + j, apart, share);
  }
  return 1.0F / (reduce_add(sum) + reduce_add(poison));
}

// Adds the products of 16 or 32 rows, of each of their parts, by what tiles 6 and 7 hold.
template <int RowTiles, int Parts>
inline void add_rows(const unsigned char* rows, int64_t row_bytes, int64_t part_bytes) {
#pragma GCC unroll 2
  for (int part = 0; part < Parts; ++part) {
    Tiles::load<4>(rows + part * part_bytes, row_bytes);
    if constexpr (RowTiles > 1)
      Tiles::load<5>(rows + part * part_bytes + 16 * row_bytes, row_bytes);
    Tiles::add_pairs<0, 4, 6>();
    Tiles::add_pairs<1, 4, 7>();
    if constexpr (RowTiles > 1) Tiles::add_pairs<2, 5, 6>();
    if constexpr (RowTiles > 1) Tiles::add_pairs<3, 5, 7>();
  }
}

template <int RowTiles>
inline void zero_sums() {
  Tiles::zero<0>();
  Tiles::zero<1>();
  if constexpr (RowTiles > 1) Tiles::zero<2>();
  if constexpr (RowTiles > 1) Tiles::zero<3>();
}

// The scores of all rows: 16 or 32 queries by 32 positions at a time.
template <int RowTiles, int Parts>
void score_tiles(const TileAttend& args, const AttendScratch& scratch, int64_t positions) {
  const auto* queries = reinterpret_cast<const unsigned char*>(scratch.queries);
  const int64_t query_bytes = int64_t{args.head_dim} * 2;
  const int64_t block_bytes = int64_t{args.head_dim} * 32;  // keys of 16 positions
  const int64_t row_bytes = scratch.stride * 4;
  const int32_t steps = args.head_dim / kTileInputs;
  for (int64_t j = 0; j < positions; j += 32) {
    const unsigned char* keys = args.keys + j / 16 * block_bytes;
    zero_sums<RowTiles>();
    for (int32_t k = 0; k < steps; ++k) {
      Tiles::load<6>(keys + k * kTileBytes, 64);
      Tiles::load<7>(keys + block_bytes + k * kTileBytes, 64);
      add_rows<RowTiles, Parts>(queries + k * 64, query_bytes, kTileQueries * query_bytes);
    }
    float* scores = scratch.scores + j;
    Tiles::store<0>(scores, row_bytes);
    Tiles::store<1>(scores + 16, row_bytes);
    if constexpr (RowTiles > 1) Tiles::store<2>(scores + 16 * scratch.stride, row_bytes);
    if constexpr (RowTiles > 1) Tiles::store<3>(scores + 16 * scratch.stride + 16, row_bytes);
  }
}

// The mix of values of all rows, 32 dimensions at a time: steps of 32 positions.
template <int RowTiles, int Parts>
void mix_tiles(const TileAttend& args, const AttendScratch& scratch, int64_t positions) {
  const auto* shares = reinterpret_cast<const unsigned char*>(scratch.shares);
  const int64_t row_bytes = scratch.stride * 2;
  const int64_t step_bytes = args.head_dim / 16 * kTileBytes;
  for (int32_t d = 0; d < args.head_dim; d += 32) {
    TileSums sums;
    zero_sums<RowTiles>();
    const unsigned char* v = args.values + d / 16 * kTileBytes;
    for (int64_t j = 0; j < positions; j += 32) {
      Tiles::load<6>(v, 64);
      Tiles::load<7>(v + kTileBytes, 64);
      add_rows<RowTiles, Parts>(shares + j * 2, row_bytes, kTileQueries * row_bytes);
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

template <int RowTiles, int Parts>
void attend_in_tiles(const TileAttend& args) {
  const int64_t positions = (int64_t{args.length} + 31) / 32 * 32;
  const AttendScratch scratch(args, positions);
  auto* queries = reinterpret_cast<uint16_t*>(scratch.queries);
  for (int32_t r = 0; r < args.rows; ++r) {
    for (int32_t d = 0; d < args.head_dim; d += kLanes)
      store_parts<Parts>(queries + r * args.head_dim + d, int64_t{kTileQueries} * args.head_dim,
                         load(args.queries[r] + d));
  }
  open_tiles(RowTiles == 1 ? args.rows : kTileHeight);
  score_tiles<RowTiles, Parts>(args, scratch, positions);
  for (int32_t r = 0; r < args.rows; ++r) {
    const int32_t length = args.lengths != nullptr ? args.lengths[r] : args.length;
    const float inverse = soften_row<Parts>(args, length, scratch.scores + r * scratch.stride,
                                            scratch.shares + r * scratch.stride,
                                            kTileQueries * scratch.stride, positions);
    scratch.inverse[r] = length > args.finite ? __builtin_nanf("") : inverse;
  }
  mix_tiles<RowTiles, Parts>(args, scratch, positions);
  Tiles::close();
}

void tile_attend(const TileAttend& args) {
  const bool is_short = args.rows <= 16;
  if (args.parts > 1) {
    is_short ? attend_in_tiles<1, 2>(args) : attend_in_tiles<2, 2>(args);
  } else {
    is_short ? attend_in_tiles<1, 1>(args) : attend_in_tiles<2, 1>(args);
  }
}

}  // namespace
}  // namespace ttsrt::cpu
