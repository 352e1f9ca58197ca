// Programs of ops with rates for tests: a small decoder of a codec, with all that keeps past rows,
// and single ops over buffers with a rate.
#pragma once

#include <string>
#include <vector>

#include "ops/program.h"
#include "support/backend.h"
#include "support/weights.h"

namespace ttsrt::test {

// An input of `rate` rows of `width` for each row of the launch.
inline ops::BufferId add_rate_input(ops::Program& program, std::int64_t width, std::int32_t rate) {
  const ops::BufferId flat = add_input(program, width * rate);
  if (rate == 1) return flat;
  const ops::BufferId out = program.add("split", width, ops::RowSpace::rows, rate);
  program.ops.emplace_back(ops::SplitRows{flat, out});
  return out;
}

// Codes to samples: a convolution, two upsamplers with residual blocks behind them whose mean is
// taken, and a convolution to one column. Its state is StateSpec::past of `spec`.
struct RateDecoder {
  explicit RateDecoder(DType type, std::int64_t base = 52) : dtype(type) {
    table = make_dense(11, 3, DType::float32, 1);
    const ops::BufferId codes = program.add("latent", 12);
    program.ops.emplace_back(ops::DequantizeCodes{codes, table, 4});
    ops::BufferId x = convolve(codes, base, 7, 1);
    std::int64_t width = base;
    for (const std::int32_t factor : {4, 3}) {
      snake(x, x);
      x = upsample(x, factor);
      width /= 2;
      x = residual_layer(x, width);
    }
    snake(x, x);
    const ops::BufferId sound = convolve(x, 1, 3, 1);
    program.ops.emplace_back(ops::Clamp{sound, -0.5F, 0.5F});
    program.ops.emplace_back(ops::EmitRows{sound});
    program.name = "rate decoder";
    spec.slots = 4;
  }

  static constexpr std::int32_t kRate = 12;  // samples of a frame
  static std::vector<std::int32_t> codes(std::int32_t frames, std::uint64_t seed) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(frames) * 4);
    for (std::size_t i = 0; i < ids.size(); ++i)
      ids[i] = static_cast<std::int32_t>((random_value(seed, i) + 1.0F) * 5.49F);
    return ids;
  }

  ops::Program program;
  ops::StateSpec spec;

 private:
  const ops::Activation& shape(ops::BufferId x) const {
    return program.activations[static_cast<std::size_t>(x)];
  }
  std::int32_t past_of(std::int32_t rows, std::int64_t width) {
    spec.past.push_back({rows, static_cast<std::int32_t>(width)});
    return static_cast<std::int32_t>(spec.past.size()) - 1;
  }
  const TestWeight& keep(TestWeight weight) {
    weights.push_back(std::make_unique<TestWeight>(std::move(weight)));
    return *weights.back();
  }
  std::uint64_t seed() { return 100 + weights.size(); }

  ops::TimeConv conv_of(ops::BufferId x, std::int64_t outputs, std::int32_t kernel,
                        std::int32_t dilation) {
    const std::int64_t width = shape(x).width;
    const float scale = 1.0F / static_cast<float>(kernel * width);
    ops::TimeConv op;
    op.x = x;
    op.weight = keep(make_panel(outputs, kernel * width, dtype, seed(), 4.0F * scale));
    op.bias = keep(make_vector(outputs, seed()));
    op.kernel = kernel;
    op.dilation = dilation;
    op.before = (kernel - 1) * dilation;
    if (op.before > 0) op.past = past_of(op.before, width);
    return op;
  }

  ops::BufferId convolve(ops::BufferId x, std::int64_t outputs, std::int32_t kernel,
                         std::int32_t dilation) {
    ops::TimeConv op = conv_of(x, outputs, kernel, dilation);
    op.out = program.add("conv", outputs, ops::RowSpace::rows, shape(x).rate);
    program.ops.emplace_back(op);
    return op.out;
  }

  void snake(ops::BufferId x, ops::BufferId out) {
    const TestWeight& alpha = keep(make_vector(shape(x).width / 2, seed(), 0.5F, 1.0F));
    program.ops.emplace_back(ops::HalfSnake{x, out, alpha});
  }

  ops::BufferId upsample(ops::BufferId x, std::int32_t factor) {
    ops::Upsample op;
    const std::int64_t width = shape(x).width;
    op.x = x;
    op.out = program.add("up", width / 2, ops::RowSpace::rows, shape(x).rate * factor);
    op.weight = keep(make_dense(width, 2 * factor, DType::float32, seed()));
    op.bias = keep(make_vector(width / 2, seed()));
    op.factor = factor;
    op.past = past_of(1, width);
    program.ops.emplace_back(op);
    return op.out;
  }

  // The mean of two chains of two blocks.
  ops::BufferId residual_layer(ops::BufferId x, std::int64_t width) {
    const std::int32_t rate = shape(x).rate;
    const auto add = [&](const char* name) {
      return program.add(name, width, ops::RowSpace::rows, rate);
    };
    const ops::BufferId mean = add("mean");
    const ops::BufferId activated = add("activated");
    const ops::BufferId inner = add("inner");
    for (const std::int32_t kernel : {3, 5}) {
      ops::BufferId chain = x;
      for (const std::int32_t dilation : {1, 3}) {
        snake(chain, activated);
        ops::TimeConv in = conv_of(activated, width, kernel, dilation);
        in.out = inner;
        program.ops.emplace_back(in);
        snake(inner, inner);
        ops::TimeConv out = conv_of(inner, width, kernel, 1);
        out.addend = chain;
        out.out = dilation == 1 ? add("block") : mean;
        if (dilation == 3) out.scale = 0.5F;
        out.accumulate = dilation == 3 && kernel == 5;
        program.ops.emplace_back(out);
        chain = out.out;
      }
    }
    return mean;
  }

  DType dtype;
  TestWeight table;
  std::vector<std::unique_ptr<TestWeight>> weights;
};

}  // namespace ttsrt::test
