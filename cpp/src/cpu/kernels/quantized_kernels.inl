// Matrix products over quantized panel16 weights (ops/weight.h): integers with a scale per output
// (w8, one group) or per output and group of inputs (w4).
//
// For any number of rows, the sum of a group is one chain over its inputs, and total =
// fma(scale, sum, total) over the groups in order. With a16, the sum is a float32, as with bfloat16
// weights; the weights are widened in registers if there are few rows, and panel by panel into
// scratch memory if there are more than two tiles of rows. With a8, the sum is an integer and
// exact; it starts with the correction for the weights' offset (RowShape).
//
// With zero points, the sum is computed as without them, from nibbles minus 8. It is then corrected
// by (8 - zero point) * (sum of the group's inputs). The head of a row's group holds that sum of
// inputs. Weights without zero points use kernels without this correction.

namespace ttsrt::cpu {
namespace {

#define TTSRT_INLINE __attribute__((always_inline)) inline

// A block of a panel is one load of quantized weights. It is multiplied by kWords times kInputWords
// words of an input.
struct StepW8A16 {
  using Sum = Vec;
  static constexpr int64_t kBytes = 64;
  static constexpr int kWords = 2;
  static constexpr int kInputWords = kPairWords;
  static constexpr bool kIsWhole = false;   // a8
  static constexpr bool kIsJoined = false;  // multiplies both words of a block at once
  static constexpr bool kHasZeros = false;
  static constexpr int kHead = 0;  // words of a group's head
  static const unsigned char* load(const unsigned char* p) { return p; }
  template <int Word>
  static Bf16Pairs weight(const unsigned char* block) {
    return load_byte_pairs(block + 2 * Word * kLanes);
  }
  static Bf16Pairs input(const uint32_t* p, int64_t apart) { return set_pair(p, apart); }
  static Vec add(const Bf16Pairs& w, const Bf16Pairs& x, Vec sum) { return dot_pairs(w, x, sum); }
  static Vec scales(const void* p, int64_t at) {
    return ttsrt::cpu::load(static_cast<const float*>(p) + at);
  }
};

struct StepW4A16 : StepW8A16 {
  static constexpr int kWords = 4;
  static Block load(const unsigned char* p) { return load_block(p); }
  template <int Word>
  static Bf16Pairs weight(const Block& block) {
    return nibble_pairs<Word>(block);
  }
  static Vec scales(const void* p, int64_t at) {
    return load_f16(static_cast<const uint16_t*>(p) + at);
  }
};

struct StepW8A8 {
  using Sum = Ints;
  static constexpr int64_t kBytes = 64;
  static constexpr int kWords = 1;
  static constexpr int kInputWords = 1;
  static constexpr bool kIsWhole = true;
  static constexpr bool kIsJoined = false;
  static constexpr bool kHasZeros = false;
  static constexpr int kHead = 2;
  static Block load(const unsigned char* p) { return load_block(p); }
  template <int>
  static Quads weight(const Block& block) {
    return byte_quads(block);
  }
  static auto input(const uint32_t* p, int64_t) { return set_quad(p); }
  template <class Input>
  static Ints add(const Quads& w, const Input& x, Ints sum) {
    return dot_quads(w, x, sum);
  }
  static Vec scales(const void* p, int64_t at) { return StepW8A16::scales(p, at); }
};

struct StepW4A8 : StepW8A8 {
  static constexpr int kWords = 2;
  static constexpr bool kIsJoined = true;
  static Vec scales(const void* p, int64_t at) { return StepW4A16::scales(p, at); }
};

struct StepW4A16Zeros : StepW4A16 {
  static constexpr bool kHasZeros = true;
  static constexpr int kHead = 1;
  // Returns the sum of the inputs of a row's group.
  template <int Rows>
  static Vec input_sum(const uint32_t* head, int row) {
    return StepFloat32::input(head + row);
  }
};

struct StepW4A8Zeros : StepW4A8 {
  static constexpr bool kHasZeros = true;
  // The head holds the sum times -8; the division is exact.
  template <int Rows>
  static Vec input_sum(const uint32_t* head, int row) {
    return set(static_cast<float>(static_cast<int32_t>(head[Rows + row])) * -0.125F);
  }
};

// Returns the start value of a group's sum; `head` has the head words of all rows of the tile.
template <class Step, int Rows>
TTSRT_INLINE typename Step::Sum start_of(const uint32_t* head, int row) {
  if constexpr (!Step::kIsWhole) {
    return zero();
  } else {
    return set_ints(static_cast<int32_t>(head[Rows + row]));
  }
}

// Adds a group's scaled sum to a total. `shifts` are 8 - zero point of each output; they are not
// read if there are no zero points.
template <class Step, int Rows>
TTSRT_INLINE Vec scaled(Vec scales, Vec shifts, const uint32_t* head, int row,
                        typename Step::Sum sum, Vec total) {
  Vec whole;
  if constexpr (Step::kIsWhole) {
    scales = scales * StepFloat32::input(head + row);
    whole = to_floats(sum);
  } else {
    whole = sum;
  }
  if constexpr (Step::kHasZeros)
    whole = fma(shifts, Step::template input_sum<Rows>(head, row), whole);
  return fma(scales, whole, total);
}

// Adds the products of word `Word` of each panel's block to the sums of all rows.
// x: [kInputWords][Rows].
template <class Step, int Word, int Rows, int Panels, class Loaded>
TTSRT_INLINE void add_word(const Loaded (&blocks)[Panels], const uint32_t* x,
                           typename Step::Sum (&sums)[Rows][Panels]) {
  decltype(Step::template weight<Word>(blocks[0])) weights[Panels];
#pragma GCC unroll 4
  for (int p = 0; p < Panels; ++p) weights[p] = Step::template weight<Word>(blocks[p]);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const auto input = Step::input(x + r, Rows);
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) sums[r][p] = Step::add(weights[p], input, sums[r][p]);
  }
}

// Does the same with both words of each panel's block at once, as some levels add their products
// before they widen them. x: [2][Rows].
template <int Rows, int Panels>
TTSRT_INLINE void add_joined_words(const Block (&blocks)[Panels], const uint32_t* x,
                                   Ints (&sums)[Rows][Panels]) {
  Nibbles weights[Panels];
#pragma GCC unroll 4
  for (int p = 0; p < Panels; ++p) weights[p] = nibbles_of(blocks[p]);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p)
      sums[r][p] = dot_nibbles(weights[p], x + r, x + Rows + r, sums[r][p]);
  }
}

// One group of the panels that begin at `w`. x: [kHead + group_words][Rows].
struct GroupArgs {
  const unsigned char* w;
  int64_t panel_bytes;
  int64_t blocks;  // at least 1
  const uint32_t* x;
  const void* scales;          // scales of all panels
  const unsigned char* zeros;  // zero points of all panels, at the same indices
  int64_t first_scales;        // index of the first panel's scales
  int64_t panel_scales;        // distance from panel to panel
  int64_t ahead;               // prefetch distance, see bytes_ahead
};

template <class Step, int Rows, int Panels, bool Prefetches>
TTSRT_INLINE void add_group(const GroupArgs& group, Vec (&totals)[Rows][Panels]) {
  constexpr int64_t kStride = Step::kInputWords * Rows;
  typename Step::Sum sums[Rows][Panels];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) sums[r][p] = start_of<Step, Rows>(group.x, r);
  }
  const unsigned char* w = group.w;
  const uint32_t* words = group.x + Step::kHead * Rows;
  const unsigned char* end = w + group.blocks * Step::kBytes;
  do {
    decltype(Step::load(w)) loaded[Panels];
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      if constexpr (Prefetches) prefetch_far(w + p * group.panel_bytes + group.ahead);
      loaded[p] = Step::load(w + p * group.panel_bytes);
    }
    if constexpr (Step::kIsJoined) {
      add_joined_words(loaded, words, sums);
    } else {
      add_word<Step, 0>(loaded, words, sums);
      if constexpr (Step::kWords >= 2) add_word<Step, 1>(loaded, words + kStride, sums);
      if constexpr (Step::kWords >= 4) {
        add_word<Step, 2>(loaded, words + 2 * kStride, sums);
        add_word<Step, 3>(loaded, words + 3 * kStride, sums);
      }
    }
    w += Step::kBytes;
    words += Step::kWords * kStride;
  } while (w != end);
#pragma GCC unroll 4
  for (int p = 0; p < Panels; ++p) {
    const int64_t place = group.first_scales + p * group.panel_scales;
    const Vec scales = Step::scales(group.scales, place);
    Vec shifts = scales;
    if constexpr (Step::kHasZeros) shifts = set(8.0F) - load_bytes(group.zeros + place);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
      totals[r][p] = scaled<Step, Rows>(scales, shifts, group.x, r, sums[r][p], totals[r][p]);
  }
}

// Does the same if sums and totals together do not fit in the registers: in a separate function,
// the compiler keeps the totals in memory and the sums in registers.
template <class Step, int Rows, int Panels, bool Prefetches>
__attribute__((noinline)) void add_group_apart(const GroupArgs& group,
                                               Vec (&totals)[Rows][Panels]) {
  add_group<Step, Rows, Panels, Prefetches>(group, totals);
}

struct TilePlace {
  int32_t first_row;
  int32_t rows;
  int32_t panel;
  int32_t panels;
};

// Writes the outputs of a tile. It is one function for all kinds and sizes of tiles, because it is
// most of the code.
__attribute__((noinline)) void finish_tile(const LinearArgs& args, const Vec* totals,
                                           const TilePlace& tile) {
  for (int32_t r = 0; r < tile.rows; ++r) {
    for (int32_t p = 0; p < tile.panels; ++p)
      finish(args, totals[r * tile.panels + p], tile.first_row + r, tile.panel + p);
  }
}

constexpr int kSumsBesideTotals = kTileRows >= 8 ? 8 : 1;

// `Rows` rows from `first_row` on times `Panels` panels from `panel` on, whose weights begin at
// `w`. x: [groups][kHead + group_words][Rows].
template <class Step, int Rows, int Panels, bool Prefetches>
void multiply_groups(const LinearArgs& args, const unsigned char* w, const uint32_t* x,
                     int32_t first_row, int32_t panel) {
  const int64_t groups = args.row.groups;
  GroupArgs group;
  group.blocks = args.row.group_words / (Step::kWords * Step::kInputWords);
  group.panel_bytes = groups * group.blocks * Step::kBytes;
  group.w = w;
  group.x = x;
  group.scales = args.scales;
  group.zeros = args.zeros;
  group.first_scales = panel * groups * kLanes;
  group.panel_scales = groups * kLanes;
  group.ahead = bytes_ahead<Panels>(args, panel, group.panel_bytes);
  Vec totals[Rows][Panels];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) totals[r][p] = zero();
  }
  for (int64_t g = 0; g < groups; ++g) {
    if constexpr (Rows * Panels <= kSumsBesideTotals) {
      add_group<Step, Rows, Panels, Prefetches>(group, totals);
    } else {
      add_group_apart<Step, Rows, Panels, Prefetches>(group, totals);
    }
    group.w += group.blocks * Step::kBytes;
    group.x += (Step::kHead + args.row.group_words) * Rows;
    group.first_scales += kLanes;
  }
  Vec kept[Rows * Panels];  // a copy, so that the totals can stay in registers
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) kept[r * Panels + p] = totals[r][p];
  }
  const int32_t rows = args.rows - first_row;
  finish_tile(args, kept, {first_row, rows < Rows ? rows : Rows, panel, Panels});
}

// Weights that were already widened.
template <class Packed>
struct StepUnpacked : StepW8A16 {
  static constexpr bool kHasZeros = Packed::kHasZeros;
  static constexpr int kHead = Packed::kHead;
  static constexpr int kWords = 1;
  template <int>
  static Bf16Pairs weight(const unsigned char* block) {
    return load_pairs(block);
  }
  static Vec scales(const void* p, int64_t at) { return Packed::scales(p, at); }
  template <int Rows>
  static Vec input_sum(const uint32_t* head, int row) {
    return Packed::template input_sum<Rows>(head, row);
  }
};

template <class Step>
struct Groups {
  static constexpr bool kUnpacks = !Step::kIsWhole;
  using Unpacked = Groups<StepUnpacked<Step>>;
  static int64_t panel_bytes(const RowShape& row) {
    return row.groups * (row.group_words / (Step::kWords * Step::kInputWords)) * Step::kBytes;
  }
  template <int Rows, int Panels, bool Prefetches>
  static void multiply(const LinearArgs& args, const unsigned char* w, const uint32_t* x,
                       int32_t first_row, int32_t panel) {
    multiply_groups<Step, Rows, Panels, Prefetches>(args, w, x, first_row, panel);
  }
  // Unpacks `count` panels from `w` on to [inputs / 2][16] pairs each.
  static void unpack(const RowShape& row, const unsigned char* w, int32_t count, void* out) {
    const unsigned char* end = w + count * panel_bytes(row);
    auto* to = static_cast<unsigned char*>(out);
    for (; w != end; w += Step::kBytes) {
      const auto block = Step::load(w);
      store_pairs(to, Step::template weight<0>(block));
      store_pairs(to + 64, Step::template weight<1>(block));
      if constexpr (Step::kWords >= 4) {
        store_pairs(to + 128, Step::template weight<2>(block));
        store_pairs(to + 192, Step::template weight<3>(block));
      }
      to += Step::kWords * 64;
    }
  }
};

// Quantizes x [count] to `words` words of int8, which go 16 bytes at a time from byte i on to
// place(i), and writes the head of two words (RowShape).
template <class Place>
inline void quantize_group(const float* x, int64_t count, int64_t words, int32_t offset,
                           uint32_t* head, const Place& place) {
  const float largest = largest_magnitude(x, count);
  const bool is_zero = largest < 1e-30F;  // ops::kLeastInput; NaN stays
  const float scale = is_zero ? 0.0F : largest / 127.0F;
  const Vec inverse = set(is_zero ? 0.0F : 127.0F / largest);
  Ints sum = set_ints(0);
  for (int64_t i = 0; i < 4 * words; i += kLanes) {
    const bool is_inside = i < count;
    const Vec values = is_inside ? read_floats(x + i, lanes_left(count, i)) : zero();
    const Ints whole = to_ints(smaller(values * inverse, set(127.0F)));  // NaN becomes 127
    sum = sum_of(sum, whole);
    unsigned char lanes[kLanes];
    store_bytes(lanes, whole);
    const int64_t left = 4 * words - i;
    if (left >= kLanes) memcpy(place(i), lanes, sizeof(lanes));
    if (left < kLanes) memcpy(place(i), lanes, static_cast<size_t>(left));
  }
  const uint32_t away = 0U - static_cast<uint32_t>(offset) * static_cast<uint32_t>(reduce_add(sum));
  memcpy(head, &scale, sizeof(scale));
  head[1] = away;
}

template <int Offset>
void prepare_bytes(const float* x, const RowShape& shape, uint32_t* out) {
  for (int32_t g = 0; g < shape.groups; ++g) {
    const int64_t first = g * 4 * shape.group_words;
    const int64_t left = shape.depth - first;
    const int64_t count = left < 4 * shape.group_words ? left : 4 * shape.group_words;
    uint32_t* head = out + g * (2 + shape.group_words);
    const auto place = [head](int64_t i) { return reinterpret_cast<char*>(head + 2) + i; };
    quantize_group(x + first, count, shape.group_words, Offset, head, place);
  }
}

// Packs a row as prepare_pairs does, but group by group, each group after the sum of its rounded
// inputs.
void prepare_summed_pairs(const float* x, const RowShape& shape, uint32_t* out) {
  const int64_t inputs = shape.group_words / kPairWords * 2;
  for (int32_t g = 0; g < shape.groups; ++g) {
    const int64_t first = g * inputs;
    const int64_t count = shape.depth - first < inputs ? shape.depth - first : inputs;
    Vec sums = zero();
    float rounded[kLanes];
    for (int64_t i = 0; i < count; i += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const float value = i + lane < count ? x[first + i + lane] : 0.0F;
        const uint32_t bits = uint32_t{Stored<Element::bfloat16>::round(value)} << 16;
        memcpy(rounded + lane, &bits, sizeof(bits));
      }
      sums = sums + load(rounded);
    }
    const float sum = reduce_add(sums);
    memcpy(out, &sum, sizeof(sum));
    prepare_pairs(x + first, {count, shape.group_words, shape.group_words, 1}, out + 1);
    out += 1 + shape.group_words;
  }
}

#undef TTSRT_INLINE

}  // namespace
}  // namespace ttsrt::cpu
