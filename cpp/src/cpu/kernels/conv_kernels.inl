// Convolutions over the rows of an item, and the other kernels of whole items.
//
// A grouped convolution reads the rows of a tile and of the taps around it from one packed block,
// [words][stride], in which a tap is an offset of one: no row is copied for each tap. An output is
// one chain over taps, then over the inputs of its group, whatever the number of rows.

namespace ttsrt::cpu {
namespace {

inline void finish_conv(const ConvArgs& args, Vec value, int32_t row, int32_t panel) {
  const int32_t first = panel * kLanes;
  float* out = args.out + row * args.out_stride + first;
  value = activated(args.activation, value + load(args.bias + first));
  store(out, args.accumulate ? load(out) + value : value);
}

// Rows [first, first + Rows) of the block by `Panels` panels whose weights begin at `w`.
template <class Step, int Rows, int Panels>
void convolve_tile(const ConvArgs& args, const unsigned char* w, int32_t first, int32_t panel) {
  const int64_t steps = args.words / Step::kInputWords;
  const int64_t panel_bytes = args.taps * steps * Step::kBytes;
  Vec sums[Rows][Panels];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) sums[r][p] = zero();
  }
  for (int32_t tap = 0; tap < args.taps; ++tap) {
    const uint32_t* x = args.packed + first + tap;
    const unsigned char* at = w + tap * steps * Step::kBytes;
    for (int64_t k = 0; k < steps; ++k) {
      decltype(Step::weight(w)) weights[Panels];
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p)
        weights[p] = Step::weight(at + p * panel_bytes + k * Step::kBytes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const auto input = Step::input(x + k * Step::kInputWords * args.stride + r, args.stride);
#pragma GCC unroll 4
        for (int p = 0; p < Panels; ++p) sums[r][p] = Step::add(weights[p], input, sums[r][p]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      if (first + r < args.rows) finish_conv(args, sums[r][p], first + r, panel + p);
    }
  }
}

template <class Step>
void convolve_kernel(const ConvArgs& args) {
  constexpr int kPanels = panels_in_flight(kTileRows);
  const int64_t panel_bytes = args.taps * (args.words / Step::kInputWords) * Step::kBytes;
  const auto* weights = static_cast<const unsigned char*>(args.weight);
  int32_t panel = 0;
  for (; panel + kPanels <= args.panels; panel += kPanels) {
    for (int32_t row = 0; row < args.rows; row += kTileRows)
      convolve_tile<Step, kTileRows, kPanels>(args, weights + panel * panel_bytes, row, panel);
  }
  for (; panel < args.panels; ++panel) {
    for (int32_t row = 0; row < args.rows; row += kTileRows)
      convolve_tile<Step, kTileRows, 1>(args, weights + panel * panel_bytes, row, panel);
  }
}

void depthwise_kernel(const float* const* rows, const float* weight, const float* bias,
                      int32_t taps, int64_t width, float* out) {
  for (int64_t i = 0; i < width; i += kLanes) {
    const int32_t lanes = lanes_left(width, i);
    Vec sum = read_floats(bias + i, lanes);
    for (int32_t tap = 0; tap < taps; ++tap) {
      if (rows[tap] == nullptr) continue;
      sum =
          fma(read_floats(weight + tap * width + i, lanes), read_floats(rows[tap] + i, lanes), sum);
    }
    write_floats(out + i, sum, lanes);
  }
}

void add_products_kernel(const float* x, const float* y, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    const Vec sum =
        fma(read_floats(x + i, lanes), read_floats(y + i, lanes), read_floats(out + i, lanes));
    write_floats(out + i, sum, lanes);
  }
}

float sum_kernel(const float* x, int64_t count) {
  Vec sum = zero();
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    const Vec part = read_floats(x + i, lanes);
    sum = sum + (lanes < kLanes ? keep_first(part, lanes, 0.0F) : part);
  }
  return reduce_add(sum);
}

void respond_kernel(const float* norms, float inverse, const float* gamma, const float* beta,
                    int64_t count, float* x) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    const Vec value = read_floats(x + i, lanes);
    const Vec scaled = value * (read_floats(norms + i, lanes) * set(inverse));
    const Vec shifted = fma(read_floats(gamma + i, lanes), scaled, read_floats(beta + i, lanes));
    write_floats(x + i, shifted + value, lanes);
  }
}

bool integrate_kernel(const IntegrateArgs& args) {
  Vec poison = zero();
  for (int64_t i = 0; i < args.count; i += kLanes) {
    const int32_t lanes = lanes_left(args.count, i);
    Vec velocity = read_floats(args.conditional + i, lanes);
    if (args.unconditional != nullptr)
      velocity =
          fma(velocity - read_floats(args.unconditional + i, lanes), set(args.strength), velocity);
    const Vec state = fma(velocity, set(args.step_size), read_floats(args.base + i, lanes));
    poison = poisoned_by(state, poison);
    write_floats(args.state + i, state, lanes);
  }
  return is_pure(poison);
}

}  // namespace
}  // namespace ttsrt::cpu
