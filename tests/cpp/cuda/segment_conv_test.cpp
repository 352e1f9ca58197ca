// Convolutions within a segment on a GPU at the sizes of a vocoder, beside the suites that run on
// every backend: taps on both sides, items of unequal lengths whose last rows lie beyond them, and
// the activation of the outputs for the next one.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "cpu/cpu_support.h"
#include "cuda/cuda_backend.h"
#include "cuda/launch_rate.h"
#include "support/rate_models.h"

namespace ttsrt::cuda {
namespace {

using test::TestBatch;
using test::TestWeight;

struct Size {
  std::int32_t inputs, outputs, rate, beyond, kernel, dilation, before;
};

// Two of them behind each other, the first with a scale, the second beside what the first gave; and
// another one onto that.
class Layers {
 public:
  Layers(const Size& size, DType dtype) : size_(size) {
    spec.slots = 1;
    const ops::BufferId flat = program.add("flat", std::int64_t{size.inputs} * size.rate,
                                           ops::RowSpace::rows, 1, size.beyond > 0 ? 1 : 0);
    ops::EmbedRows embed;
    embed.out = flat;
    program.ops.emplace_back(embed);
    const ops::BufferId x = add("x", size.inputs);
    program.ops.emplace_back(ops::SplitRows{flat, x});
    const ops::BufferId activated = add("activated", size.inputs);
    const ops::BufferId kept = add("kept", size.outputs);
    const ops::BufferId inner = add("inner", size.outputs);
    out = add("out", size.outputs);
    snake(x, activated, size.inputs);
    convolve(activated, kept, dtype).scale = 0.5F;
    snake(kept, inner, size.outputs);
    convolve(inner, out, dtype).addend = kept;
    convolve(activated, out, dtype).accumulate = true;
    program.ops.emplace_back(ops::HalfSnake{out, out, {}, 0.1F});
    program.ops.emplace_back(ops::EmitRows{out});
    program.name = "layers";
  }

  std::int64_t input_width() const { return std::int64_t{size_.inputs} * size_.rate; }
  std::int64_t output_width() const { return std::int64_t{size_.outputs} * size_.rate; }
  // Values of an item that has so many rows of the launch.
  std::int64_t values(std::int32_t rows) const {
    return (std::int64_t{rows} * size_.rate - size_.beyond) * size_.outputs;
  }

  ops::Program program;
  ops::StateSpec spec;
  ops::BufferId out = ops::kNoBuffer;

 private:
  ops::BufferId add(const char* name, std::int64_t width) {
    return program.add(name, width, ops::RowSpace::rows, size_.rate, size_.beyond);
  }
  const TestWeight& keep(TestWeight weight) {
    weights_.push_back(std::make_unique<TestWeight>(std::move(weight)));
    return *weights_.back();
  }
  std::uint64_t seed() const { return 10 + weights_.size(); }

  void snake(ops::BufferId x, ops::BufferId to, std::int32_t width) {
    program.ops.emplace_back(
        ops::HalfSnake{x, to, keep(test::make_vector(width, seed(), 0.5F, 1.0F))});
  }

  ops::TimeConv& convolve(ops::BufferId x, ops::BufferId to, DType dtype) {
    const std::int64_t width = program.activations[static_cast<std::size_t>(x)].width;
    const std::int64_t inputs = size_.kernel * width;
    ops::TimeConv op;
    op.x = x;
    op.out = to;
    op.weight = keep(test::make_panel(size_.outputs, inputs, dtype, seed(),
                                      1.0F / std::sqrt(static_cast<float>(inputs))));
    op.bias = keep(test::make_vector(size_.outputs, seed()));
    op.kernel = size_.kernel;
    op.dilation = size_.dilation;
    op.before = size_.before;
    program.ops.emplace_back(op);
    return std::get<ops::TimeConv>(program.ops.back());
  }

  Size size_;
  std::vector<std::unique_ptr<TestWeight>> weights_;
};

// Rows of an item, the last of which is beyond it where the size has such rows.
struct Item {
  std::int32_t rows;
  std::uint64_t seed;
};

class SegmentConv : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
  }

  static TestBatch batch_of(const Layers& layers, const std::vector<Item>& items) {
    TestBatch batch;
    for (const Item& item : items) {
      const auto count = static_cast<std::size_t>(item.rows * layers.input_width());
      batch.add_vectors(0, item.rows, test::random_vector(count, item.seed));
    }
    return batch;
  }

  // What each item becomes in one launch.
  static std::vector<std::vector<float>> run(const Layers& layers, const std::vector<Item>& items,
                                             bool trace = false) {
    const auto backend = make_cuda_backend(0);
    backend->create_state(layers.spec);
    ops::ProgramLimits limits;
    limits.max_rows = 400;
    limits.trace = trace;
    const auto executable = backend->compile(layers.program, limits);
    const TestBatch batch = batch_of(layers, items);
    executable->launch(batch.batch);
    const std::vector<float> values = test::run_queued(*backend).rows.at(0).values;
    std::vector<std::vector<float>> results;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto begin = values.begin() + batch.batch.segments[i].first_row * layers.output_width();
      results.emplace_back(begin, begin + layers.values(items[i].rows));
    }
    return results;
  }

  static void expect_same(const std::vector<float>& expected, const std::vector<float>& got,
                          const std::string& what) {
    ASSERT_EQ(expected.size(), got.size()) << what;
    EXPECT_EQ(std::memcmp(expected.data(), got.data(), got.size() * sizeof(float)), 0) << what;
  }

  static std::string name_of_size(const Size& size) {
    return std::to_string(size.inputs) + " to " + std::to_string(size.outputs) + " at rate " +
           std::to_string(size.rate) + ", kernel " + std::to_string(size.kernel);
  }
};

// Those of a HiFT, those of encoders that look ahead or back, and one whose columns and outputs are
// no multiples of a tile.
constexpr Size kSizes[] = {
    {256, 256, 8, 8, 11, 5, 25}, {128, 128, 40, 40, 7, 3, 9}, {64, 64, 120, 119, 11, 5, 25},
    {64, 64, 120, 119, 3, 1, 1}, {18, 64, 120, 119, 1, 1, 0}, {64, 18, 120, 119, 7, 1, 3},
    {80, 512, 1, 1, 7, 1, 3},    {512, 640, 1, 1, 3, 1, 1},   {512, 512, 1, 0, 4, 1, 0},
    {320, 256, 1, 0, 3, 1, 2},   {61, 70, 12, 5, 5, 2, 4},
};
// With items of the last two, tiles of every size are used.
const std::vector<Item> kCrowd = {{1, 1}, {2, 2},  {85, 3}, {1, 4},
                                  {3, 5}, {41, 6}, {2, 7},  {200, 8}};

TEST_P(SegmentConv, GivesTheBitsOfTheOpsOneByOne) {
  for (const Size& size : kSizes) {
    const Layers layers(size, GetParam());
    const auto apart = run(layers, kCrowd, true);
    const auto fused = run(layers, kCrowd, false);
    for (std::size_t i = 0; i < kCrowd.size(); ++i)
      expect_same(apart[i], fused[i], name_of_size(size));
  }
}

TEST_P(SegmentConv, GivesAnItemTheSameBitsInAnyCompany) {
  for (const Size& size : kSizes) {
    const Layers layers(size, GetParam());
    const auto together = run(layers, kCrowd);
    for (std::size_t i = 0; i < kCrowd.size(); ++i)
      expect_same(together[i], run(layers, {kCrowd[i]})[0], name_of_size(size));
  }
}

TEST_P(SegmentConv, GivesTheValuesOfTheReference) {
  for (const Size& size : kSizes) {
    if (std::int64_t{size.inputs} * size.outputs * size.kernel * size.rate > 3000000) continue;
    const Layers layers(size, GetParam());
    test::Pair pair(test::kCuda, 1, layers.spec);
    test::PairExecutable both(pair, layers.program, test::traced(16));
    both.run(batch_of(layers, {{2, 1}, {1, 2}, {5, 3}}).batch, 2e-2F, name_of_size(size));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, SegmentConv, testing::Values(DType::bfloat16, DType::float16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

NarrowConvArgs args_of(const Size& size, std::int32_t max_rows) {
  NarrowConvArgs args;
  args.width = size.inputs;
  args.outputs = size.outputs;
  args.rate = size.rate;
  args.kernel = size.kernel;
  args.dilation = size.dilation;
  args.before = size.before;
  args.beyond = size.beyond;
  args.max_rows = max_rows;
  return args;
}

// Needs no GPU: which tiles are chosen for a device of so many multiprocessors.
TEST(SegmentConvTiles, FillADevice) {
  for (const Size& size : kSizes) {
    const ConvWeightShape shape = {size.outputs, size.inputs, size.kernel, kSegmentUnit};
    EXPECT_TRUE(fits_segment_conv(args_of(size, 361)));
    for (const std::int32_t rows : {1, 85, 297, 361}) {
      const NarrowConvTile tile = segment_conv_tile(args_of(size, rows), 132);
      EXPECT_EQ(shape.tile() % tile.outputs, 0);
      EXPECT_TRUE(tile.groups == 1 || tile.groups == 2 || tile.groups == 4);
    }
  }
  const auto tile_of = [](const Size& size) { return segment_conv_tile(args_of(size, 297), 132); };
  EXPECT_EQ(tile_of(kSizes[0]).outputs, 128);  // 76 blocks of 64 rows
  EXPECT_EQ(tile_of(kSizes[0]).groups, 1);
  EXPECT_EQ(tile_of(kSizes[2]).groups, 2);  // 279 blocks of 128 rows
  Size wide = kSizes[0];
  wide.dilation = 200;  // a window that no block can hold
  EXPECT_FALSE(fits_segment_conv(args_of(wide, 361)));
}

}  // namespace
}  // namespace ttsrt::cuda
