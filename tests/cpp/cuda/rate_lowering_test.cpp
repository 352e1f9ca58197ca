// Convolutions over time on a GPU at the sizes of a codec, beside the suites that run on every
// backend: where it has warpgroups, they leave the activation of their outputs for the next one.
// The bits are those of the ops one by one, whatever else is in the launch and however it is cut.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "cpu/cpu_support.h"
#include "cuda/cuda_backend.h"
#include "support/rate_models.h"

namespace ttsrt::cuda {
namespace {

using test::TestBatch;
using test::TestWeight;

constexpr std::int32_t kSlots = 40;

struct Size {
  std::int32_t channels, rate, kernel, dilation;
};

// A residual block behind another one: activations, convolutions, sums and a mean.
class Blocks {
 public:
  Blocks(const Size& size, DType dtype) : size_(size), dtype_(dtype) {
    spec.slots = kSlots;
    const ops::BufferId x = test::add_rate_input(program, size.channels, size.rate);
    const ops::BufferId activated = add("activated");
    const ops::BufferId inner = add("inner");
    const ops::BufferId chain = add("chain");
    out = add("out");
    block(x, activated, inner, chain, size.dilation);
    block(chain, activated, inner, out, 1);
    auto& last = std::get<ops::TimeConv>(program.ops.back());
    last.scale = 0.5F;
    snake(out, out);
    program.ops.emplace_back(ops::EmitRows{out});
  }

  std::int64_t width() const { return std::int64_t{size_.channels} * size_.rate; }

  ops::Program program;
  ops::StateSpec spec;
  ops::BufferId out = ops::kNoBuffer;

 private:
  ops::BufferId add(const char* name) {
    return program.add(name, size_.channels, ops::RowSpace::rows, size_.rate);
  }
  const TestWeight& keep(TestWeight weight) {
    weights_.push_back(std::make_unique<TestWeight>(std::move(weight)));
    return *weights_.back();
  }
  std::uint64_t seed() const { return 10 + weights_.size(); }

  void snake(ops::BufferId x, ops::BufferId to) {
    program.ops.emplace_back(
        ops::HalfSnake{x, to, keep(test::make_vector(size_.channels / 2, seed(), 0.5F, 1.0F))});
  }

  void convolve(ops::BufferId x, ops::BufferId to, std::int32_t dilation, ops::BufferId addend) {
    const std::int64_t inputs = std::int64_t{size_.kernel} * size_.channels;
    ops::TimeConv op;
    op.x = x;
    op.out = to;
    op.weight = keep(test::make_panel(size_.channels, inputs, dtype_, seed(),
                                      1.0F / std::sqrt(static_cast<float>(inputs))));
    op.bias = keep(test::make_vector(size_.channels, seed()));
    op.kernel = size_.kernel;
    op.dilation = dilation;
    op.before = (size_.kernel - 1) * dilation;
    op.past = static_cast<std::int32_t>(spec.past.size());
    op.addend = addend;
    spec.past.push_back({op.before, size_.channels});
    program.ops.emplace_back(op);
  }

  void block(ops::BufferId x, ops::BufferId activated, ops::BufferId inner, ops::BufferId to,
             std::int32_t dilation) {
    snake(x, activated);
    convolve(activated, inner, dilation, ops::kNoBuffer);
    snake(inner, inner);
    convolve(inner, to, 1, x);
  }

  Size size_;
  DType dtype_;
  std::vector<std::unique_ptr<TestWeight>> weights_;
};

class RateLowering : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
  }

  // A sequence of frames, in a slot of its own.
  struct Item {
    std::int32_t slot;
    std::vector<std::int32_t> chunks;  // frames
  };

  // What the items of several launches emit, item after item.
  static std::vector<std::vector<float>> run(const Blocks& blocks, const std::vector<Item>& items,
                                             bool trace = false) {
    const auto backend = make_cuda_backend(0);
    backend->create_state(blocks.spec);
    ops::ProgramLimits limits;
    limits.max_rows = 2 * kSlots;
    limits.trace = trace;
    const auto executable = backend->compile(blocks.program, limits);
    std::vector<std::vector<float>> results(items.size());
    std::vector<std::int32_t> positions(items.size());
    for (std::size_t chunk = 0;; ++chunk) {
      TestBatch batch;
      std::vector<std::size_t> of;
      for (std::size_t i = 0; i < items.size(); ++i) {
        if (chunk >= items[i].chunks.size()) continue;
        const std::int32_t frames = items[i].chunks[chunk];
        const auto all =
            test::random_vector(static_cast<std::size_t>((positions[i] + frames) * blocks.width()),
                                static_cast<std::uint64_t>(items[i].slot));
        step::Segment& segment = batch.add_vectors(
            items[i].slot, frames, {all.begin() + positions[i] * blocks.width(), all.end()});
        segment.position = positions[i];
        positions[i] += frames;
        of.push_back(i);
      }
      if (of.empty()) return results;
      executable->launch(batch.batch);
      const std::vector<float> values = test::run_queued(*backend).rows.at(0).values;
      for (std::size_t i = 0; i < of.size(); ++i) {
        const step::Segment& segment = batch.batch.segments[i];
        const auto begin = values.begin() + segment.first_row * blocks.width();
        results[of[i]].insert(results[of[i]].end(), begin, begin + segment.rows * blocks.width());
      }
    }
  }

  static void expect_same(const std::vector<float>& expected, const std::vector<float>& got,
                          const char* what) {
    ASSERT_EQ(expected.size(), got.size()) << what;
    EXPECT_EQ(std::memcmp(expected.data(), got.data(), got.size() * sizeof(float)), 0) << what;
  }
};

// Those of the stages of a codec, and one whose rows are no multiples of a tile.
constexpr Size kSizes[] = {{432, 8, 11, 5},  {216, 64, 3, 3},  {108, 256, 7, 5},
                           {54, 512, 11, 3}, {27, 1024, 7, 1}, {61, 12, 5, 2}};

TEST_P(RateLowering, GivesTheBitsOfTheOpsOneByOne) {
  for (const Size& size : kSizes) {
    const Blocks blocks(size, GetParam());
    const std::vector<Item> items = {{3, {2, 1}}, {0, {1}}, {7, {1, 3, 1}}};
    const auto apart = run(blocks, items, true);
    const auto fused = run(blocks, items, false);
    for (std::size_t i = 0; i < items.size(); ++i)
      expect_same(apart[i], fused[i], std::to_string(size.channels).c_str());
  }
}

// How many rows a launch has decides the tiles of its convolutions.
TEST_P(RateLowering, GivesAnItemTheSameBitsInAnyChunksAndCompany) {
  for (const Size& size : kSizes) {
    const Blocks blocks(size, GetParam());
    std::vector<Item> crowd;
    for (std::int32_t slot = 0; slot < kSlots; ++slot)
      crowd.push_back({slot, slot % 3 == 0 ? std::vector<std::int32_t>{1, 2, 1}
                                           : std::vector<std::int32_t>{2, 2}});
    const auto together = run(blocks, crowd);
    for (const std::int32_t slot : {0, 1, kSlots - 1}) {
      const auto at = static_cast<std::size_t>(slot);
      const auto whole = run(blocks, {{slot, {4}}});
      const auto frames = run(blocks, {{slot, {1, 1, 1, 1}}});
      expect_same(together[at], whole[0], std::to_string(size.channels).c_str());
      expect_same(together[at], frames[0], std::to_string(size.channels).c_str());
    }
  }
}

TEST_P(RateLowering, GivesTheValuesOfTheReference) {
  for (const Size& size : {Size{216, 4, 7, 3}, Size{54, 16, 11, 5}, Size{27, 32, 3, 1}}) {
    const Blocks blocks(size, GetParam());
    test::Pair pair(test::kCuda, 1, blocks.spec);
    test::PairExecutable both(pair, blocks.program, test::traced(8));
    std::int32_t position = 0;
    for (const std::int32_t frames : {3, 1, 2}) {
      TestBatch batch;
      batch
          .add_vectors(1, frames,
                       test::random_vector(static_cast<std::size_t>(frames * blocks.width()),
                                           static_cast<std::uint64_t>(position)))
          .position = position;
      position += frames;
      both.run(batch.batch, 2e-2F, std::to_string(size.channels));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, RateLowering, testing::Values(DType::bfloat16, DType::float16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace ttsrt::cuda
