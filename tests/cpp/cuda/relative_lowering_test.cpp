// A block of an encoder that knows distances and one of a flow behind it on a GPU, with narrow
// weights: attention on tensor cores, causal convolutions, norms that take over what is behind
// them. The values are those of the reference, and the bits those of the ops one by one, whatever
// else is in the launch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "cpu/cpu_support.h"
#include "cuda/cuda_backend.h"

namespace ttsrt::cuda {
namespace {

using test::TestBatch;
using test::TestWeight;

constexpr std::int32_t kBins = 80;
constexpr std::int32_t kWidth = 128;
constexpr std::int32_t kMost = 400;  // rows of a segment
constexpr std::int32_t kLengths[] = {33, 1, 350, 129};
constexpr std::int32_t kScheduleRows = 6;

ops::StateSpec state_of() {
  ops::StateSpec spec;
  spec.slots = 3;
  spec.schedule_width = 2 * kWidth;
  spec.schedule_rows = kScheduleRows;
  return spec;
}

class Blocks {
 public:
  Blocks(DType dtype, std::int32_t head_dim) : dtype_(dtype) {
    program.has_many_rows = true;
    bins_ = test::add_input(program, kBins);
    x = program.add("x", kWidth);
    normed_ = program.add("normed", kWidth);
    linear(bins_, x, kWidth, kBins);
    attend(head_dim);
    program.end_part();
    stage();
    program.ops.emplace_back(ops::EmitRows{out});
  }

  ops::Program program;
  ops::BufferId x = ops::kNoBuffer;
  ops::BufferId out = ops::kNoBuffer;

 private:
  const ops::Weight& keep(TestWeight weight) {
    return weights_.emplace_back(std::move(weight)).weight();
  }
  std::uint64_t seed() const { return 10 + weights_.size(); }
  ops::BufferId add(const char* name, std::int64_t width, std::int32_t rate = 1) {
    return program.add(name, width, ops::RowSpace::rows, rate);
  }

  void linear(ops::BufferId from, ops::BufferId to, std::int64_t outputs, std::int64_t inputs,
              ops::Activate activate = ops::Activate::none, bool accumulate = false) {
    const ops::Weight weight = keep(test::make_panel(outputs, inputs, dtype_, seed(), 0.1F));
    const ops::Weight bias = keep(test::make_vector(outputs, seed()));
    program.ops.emplace_back(ops::Linear{from, to, weight, bias, activate, accumulate});
  }
  void norm(ops::BufferId from, ops::BufferId to) {
    const ops::Weight weight = keep(test::make_norm(kWidth, seed()));
    const ops::Weight bias = keep(test::make_vector(kWidth, seed()));
    program.ops.emplace_back(ops::Norm{from, to, weight, 1e-5F, ops::NormKind::layer, bias});
  }
  void convolve(ops::BufferId from, ops::BufferId to, std::int64_t width, std::int32_t kernel) {
    ops::TimeConv op;
    op.x = from;
    op.out = to;
    op.weight = keep(test::make_panel(kWidth, kernel * width, dtype_, seed(), 0.08F));
    op.bias = keep(test::make_vector(kWidth, seed()));
    op.kernel = kernel;
    op.before = kernel - 1;
    program.ops.emplace_back(op);
  }

  void attend(std::int32_t head_dim) {
    const ops::BufferId distances = add("distances", kWidth, 2);
    const ops::BufferId projected = add("projected", kWidth, 2);
    const ops::BufferId qkv = add("qkv", 3 * kWidth);
    const ops::BufferId attended = add("attended", kWidth);
    program.ops.emplace_back(
        ops::DistanceRows{distances, keep(test::make_dense(2 * kMost, kWidth, DType::float32, 3))});
    convolve(distances, projected, kWidth, 1);
    norm(x, normed_);
    linear(normed_, qkv, 3 * kWidth, kWidth);
    const ops::Weight content = keep(test::make_vector(kWidth, seed(), 0.5F));
    const ops::Weight distance = keep(test::make_vector(kWidth, seed(), 0.5F));
    program.ops.emplace_back(ops::RelativeAttention{qkv, projected, attended, content, distance,
                                                    kWidth / head_dim, head_dim});
    linear(attended, x, kWidth, kWidth, ops::Activate::none, true);
  }

  // As a stage of a flow: columns that are joined, two convolutions with norms and activations, of
  // which the first adds what a schedule says, and a product around them.
  void stage() {
    const ops::BufferId joined = add("joined", kWidth + kBins);
    const ops::BufferId convolved = add("convolved", kWidth);
    const ops::BufferId between = add("between", kWidth);
    const ops::BufferId hidden = add("hidden", 2 * kWidth);
    const ops::BufferId added = add("added", kWidth);
    out = add("out", kBins);
    program.ops.emplace_back(ops::JoinColumns{{x, bins_}, joined});
    convolve(joined, convolved, kWidth + kBins, 3);
    norm(convolved, normed_);
    activate(normed_, between, kWidth);
    convolve(between, convolved, kWidth, 3);
    norm(convolved, normed_);
    activate(normed_, added, -1);
    linear(joined, added, kWidth, kWidth + kBins, ops::Activate::none, true);
    norm(added, normed_);
    linear(normed_, hidden, 2 * kWidth, kWidth, ops::Activate::gelu);
    linear(hidden, added, kWidth, 2 * kWidth, ops::Activate::none, true);
    convolve(added, convolved, kWidth, 5);
    linear(convolved, out, kBins, kWidth);
  }
  void activate(ops::BufferId from, ops::BufferId to, std::int32_t shift) {
    ops::ActivateRows op;
    op.x = from;
    op.out = to;
    op.activate = ops::Activate::mish;
    op.scale = shift < 0 ? 1.5F : 1.0F;
    op.shift = shift;
    program.ops.emplace_back(op);
  }

  DType dtype_;
  std::deque<TestWeight> weights_;
  ops::BufferId bins_ = ops::kNoBuffer;
  ops::BufferId normed_ = ops::kNoBuffer;
};

struct Case {
  DType dtype;
  std::int32_t head_dim;
};

class RelativeLowering : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
    pair_ = std::make_unique<test::Pair>(test::kCuda, 1, state_of());
    ops::Program program;
    program.ops.emplace_back(ops::StoreSchedule{test::add_input(program, 2 * kWidth)});
    TestBatch batch;
    for (std::int32_t slot = 0; slot < 3; ++slot)
      batch.add_vectors(slot, kScheduleRows,
                        test::random_vector(std::size_t{kScheduleRows} * 2 * kWidth,
                                            5 + static_cast<std::uint64_t>(slot), 0.5F));
    test::PairExecutable(*pair_, program, test::traced(32)).run(batch.batch, 0.0F, "schedule");
  }

  static Blocks blocks() { return {GetParam().dtype, GetParam().head_dim}; }

  static void add_item(TestBatch& batch, std::size_t item) {
    batch
        .add_vectors(
            static_cast<std::int32_t>(item % 3), kLengths[item],
            test::random_vector(static_cast<std::size_t>(kLengths[item]) * kBins, 20 + item))
        .schedule_row = static_cast<std::int32_t>(item);
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

  // What a launch emits, and x behind it.
  std::vector<float> run(const Blocks& of, ops::Executable& executable, const TestBatch& batch) {
    executable.launch(batch.batch);
    std::vector<float> values = test::run_queued(*pair_->cpu).rows.at(0).values;
    const float* x = executable.activation(of.x);
    values.insert(values.end(), x, x + std::int64_t{batch.batch.rows} * kWidth);
    return values;
  }

  std::unique_ptr<test::Pair> pair_;
};

TEST_P(RelativeLowering, GivesTheValuesOfTheReference) {
  const Blocks of = blocks();
  const float tolerance = GetParam().dtype == DType::float32 ? 5e-5F : 2e-2F;
  test::PairExecutable(*pair_, of.program, limits_of(true)).run(crowd().batch, tolerance, "blocks");
}

TEST_P(RelativeLowering, GivesTheBitsOfTheOpsOneByOne) {
  const Blocks of = blocks();
  const auto apart = pair_->cpu->compile(of.program, limits_of(true));
  const auto fused = pair_->cpu->compile(of.program, limits_of(false));
  const TestBatch batch = crowd();
  const std::vector<float> expected = run(of, *apart, batch);
  const std::vector<float> got = run(of, *fused, batch);
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
}

TEST_P(RelativeLowering, GivesAnItemTheSameBitsAloneAndInACrowd) {
  const Blocks of = blocks();
  const auto executable = pair_->cpu->compile(of.program, limits_of(false));
  const TestBatch together = crowd();
  const std::vector<float> all = run(of, *executable, together);
  for (std::size_t item = 0; item < std::size(kLengths); ++item) {
    TestBatch alone;
    add_item(alone, item);
    const std::vector<float> got = run(of, *executable, alone);
    const std::int64_t first = together.batch.segments[item].first_row;
    const std::size_t bytes = static_cast<std::size_t>(kLengths[item]) * kBins * sizeof(float);
    EXPECT_EQ(std::memcmp(got.data(), all.data() + first * kBins, bytes), 0) << kLengths[item];
  }
}

// Rows that an earlier launch left behind a segment have no effect, whatever they are.
TEST_P(RelativeLowering, ForgetsWhatWasThereBefore) {
  const Blocks of = blocks();
  const auto executable = pair_->cpu->compile(of.program, limits_of(false));
  TestBatch item;
  add_item(item, 0);
  const std::vector<float> before = run(of, *executable, item);
  TestBatch nothing;
  nothing.add_vectors(0, kMost, std::vector<float>(std::size_t{kMost} * kBins, NAN));
  run(of, *executable, nothing);
  const std::vector<float> behind = run(of, *executable, item);
  ASSERT_EQ(behind.size(), before.size());
  EXPECT_EQ(std::memcmp(behind.data(), before.data(), before.size() * sizeof(float)), 0);
}

// Parts run one by one, as graphs of their own, with the same bits.
TEST_P(RelativeLowering, PausesBetweenParts) {
  const Blocks of = blocks();
  const auto executable = pair_->cpu->compile(of.program, limits_of(false));
  TestBatch batch = crowd();
  const std::vector<float> expected = run(of, *executable, batch);
  batch.batch.first_part = 0;
  batch.batch.last_part = 1;
  executable->launch(batch.batch);
  EXPECT_TRUE(test::run_queued(*pair_->cpu).rows.empty());
  batch.batch.first_part = 1;
  batch.batch.last_part = step::kAllParts;
  const std::vector<float> got = run(of, *executable, batch);
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
}

constexpr Case kCases[] = {{DType::float32, 64},  {DType::float32, 16}, {DType::bfloat16, 64},
                           {DType::bfloat16, 32}, {DType::float16, 64}, {DType::bfloat16, 16}};

INSTANTIATE_TEST_SUITE_P(Types, RelativeLowering, testing::ValuesIn(kCases), [](const auto& info) {
  return std::string(name_of(info.param.dtype)) + "_" + std::to_string(info.param.head_dim);
});

}  // namespace
}  // namespace ttsrt::cuda
