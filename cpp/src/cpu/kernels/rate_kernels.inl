// Convolutions over time, and the activations of neural codecs.
//
// A convolution reads its inputs where they lie, with a stride from row to row and another from tap
// to tap, so that no row is copied for each tap. An output is one chain over taps, then over
// inputs, whatever the number of rows.

namespace ttsrt::cpu {
namespace {

inline void finish_time(const TimeConvArgs& args, Vec value, int32_t row, int32_t panel) {
  const int32_t first = panel * kLanes;
  const int32_t lanes = lanes_left(args.outputs, first);
  float* out = args.out + row * args.out_stride + first;
  if (args.bias != nullptr) value = value + read_floats(args.bias + first, lanes);
  if (args.addend != nullptr)
    value = read_floats(args.addend + row * args.addend_stride + first, lanes) + value;
  value = value * set(args.scale);
  if (args.accumulate) value = read_floats(out, lanes) + value;
  write_floats(out, value, lanes);
}

// Adds one step of weights and of the inputs of `Rows` rows.
template <class Step, int Rows, int Panels>
inline void add_time_step(const unsigned char* w, int64_t panel_bytes, const uint32_t* x,
                          int64_t row_step, Vec (&sums)[Rows][Panels]) {
  decltype(Step::weight(w)) weights[Panels];
#pragma GCC unroll 4
  for (int p = 0; p < Panels; ++p) weights[p] = Step::weight(w + p * panel_bytes);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const auto input = Step::input(x + r * row_step, 1);
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) sums[r][p] = Step::add(weights[p], input, sums[r][p]);
  }
}

// Taps [first, last) of output rows, which are done together so that their weights are read once
// from memory. Sums of rows lie in memory between two spans.
struct TapSpan {
  int32_t first;
  int32_t last;
  int64_t ahead;  // bytes to weights that are prefetched; 0: none are
  float* sums;    // [rows][panels][16]
};

// Rows [first, first + Rows) by `Panels` panels from `panel` on. It is never inlined, because GCC
// 12 then keeps sums in memory (one EPYC core, float32: 42 GFLOP/s, and 97 so).
template <class Step, int Rows, int Panels, bool Prefetches>
__attribute__((noinline)) void time_tile(const TimeConvArgs& args, const TapSpan& span,
                                         int32_t first, int32_t panel) {
  const int64_t steps = args.words / Step::kInputWords;
  const unsigned char* w = static_cast<const unsigned char*>(args.weight) +
                           panel * args.panel_bytes + span.first * steps * Step::kBytes;
  const uint32_t* x = args.rows + first * args.row_step + span.first * args.tap_step;
  const int64_t row_step = args.row_step;
  const int64_t panel_bytes = args.panel_bytes;
  const int64_t ahead = span.ahead;
  float* kept = span.sums + first * Panels * kLanes;
  Vec sums[Rows][Panels];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p)
      sums[r][p] = span.first == 0 ? zero() : load(kept + (r * Panels + p) * kLanes);
  }
  for (int32_t tap = span.first; tap < span.last; ++tap) {
    const uint32_t* at = x;
    for (int64_t k = 0; k < steps; ++k) {
      if constexpr (Prefetches) {
#pragma GCC unroll 4
        for (int p = 0; p < Panels; ++p) prefetch_far(w + p * panel_bytes + ahead);
      }
      add_time_step<Step, Rows, Panels>(w, panel_bytes, at, row_step, sums);
      w += Step::kBytes;
      at += Step::kInputWords;
    }
    x += args.tap_step;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      if (span.last == args.taps) {
        finish_time(args, sums[r][p], first + r, panel + p);
      } else {
        store(kept + (r * Panels + p) * kLanes, sums[r][p]);
      }
    }
  }
}

// The most rows of a tile. A pair of bfloat16 that becomes two vectors takes twice the registers.
template <class Step>
constexpr int32_t most_time_rows() {
  return kTimeRows == 6 && Step::kInputWords == 2 ? 4 : kTimeRows;
}

// Returns the rows of the next tile when `left` are left: tiles of about the same size where all
// sizes are built, since few sums at once wait for each other.
template <int32_t Most>
int32_t time_rows(int32_t left) {
  if (Most > 6) return left >= Most ? Most : left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
  const int32_t tiles = (left + Most - 1) / Most;
  return (left + tiles - 1) / tiles;
}

template <class Step, int Panels, bool Prefetches>
void time_span(const TimeConvArgs& args, const TapSpan& span, int32_t panel) {
  constexpr int32_t kMost = most_time_rows<Step>();
  for (int32_t row = 0; row < args.count;) {
    const int32_t rows = time_rows<kMost>(args.count - row);
    if constexpr (kMost >= 12) {
      if (rows == 12) time_tile<Step, 12, Panels, Prefetches>(args, span, row, panel);
    }
    if constexpr (kMost >= 8) {
      if (rows == 8) time_tile<Step, 8, Panels, Prefetches>(args, span, row, panel);
    }
    if constexpr (kMost == 6) {
      if (rows == 6) time_tile<Step, 6, Panels, Prefetches>(args, span, row, panel);
      if (rows == 5) time_tile<Step, 5, Panels, Prefetches>(args, span, row, panel);
    }
    if constexpr (kMost >= 4) {
      if (rows == 4) time_tile<Step, 4, Panels, Prefetches>(args, span, row, panel);
    }
    if constexpr (kMost >= 4 && kMost <= 6) {
      if (rows == 3) time_tile<Step, 3, Panels, Prefetches>(args, span, row, panel);
    }
    if (rows == 2) time_tile<Step, 2, Panels, Prefetches>(args, span, row, panel);
    if (rows == 1) time_tile<Step, 1, Panels, Prefetches>(args, span, row, panel);
    row += rows;
  }
}

// Few rows use weights as fast as memory brings them, and prefetch those of the next span.
constexpr int64_t kSpanBytes = 48 * 1024;
constexpr int32_t kPrefetchRows = 16;

template <class Step, int Panels>
void time_panels(const TimeConvArgs& args, int32_t panel) {
  float sums[kMostTimeRows * Panels * kLanes];
  const int64_t tap_bytes = args.words / Step::kInputWords * Step::kBytes;
  const int64_t fitting = kSpanBytes / (tap_bytes * Panels);
  const int32_t taps = fitting < 1 ? 1 : static_cast<int32_t>(fitting);
  for (int32_t tap = 0; tap < args.taps; tap += taps) {
    const int32_t last = args.taps - tap < taps ? args.taps : tap + taps;
    const TapSpan span = {tap, last, taps * tap_bytes, sums};
    if (args.count <= kPrefetchRows) {
      time_span<Step, Panels, true>(args, span, panel);
    } else {
      time_span<Step, Panels, false>(args, span, panel);
    }
  }
}

// The most panels at once; pairs that become two vectors leave registers for fewer.
template <class Step>
constexpr int most_time_panels() {
  constexpr int kPanels = panels_in_flight(kTileRows);
  return kPanels > 2 && Step::kInputWords == 2 ? 2 : kPanels;
}

template <class Step>
void time_convolve_kernel(const TimeConvArgs& args) {
  constexpr int kMost = most_time_panels<Step>();
  for (int32_t panel = args.first_panel; panel < args.last_panel;) {
    const int32_t left = args.last_panel - panel;
    const int32_t groups = (left + kMost - 1) / kMost;
    const int32_t panels = (left + groups - 1) / groups;
    if constexpr (kMost >= 3) {
      if (panels == 3) time_panels<Step, 3>(args, panel);
    }
    if constexpr (kMost >= 2) {
      if (panels == 2) time_panels<Step, 2>(args, panel);
    }
    if (panels == 1) time_panels<Step, 1>(args, panel);
    panel += panels;
  }
}

// Computes sin^2 of |x| <= 1e4 with an absolute error of about 1e-7. Its period is pi, of which the
// first three parts are so short that their products by the number of periods are exact.
inline Vec squared_sine_of(Vec x) {
  const Vec magic = set(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec n = fma(x, set(0.318309886F), magic) - magic;
  Vec r = fma(n, set(-3.140625F), x);
  r = fma(n, set(-0.0009670257568359375F), r);
  r = fma(n, set(-6.2771141529083251953e-07F), r);
  r = fma(n, set(-1.2154201256553420762e-10F), r);
  const Vec square = r * r;
  Vec series = fma(set(2.6083159809786593541503e-06F), square, set(-0.0001981069071916863322258F));
  series = fma(series, square, set(0.00833307858556509017944336F));
  series = fma(series, square, set(-0.166666597127914428710938F));
  const Vec sine = fma(series * square, r, r);
  return sine * sine;
}

void half_snake_kernel(const SnakeArgs& args) {
  const Vec slope = set(args.slope);
  int64_t column = args.first;
  for (int64_t i = 0; i < args.count; i += kLanes) {
    const int32_t lanes = lanes_left(args.count, i);
    const Vec x = read_floats(args.x + i, lanes);
    const Vec leaky = if_less(x, zero(), x * slope, x);
    Vec value = leaky;
    const bool has_snakes = column < args.snakes || column + kLanes > args.width;
    if (has_snakes && args.snakes > 0) {
      const Vec alpha = load(args.alpha + column);
      const Vec inverse = load(args.inverse + column);
      const Vec snake = fma(squared_sine_of(alpha * x), inverse, x);
      const Vec share = load(args.share + column);
      value = column + kLanes <= args.snakes ? snake : if_less(share, set(0.5F), leaky, snake);
    }
    write_floats(args.out + i, value, lanes);
    for (column += kLanes; column >= args.width;) column -= args.width;
  }
}

}  // namespace
}  // namespace ttsrt::cpu
