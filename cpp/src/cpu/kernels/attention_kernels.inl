// Attention of one query head over cached keys and values in blocks of 16 positions.
//
// Keys are transposed inside a block, so that the scores of 16 positions are one vector. The order
// over positions is fixed: scores by block, one maximum, then values in the order of positions; it
// does not depend on other rows, nor on what an earlier request left behind the last position. The
// scales of int8 elements multiply the scores and a copy of each weight, so that sums run over
// integers and the returned weights stay probabilities.

namespace ttsrt::cpu {
namespace {

template <Element E>
const typename Stored<E>::Type* block_of(const AttendArgs& args, int32_t block) {
  const int64_t at = args.blocks == nullptr ? block : args.blocks[block];
  return reinterpret_cast<const typename Stored<E>::Type*>(args.cache + at * args.block_bytes);
}

// Returns the scales of a block's 16 keys or 16 values, which follow them.
inline const float* scales_of(const int8_t* elements, int32_t head_dim) {
  return reinterpret_cast<const float*>(elements + static_cast<int64_t>(head_dim) * kLanes);
}

// Computes the raw scores of `Count` blocks at once, to hide the latency of each chain. It
// prefetches the values of these blocks and the next keys, because blocks are scattered in memory
// and the hardware prefetcher cannot predict them.
template <Element E, int Count>
void score_blocks(const AttendArgs& args, int32_t first, int32_t blocks) {
  const typename Stored<E>::Type* keys[Count];
  const typename Stored<E>::Type* next[Count];
  Vec sums[Count];
  for (int b = 0; b < Count; ++b) {
    keys[b] = block_of<E>(args, first + b);
    next[b] = block_of<E>(args, first + Count + b < blocks ? first + Count + b : blocks - 1);
    sums[b] = zero();
  }
  for (int32_t d = 0; d < args.head_dim; ++d) {
    const Vec q = set(args.query[d]);
    for (int b = 0; b < Count; ++b) {
      const auto* key = keys[b] + d * kLanes;
      if constexpr (Count > 1) {
        prefetch_far(reinterpret_cast<const unsigned char*>(key) + args.value_offset);
        prefetch_far(next[b] + d * kLanes);
      }
      sums[b] = fma(q, Stored<E>::read(key), sums[b]);
    }
  }
  for (int b = 0; b < Count; ++b) {
    Vec scores = sums[b] * set(args.scale);
    if constexpr (E == Element::int8) scores = scores * load(scales_of(keys[b], args.head_dim));
    store(args.weights + (first + b) * kLanes, scores);
  }
}

// Converts scores to unnormalised probabilities, after adding the prior; returns their sum, which
// is NaN if a score is not finite. Neither the maximum nor exp_of would notice that.
inline float soften(const AttendArgs& args, int32_t blocks) {
  for (int32_t b = 0; b < blocks && args.prior != nullptr; ++b) {
    const Vec prior = read_floats(args.prior + b * kLanes, lanes_left(args.length, b * kLanes));
    store(args.weights + b * kLanes, load(args.weights + b * kLanes) + prior);
  }
  float* last = args.weights + (blocks - 1) * kLanes;
  const int32_t left = args.length - (blocks - 1) * kLanes;
  Vec poison = poisoned_by(read_floats(last, left), zero());
  Vec largest = keep_first(load(last), left, -__builtin_inff());
  store(last, largest);
  for (int32_t b = 0; b + 1 < blocks; ++b) {
    const Vec scores = load(args.weights + b * kLanes);
    largest = larger(largest, scores);
    poison = poisoned_by(scores, poison);
  }
  largest = set(reduce_max(largest));
  Vec sum = zero();
  for (int32_t b = 0; b < blocks; ++b) {
    const Vec weight = exp_of(load(args.weights + b * kLanes) - largest);
    store(args.weights + b * kLanes, weight);
    sum = sum + weight;
  }
  return reduce_add(sum + poison);
}

// Computes the weighted sums of `Count` vectors of values from dimension `first` on; a single
// vector may be partial.
template <Element E, int Count>
void gather_values(const AttendArgs& args, int32_t first, float inverse) {
  Vec sums[Count];
  for (int i = 0; i < Count; ++i) sums[i] = zero();
  for (int32_t begin = 0; begin < args.length; begin += kLanes) {
    const int32_t rows = lanes_left(args.length, begin);
    const auto* values = reinterpret_cast<const typename Stored<E>::Type*>(
        reinterpret_cast<const unsigned char*>(block_of<E>(args, begin / kLanes)) +
        args.value_offset);
    for (int32_t j = 0; j < rows; ++j) {
      float share = args.weights[begin + j];
      if constexpr (E == Element::int8) share *= scales_of(values, args.head_dim)[j];
      const Vec weight = set(share);
      const auto* row = values + j * args.head_dim + first;
      for (int i = 0; i < Count; ++i) {
        const int32_t lanes = Count > 1 ? kLanes : lanes_left(args.head_dim, first);
        sums[i] = fma(weight, read_partial<E>(row + i * kLanes, lanes), sums[i]);
      }
    }
  }
  for (int i = 0; i < Count; ++i) {
    const int32_t at = first + i * kLanes;
    write_floats(args.out + at, sums[i] * set(inverse), lanes_left(args.head_dim, at));
  }
}

template <Element E>
void score_kernel(const AttendArgs& args) {
  const int32_t blocks = (args.length + kLanes - 1) / kLanes;
  int32_t b = 0;
  for (; b + 4 <= blocks; b += 4) score_blocks<E, 4>(args, b, blocks);
  for (; b < blocks; ++b) score_blocks<E, 1>(args, b, blocks);
}

template <Element E>
float attend_kernel(const AttendArgs& args) {
  const int32_t blocks = (args.length + kLanes - 1) / kLanes;
  score_kernel<E>(args);
  const float inverse = 1.0F / soften(args, blocks);
  int32_t first = 0;
  for (; args.head_dim - first >= 4 * kLanes; first += 4 * kLanes)
    gather_values<E, 4>(args, first, inverse);
  for (; first < args.head_dim; first += kLanes) gather_values<E, 1>(args, first, inverse);
  return inverse;
}

// Computes the raw scores of `Count` blocks for kQueryRows queries, in the order of score_blocks.
template <Element E, int Count>
void score_rows(const AttendArgs* rows, int32_t first) {
  const typename Stored<E>::Type* keys[Count];
  Vec sums[kQueryRows][Count];
#pragma GCC unroll 4
  for (int b = 0; b < Count; ++b) {
    keys[b] = block_of<E>(rows[0], first + b);
#pragma GCC unroll 4
    for (int r = 0; r < kQueryRows; ++r) sums[r][b] = zero();
  }
  for (int32_t d = 0; d < rows[0].head_dim; ++d) {
    Vec key[Count];
#pragma GCC unroll 4
    for (int b = 0; b < Count; ++b) key[b] = Stored<E>::read(keys[b] + d * kLanes);
#pragma GCC unroll 4
    for (int r = 0; r < kQueryRows; ++r) {
      const Vec q = set(rows[r].query[d]);
#pragma GCC unroll 4
      for (int b = 0; b < Count; ++b) sums[r][b] = fma(q, key[b], sums[r][b]);
    }
  }
  for (int r = 0; r < kQueryRows; ++r) {
    for (int b = 0; b < Count; ++b) {
      Vec scores = sums[r][b] * set(rows[r].scale);
      if constexpr (E == Element::int8)
        scores = scores * load(scales_of(keys[b], rows[r].head_dim));
      store(rows[r].weights + (first + b) * kLanes, scores);
    }
  }
}

// Does gather_values for kQueryRows queries; each query sums only the positions below its length.
// Only a vector that is not whole may be partial.
template <Element E, int Count, bool IsWhole>
void gather_rows(const AttendArgs* rows, int32_t first, const float* inverse) {
  const int32_t head_dim = rows[0].head_dim;
  const int32_t lanes = IsWhole ? kLanes : lanes_left(head_dim, first);
  int32_t longest = 0;
  for (int r = 0; r < kQueryRows; ++r)
    longest = rows[r].length > longest ? rows[r].length : longest;
  int32_t common = longest;
  for (int r = 0; r < kQueryRows; ++r) common = rows[r].length < common ? rows[r].length : common;
  Vec sums[kQueryRows][Count];
#pragma GCC unroll 4
  for (int r = 0; r < kQueryRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < Count; ++i) sums[r][i] = zero();
  }
  for (int32_t begin = 0; begin < longest; begin += kLanes) {
    const int32_t positions = lanes_left(longest, begin);
    const bool is_for_all = begin + positions <= common;
    const auto* values = reinterpret_cast<const typename Stored<E>::Type*>(
        reinterpret_cast<const unsigned char*>(block_of<E>(rows[0], begin / kLanes)) +
        rows[0].value_offset);
    for (int32_t j = 0; j < positions; ++j) {
      const auto* row = values + j * head_dim + first;
      Vec value[Count];
#pragma GCC unroll 4
      for (int i = 0; i < Count; ++i) value[i] = read_partial<E>(row + i * kLanes, lanes);
#pragma GCC unroll 4
      for (int r = 0; r < kQueryRows; ++r) {
        float share = rows[r].weights[begin + j];
        if constexpr (E == Element::int8) share *= scales_of(values, head_dim)[j];
        const Vec weight = set(share);
        if (is_for_all || begin + j < rows[r].length) {
#pragma GCC unroll 4
          for (int i = 0; i < Count; ++i) sums[r][i] = fma(weight, value[i], sums[r][i]);
        }
      }
    }
  }
  for (int r = 0; r < kQueryRows; ++r) {
    for (int i = 0; i < Count; ++i) {
      const int32_t at = first + i * kLanes;
      write_floats(rows[r].out + at, sums[r][i] * set(inverse[r]), lanes_left(head_dim, at));
    }
  }
}

template <Element E>
void score_rows_kernel(const AttendArgs* rows) {
  int32_t blocks = 0;
  for (int r = 0; r < kQueryRows; ++r) {
    const int32_t seen = (rows[r].length + kLanes - 1) / kLanes;
    blocks = seen > blocks ? seen : blocks;
  }
  int32_t b = 0;
  for (; b + kQueryVecs <= blocks; b += kQueryVecs) score_rows<E, kQueryVecs>(rows, b);
  for (; b < blocks; ++b) score_rows<E, 1>(rows, b);
}

// Handles kQueryRows queries of one head over the same cache. The cache is read once for all
// queries, and each query gets the same bits as from attend_kernel.
template <Element E>
void attend_rows_kernel(const AttendArgs* rows) {
  score_rows_kernel<E>(rows);
  float inverse[kQueryRows];
  for (int r = 0; r < kQueryRows; ++r)
    inverse[r] = 1.0F / soften(rows[r], (rows[r].length + kLanes - 1) / kLanes);
  int32_t first = 0;
  const int32_t head_dim = rows[0].head_dim;
  for (; head_dim - first >= kQueryVecs * kLanes; first += kQueryVecs * kLanes)
    gather_rows<E, kQueryVecs, true>(rows, first, inverse);
  for (; first < head_dim; first += kLanes) gather_rows<E, 1, false>(rows, first, inverse);
}

// The largest number that does not round to infinity.
template <Element E>
constexpr float kLargest = E == Element::float16    ? 0x1.ffdffep15F
                           : E == Element::bfloat16 ? 0x1.fefffep127F
                                                    : 0x1.fffffep127F;

// Whether a key and a value are finite as stored elements.
template <Element E>
bool is_storable(const float* key, const float* value, int32_t head_dim) {
  Vec largest = zero();
  Vec poison = zero();
  for (int32_t d = 0; d < head_dim; d += kLanes) {
    const int32_t lanes = lanes_left(head_dim, d);
    const Vec k = read_floats(key + d, lanes);
    const Vec v = read_floats(value + d, lanes);
    largest = larger(largest, larger(larger(k, zero() - k), larger(v, zero() - v)));
    poison = poisoned_by(v, poisoned_by(k, poison));
  }
  return mask_not_less(set(kLargest<E>), largest + poison) == (1U << kLanes) - 1U;
}

template <Element E>
bool store_kernel(const float* key, const float* value, void* keys, void* values, int32_t place,
                  int32_t head_dim) {
  auto* k = static_cast<typename Stored<E>::Type*>(keys) + place;
  auto* v = static_cast<typename Stored<E>::Type*>(values) + static_cast<int64_t>(place) * head_dim;
  for (int32_t d = 0; d < head_dim; ++d) {
    k[d * kLanes] = Stored<E>::round(key[d]);
    v[d] = Stored<E>::round(value[d]);
  }
  return is_storable<E>(key, value, head_dim);
}

// Returns the scale of a vector: its largest magnitude / 127, or NaN if a number is not finite.
inline float scale_of(const float* x, int32_t count) {
  Vec largest = zero();
  Vec poison = zero();  // infinity * 0 is NaN
  for (int32_t i = 0; i < count; i += kLanes) {
    const Vec part = read_floats(x + i, lanes_left(count, i));
    largest = larger(largest, larger(part, zero() - part));
    poison = poison + part * zero();
  }
  return reduce_max(largest) / 127.0F + reduce_add(poison);
}

// Returns x / scale rounded to the nearest integer, ties to even. It returns 0 for a vector of
// zeros and for a vector that is not finite, whose scale is NaN.
inline int8_t whole_of(float x, float scale) {
  if (!(scale > 0.0F)) return 0;
  const float ratio = x / scale;  // above 127 if the scale was so small that it was rounded
  const float bounded = ratio > 127.0F ? 127.0F : ratio < -127.0F ? -127.0F : ratio;
  const float shifted = bounded + 12582912.0F;  // 1.5 * 2^23 leaves the integer in the low bits
  int32_t bits;
  memcpy(&bits, &shifted, sizeof(bits));
  return static_cast<int8_t>(bits & 0xFF);
}

bool store_int8_kernel(const float* key, const float* value, void* keys, void* values,
                       int32_t place, int32_t head_dim) {
  auto* k = static_cast<int8_t*>(keys) + place;
  auto* v = static_cast<int8_t*>(values) + static_cast<int64_t>(place) * head_dim;
  const float scales[2] = {scale_of(key, head_dim), scale_of(value, head_dim)};
  for (int32_t d = 0; d < head_dim; ++d) {
    k[d * kLanes] = whole_of(key[d], scales[0]);
    v[d] = whole_of(value[d], scales[1]);
  }
  const int64_t behind = static_cast<int64_t>(head_dim) * kLanes;
  memcpy(static_cast<int8_t*>(keys) + behind + place * 4, &scales[0], sizeof(float));
  memcpy(static_cast<int8_t*>(values) + behind + place * 4, &scales[1], sizeof(float));
  return scales[0] + scales[1] < __builtin_inff();  // not true for NaN
}

}  // namespace
}  // namespace ttsrt::cpu
