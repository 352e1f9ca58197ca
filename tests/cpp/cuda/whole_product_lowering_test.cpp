// Programs of many rows on a GPU: where it has warpgroups, products read and leave narrow rows and
// take over what follows them. The values are those of the reference, and the bits those of the ops
// one by one, whatever else is in the launch.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "cpu/cpu_support.h"
#include "cuda/cuda_backend.h"
#include "support/rope_table.h"

namespace ttsrt::cuda {
namespace {

using test::TestBatch;
using test::TestWeight;

constexpr std::int32_t kWidth = 128;  // two heads, or groups, of 64
constexpr std::int32_t kHidden = 320;
constexpr std::int32_t kBins = 100;
constexpr std::int32_t kLengths[] = {33, 1, 300, 129};

ops::StateSpec state_of(std::int32_t width) {
  ops::StateSpec spec;
  spec.slots = 3;
  spec.num_blocks = 2;
  spec.schedule_width = 6 * width;
  return spec;
}

// A block of a transformer over items, with all that products take over.
class Block {
 public:
  explicit Block(DType dtype, std::int32_t w = kWidth, std::int32_t hidden_width = kHidden,
                 std::int32_t positions = 400)
      : width(w), rope_(positions, 64) {
    program.has_many_rows = true;
    const ops::BufferId bins = test::add_input(program, kBins);
    x = program.add("x", width);
    const ops::BufferId normed = program.add("normed", width);
    const ops::BufferId qkv = program.add("qkv", 3 * width);
    const ops::BufferId attended = program.add("attended", width);
    const ops::BufferId branch = program.add("branch", width);
    const ops::BufferId hidden = program.add("hidden", hidden_width);
    out = program.add("out", kBins);
    linear(bins, x, width, kBins, dtype);
    program.ops.emplace_back(conv(x, normed, dtype, false));
    program.ops.emplace_back(conv(normed, x, dtype, true));
    program.ops.emplace_back(ops::ModulatedNorm{x, normed, width, 0, 1e-6F});
    linear(normed, qkv, 3 * width, width, dtype);
    program.ops.emplace_back(attention(qkv, attended, dtype));
    linear(attended, branch, width, width, dtype);
    program.ops.emplace_back(ops::AddModulated{branch, x, 2 * width});
    program.ops.emplace_back(ops::ModulatedNorm{x, normed, 4 * width, 3 * width, 1e-6F});
    linear(normed, hidden, hidden_width, width, dtype, ops::Activate::gelu_tanh);
    linear(hidden, branch, width, hidden_width, dtype);
    program.ops.emplace_back(ops::AddModulated{branch, x, 5 * width});
    program.ops.emplace_back(ops::ModulatedNorm{x, normed, 0, width, 1e-6F});
    linear(normed, out, kBins, width, dtype);
    program.ops.emplace_back(ops::EmitRows{out});
  }

  const std::int32_t width;
  ops::Program program;
  ops::BufferId x = ops::kNoBuffer;
  ops::BufferId out = ops::kNoBuffer;

 private:
  const ops::Weight& keep(TestWeight weight) {
    kept_.push_back(std::move(weight));
    return kept_.back();
  }
  std::uint64_t seed() { return 10 + kept_.size(); }

  void linear(ops::BufferId from, ops::BufferId to, std::int64_t outputs, std::int64_t inputs,
              DType dtype, ops::Activate activate = ops::Activate::none) {
    const ops::Weight weight = keep(test::make_panel(outputs, inputs, dtype, seed(), 0.1F));
    const ops::Weight bias = keep(test::make_vector(outputs, seed()));
    program.ops.emplace_back(ops::Linear{from, to, weight, bias, activate});
  }

  ops::GroupedConv conv(ops::BufferId from, ops::BufferId to, DType dtype, bool accumulate) {
    constexpr std::int32_t kTaps = 7;
    const ops::Weight weight =
        keep(test::make_panel(width, std::int64_t{kTaps} * 64, dtype, seed(), 0.05F));
    const ops::Weight bias = keep(test::make_vector(width, seed()));
    return {from, to, weight, bias, width / 64, kTaps, ops::Activate::mish, accumulate};
  }

  ops::SelfAttention attention(ops::BufferId qkv, ops::BufferId to, DType dtype) const {
    ops::SelfAttention op;
    op.qkv = qkv;
    op.out = to;
    op.heads = width / 64;
    op.head_dim = 64;
    op.causal = false;
    op.rope = rope_.weight();
    op.rope_heads = 1;
    op.segment_dtype = dtype;
    return op;
  }

  test::TestRope rope_;
  std::vector<TestWeight> kept_;
};

class WholeProductLowering : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
    open(kWidth);
  }

  // Opens backends for blocks of a width, and stores a schedule.
  void open(std::int32_t width) {
    const std::int32_t columns = 6 * width;
    pair_ = std::make_unique<test::Pair>(test::kCuda, 1, state_of(width));
    ops::Program program;
    const ops::BufferId rows = test::add_input(program, columns);
    program.ops.emplace_back(ops::StoreSchedule{rows});
    TestBatch batch;
    batch.add_vectors(0, 32, test::random_vector(std::size_t{32} * columns, 5, 0.5F));
    batch.set_blocks({0, 1});
    test::PairExecutable(*pair_, program, test::traced(32)).run(batch.batch, 0.0F, "schedule");
  }

  static void add_item(TestBatch& batch, std::size_t item) {
    add_item(batch, item, kLengths[item]);
  }
  static void add_item(TestBatch& batch, std::size_t item, std::int32_t rows) {
    batch
        .add_vectors(static_cast<std::int32_t>(item % 3), rows,
                     test::random_vector(static_cast<std::size_t>(rows) * kBins, 20 + item))
        .schedule_row = 3 + 7 * static_cast<std::int32_t>(item);
  }

  static TestBatch crowd() {
    TestBatch batch;
    for (std::size_t item = 0; item < std::size(kLengths); ++item) add_item(batch, item);
    return batch;
  }

  static ops::ProgramLimits limits_of(bool trace) {
    ops::ProgramLimits limits = test::traced(1024);
    limits.trace = trace;
    limits.max_segments = 8;
    return limits;
  }

  // The rows that a launch emits, and x.
  std::vector<float> run(const Block& block, ops::Executable& executable, const TestBatch& batch) {
    executable.launch(batch.batch);
    const step::StepOutput output = test::run_queued(*pair_->cpu);
    std::vector<float> values = output.rows.at(0).values;
    const float* x = executable.activation(block.x);
    values.insert(values.end(), x, x + std::int64_t{batch.batch.rows} * block.width);
    return values;
  }

  std::unique_ptr<test::Pair> pair_;
};

TEST_P(WholeProductLowering, GivesTheValuesOfTheReference) {
  const Block block(GetParam());
  test::PairExecutable(*pair_, block.program, limits_of(true)).run(crowd().batch, 2e-2F, "block");
}

TEST_P(WholeProductLowering, GivesTheBitsOfTheOpsOneByOne) {
  const Block block(GetParam());
  const auto apart = pair_->cpu->compile(block.program, limits_of(true));
  const auto fused = pair_->cpu->compile(block.program, limits_of(false));
  const TestBatch batch = crowd();
  const std::vector<float> expected = run(block, *apart, batch);
  const std::vector<float> got = run(block, *fused, batch);
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
}

TEST_P(WholeProductLowering, GivesAnItemTheSameBitsAloneAndInACrowd) {
  const Block block(GetParam());
  const auto executable = pair_->cpu->compile(block.program, limits_of(false));
  const TestBatch together = crowd();
  const std::vector<float> all = run(block, *executable, together);
  for (std::size_t item = 0; item < std::size(kLengths); ++item) {
    TestBatch alone;
    add_item(alone, item);
    const std::vector<float> got = run(block, *executable, alone);
    const std::int64_t first = together.batch.segments[item].first_row;
    const std::size_t bins = static_cast<std::size_t>(kLengths[item] * kBins) * sizeof(float);
    EXPECT_EQ(std::memcmp(got.data(), all.data() + first * kBins, bins), 0) << kLengths[item];
  }
}

// Parts of a Program run one by one, as graphs of their own, with the same bits.
TEST_P(WholeProductLowering, PausesBetweenParts) {
  Block block(GetParam());
  block.program.part_begins = {4, 8};
  const auto executable = pair_->cpu->compile(block.program, limits_of(false));
  TestBatch batch = crowd();
  const std::vector<float> expected = run(block, *executable, batch);
  for (std::int32_t part = 0; part < 2; ++part) {
    batch.batch.first_part = part;
    batch.batch.last_part = part + 1;
    executable->launch(batch.batch);
    EXPECT_TRUE(test::run_queued(*pair_->cpu).rows.empty());
  }
  batch.batch.first_part = 2;
  batch.batch.last_part = step::kAllParts;
  const std::vector<float> got = run(block, *executable, batch);
  EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
}

// How many rows a launch has decides the tiles of its products, and which kernel multiplies them.
TEST_P(WholeProductLowering, GivesAnItemTheSameBitsWhateverTheTilesOfALaunch) {
  constexpr std::int32_t kRows[] = {300, 900, 1200};
  constexpr std::int32_t kWide = 1024;
  open(kWide);
  const Block block(GetParam(), kWide, 2 * kWide, 1200);
  ops::ProgramLimits limits = limits_of(false);
  limits.max_rows = 2400;
  const auto executable = pair_->cpu->compile(block.program, limits);
  TestBatch batch;
  std::vector<float> alone;
  for (std::size_t item = 0; item < std::size(kRows); ++item) {
    add_item(batch, item, kRows[item]);
    const std::vector<float> all = run(block, *executable, batch);
    std::vector<float> first(all.begin(), all.begin() + std::int64_t{kRows[0]} * kBins);
    const auto x = all.begin() + std::int64_t{batch.batch.rows} * kBins;
    first.insert(first.end(), x, x + std::int64_t{kRows[0]} * kWide);
    if (item == 0) alone = first;
    ASSERT_EQ(first.size(), alone.size());
    EXPECT_EQ(std::memcmp(first.data(), alone.data(), alone.size() * sizeof(float)), 0)
        << batch.batch.rows;
  }
}

// Long launches attend by other thread blocks than short ones, with the same bits.
TEST_P(WholeProductLowering, AttendsInALongLaunchAsInAShortOne) {
  constexpr std::int32_t kRows = 1200;
  constexpr std::int32_t kDims = 16 * 64;
  ops::Program program;
  program.has_many_rows = true;
  ops::SelfAttention op;
  op.qkv = test::add_input(program, 3 * kDims);
  op.out = program.add("attended", kDims);
  op.heads = kDims / 64;
  op.head_dim = 64;
  op.causal = false;
  op.segment_dtype = GetParam();
  program.ops.emplace_back(op);
  program.ops.emplace_back(ops::EmitRows{op.out});
  ops::ProgramLimits limits = test::traced(2 * kRows);
  limits.trace = false;
  limits.max_segments = 2;
  const auto executable = pair_->cpu->compile(program, limits);
  const auto attended = [&](const std::vector<std::int32_t>& items) {
    TestBatch batch;
    for (const std::int32_t item : items)
      batch.add_vectors(item, kRows, test::random_vector(kRows * 3 * kDims, 40 + item, 2.0F));
    executable->launch(batch.batch);
    return test::run_queued(*pair_->cpu).rows.at(0).values;
  };
  std::vector<float> apart = attended({0});
  const std::vector<float> second = attended({1});
  apart.insert(apart.end(), second.begin(), second.end());
  const std::vector<float> together = attended({0, 1});
  ASSERT_EQ(together.size(), apart.size());
  EXPECT_EQ(std::memcmp(together.data(), apart.data(), apart.size() * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(Types, WholeProductLowering,
                         testing::Values(DType::bfloat16, DType::float16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace ttsrt::cuda
