// Products of quantized weights with inputs of 16 bits, for instruction sets that multiply bytes.
//
// An input that was rounded to bfloat16 becomes a multiple of its group's largest / 32639: an
// integer of 16 bits, 256 * high + low, whose parts are int8. The sum of a group is an integer and
// exact: the high parts are summed, multiplied by 256, and the low parts added. Integers wrap, and
// the sum fits: a group of w8 has 256 inputs. So all of this has one arithmetic for any number of
// rows, in vectors and in tiles.

namespace ttsrt::cpu {
namespace {

#define TTSRT_INLINE __attribute__((always_inline)) inline

constexpr float kMostSplit = 127 * 256 + 127;

struct SplitW8 : StepW8A8 {
  static constexpr bool kHasRowScales = true;
  // Stored are the bytes of 16 outputs, input after input.
  static Block load(const unsigned char* p) { return turned_block(load_block(p)); }
};

// Weights that were already turned.
struct TurnedW8 : StepW8A8 {
  static constexpr bool kHasRowScales = true;
};

struct SplitW4 : StepW4A8 {
  static constexpr bool kHasRowScales = false;
};
struct SplitW4Zeros : StepW4A8Zeros {
  static constexpr bool kHasRowScales = false;
};

template <class Step, int Rows, int Panels>
TTSRT_INLINE void add_block(const Block (&blocks)[Panels], const uint32_t* words,
                            Ints (&sums)[Rows][Panels]) {
  if constexpr (Step::kIsJoined) {
    add_joined_words(blocks, words, sums);
  } else {
    add_word<Step, 0>(blocks, words, sums);
  }
}

// Adds the products of a group's blocks with one part of all rows.
template <class Step, int Rows, int Panels, bool Prefetches>
TTSRT_INLINE void add_part(const GroupArgs& group, const uint32_t* words,
                           Ints (&sums)[Rows][Panels]) {
  const unsigned char* w = group.w;
  const unsigned char* end = w + group.blocks * Step::kBytes;
  do {
    Block loaded[Panels];
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      if constexpr (Prefetches) prefetch_far(w + p * group.panel_bytes + group.ahead);
      loaded[p] = Step::load(w + p * group.panel_bytes);
    }
    add_block<Step>(loaded, words, sums);
    w += Step::kBytes;
    words += Step::kWords * Rows;
  } while (w != end);
}

// Adds both parts at once, where the registers hold the sums of both.
template <class Step, int Rows, int Panels, bool Prefetches>
TTSRT_INLINE void add_parts(const GroupArgs& group, const uint32_t* high, const uint32_t* low,
                            Ints (&highs)[Rows][Panels], Ints (&lows)[Rows][Panels]) {
  const unsigned char* w = group.w;
  const unsigned char* end = w + group.blocks * Step::kBytes;
  do {
    Block loaded[Panels];
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      if constexpr (Prefetches) prefetch_far(w + p * group.panel_bytes + group.ahead);
      loaded[p] = Step::load(w + p * group.panel_bytes);
    }
    add_block<Step>(loaded, high, highs);
    add_block<Step>(loaded, low, lows);
    w += Step::kBytes;
    high += Step::kWords * Rows;
    low += Step::kWords * Rows;
  } while (w != end);
}

// One group; x: [2 + group_words][Rows], the high parts before the low ones.
template <class Step, int Rows, int Panels, bool Prefetches>
TTSRT_INLINE void add_split_group(const GroupArgs& group, int64_t half,
                                  Vec (&totals)[Rows][Panels]) {
  const uint32_t* high = group.x + 2 * Rows;
  const uint32_t* low = high + half * Rows;
  Ints sums[Rows][Panels];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) sums[r][p] = set_ints(0);
  }
  if constexpr (2 * Rows * Panels <= 16) {
    Ints lows[Rows][Panels];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) lows[r][p] = start_of<Step, Rows>(group.x, r);
    }
    add_parts<Step, Rows, Panels, Prefetches>(group, high, low, sums, lows);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) sums[r][p] = sum_of(times_256(sums[r][p]), lows[r][p]);
    }
  } else {
    add_part<Step, Rows, Panels, Prefetches>(group, high, sums);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p)
        sums[r][p] = sum_of(times_256(sums[r][p]), start_of<Step, Rows>(group.x, r));
    }
    add_part<Step, Rows, Panels, false>(group, low, sums);
  }
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

template <class Step, int Rows, int Panels, bool Prefetches>
__attribute__((noinline)) void add_split_group_apart(const GroupArgs& group, int64_t half,
                                                     Vec (&totals)[Rows][Panels]) {
  add_split_group<Step, Rows, Panels, Prefetches>(group, half, totals);
}

// Blocks of a whole group, and of all of a panel.
template <class Step>
inline int64_t group_blocks(const RowShape& row) {
  return row.group_words / 2 / Step::kWords;
}
template <class Step>
inline int64_t panel_blocks(const RowShape& row) {
  if constexpr (Step::kHasRowScales) return (row.depth + 3) / 4;  // the last group may be short
  return row.groups * group_blocks<Step>(row);
}

// As multiply_groups.
template <class Step, int Rows, int Panels, bool Prefetches>
void multiply_split(const LinearArgs& args, const unsigned char* w, const uint32_t* x,
                    int32_t first_row, int32_t panel) {
  const int64_t scales = Step::kHasRowScales ? 1 : args.row.groups;  // of an output
  GroupArgs group;
  group.panel_bytes = panel_blocks<Step>(args.row) * Step::kBytes;
  group.w = w;
  group.x = x;
  group.scales = args.scales;
  group.zeros = args.zeros;
  group.first_scales = panel * scales * kLanes;
  group.panel_scales = scales * kLanes;
  group.ahead = bytes_ahead<Panels>(args, panel, group.panel_bytes);
  Vec totals[Rows][Panels];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) totals[r][p] = zero();
  }
  const int64_t half = args.row.group_words / 2;
  int64_t left = panel_blocks<Step>(args.row);
  for (int64_t g = 0; g < args.row.groups; ++g) {
    const int64_t whole = group_blocks<Step>(args.row);
    group.blocks = left < whole ? left : whole;
    left -= group.blocks;
    if constexpr (Rows * Panels <= kSumsBesideTotals) {
      add_split_group<Step, Rows, Panels, Prefetches>(group, half, totals);
    } else {
      add_split_group_apart<Step, Rows, Panels, Prefetches>(group, half, totals);
    }
    group.w += group.blocks * Step::kBytes;
    group.x += (2 + args.row.group_words) * Rows;
    if constexpr (!Step::kHasRowScales) group.first_scales += kLanes;
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

template <class Step, bool Unpacks>
struct Splits {
  static constexpr bool kUnpacks = Unpacks;
  using Unpacked = Splits<TurnedW8, false>;
  static int64_t panel_bytes(const RowShape& row) { return panel_blocks<Step>(row) * Step::kBytes; }
  template <int Rows, int Panels, bool Prefetches>
  static void multiply(const LinearArgs& args, const unsigned char* w, const uint32_t* x,
                       int32_t first_row, int32_t panel) {
    multiply_split<Step, Rows, Panels, Prefetches>(args, w, x, first_row, panel);
  }
  static void unpack(const RowShape& row, const unsigned char* w, int32_t count, void* out) {
    auto* to = static_cast<unsigned char*>(out);
    const int64_t bytes = count * panel_bytes(row);
    for (int64_t at = 0; at < bytes; at += Step::kBytes) {
      const Block block = Step::load(w + at);
      memcpy(to + at, &block, sizeof(block));
    }
  }
};

// Splits x [count] to `inputs` pairs of bytes, of which the high and the low parts of 16 from i on
// go to place(i, 0) and place(i, 1), and writes the head of two words (RowShape). Nibbles are
// multiplied in the order in which w4a16 stores them.
template <bool IsNibbles, class Place>
inline void split_group(const float* x, int64_t count, int64_t inputs, int32_t offset,
                        uint32_t* head, const Place& place) {
  const float exact = largest_magnitude(x, count);
  const uint32_t rounded = uint32_t{Stored<Element::bfloat16>::round(exact)} << 16;
  float largest;
  memcpy(&largest, &rounded, sizeof(largest));
  const bool is_zero = largest < 1e-30F;  // ops::kLeastInput; NaN stays
  const float scale = is_zero ? 0.0F : largest / kMostSplit;
  const Vec inverse = set(is_zero ? 0.0F : kMostSplit / largest);
  Ints sum = set_ints(0);
  for (int64_t i = 0; i < inputs; i += kLanes) {
    const bool is_inside = i < count;
    const Vec values =
        is_inside ? rounded_to_bf16(read_floats(x + i, lanes_left(count, i))) : zero();
    const Ints whole = to_ints(smaller(values * inverse, set(kMostSplit)));  // NaN becomes that
    sum = sum_of(sum, whole);
    SplitBytes parts = split_bytes(whole);
    if constexpr (IsNibbles) {
      parts.high = __builtin_shufflevector(parts.high, parts.high, 0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9,
                                           13, 10, 14, 11, 15);
      parts.low = __builtin_shufflevector(parts.low, parts.low, 0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9,
                                          13, 10, 14, 11, 15);
    }
    memcpy(place(i, 0), &parts.high, sizeof(parts.high));
    memcpy(place(i, 1), &parts.low, sizeof(parts.low));
  }
  const uint32_t away = 0U - static_cast<uint32_t>(offset) * static_cast<uint32_t>(reduce_add(sum));
  memcpy(head, &scale, sizeof(scale));
  head[1] = away;
}

template <int Offset, bool IsNibbles>
void prepare_split(const float* x, const RowShape& shape, uint32_t* out) {
  const int64_t inputs = shape.group_words * 2;
  for (int32_t g = 0; g < shape.groups; ++g) {
    const int64_t first = g * inputs;
    const int64_t left = shape.depth - first;
    uint32_t* head = out + g * (2 + shape.group_words);
    auto* bytes = reinterpret_cast<unsigned char*>(head + 2);
    split_group<IsNibbles>(
        x + first, left < inputs ? left : inputs, inputs, Offset, head,
        [bytes, inputs](int64_t i, int part) { return bytes + part * inputs + i; });
  }
}

#undef TTSRT_INLINE

// Multiplies weights of a16 by split inputs.
constexpr Kernels with_split_inputs(Kernels table) {
  table.splits_inputs = true;
  const auto set_linear = [&table](Format format, const LinearKernels& kernels) {
    table.linear[static_cast<int>(format)] = kernels;
  };
  set_linear(Format::w8a16,
             {prepare_split<kByteOffset, false>, product_kernel<Splits<SplitW8, true>>});
  set_linear(Format::w4a16, {prepare_split<8, true>, product_kernel<Splits<SplitW4, false>>});
  set_linear(Format::w4a16_zeros,
             {prepare_split<8, true>, product_kernel<Splits<SplitW4Zeros, false>>});
  return table;
}

}  // namespace
}  // namespace ttsrt::cpu
