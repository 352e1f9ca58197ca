#include "tensorrt/plan_runner.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace ttsrt::tensorrt {
namespace {

using ttsrt::test::throws_naming;

// Plans without TensorRT: contexts that count their launches.
struct Seen {
  std::vector<ContextSettings> settings;
  std::vector<std::int32_t> launches;  // rows of each
  bool fails = false;
};

class FakeContext final : public Context {
 public:
  FakeContext(Seen& seen, std::int32_t rows) : seen_(seen), rows_(rows) {}
  void enqueue(void*) override {
    if (seen_.fails) throw std::runtime_error("no kernel");
    seen_.launches.push_back(rows_);
  }
  std::vector<LayerTime> times() const override { return {{"product", 2, 0.5}, {"norm", 2, 0.1}}; }

 private:
  Seen& seen_;
  std::int32_t rows_;
};

class FakePlan final : public Plan {
 public:
  explicit FakePlan(Seen& seen) : seen_(seen) {}
  std::size_t memory_bytes() const override { return 64; }
  std::vector<BoundTensor> tensors() const override {
    return {{"x", Type::float32, {kRowsExtent, 8}, true}, {"y", Type::int32, {1}, false}};
  }
  std::unique_ptr<Context> make_context(const ContextSettings& settings) override {
    seen_.settings.push_back(settings);
    return std::make_unique<FakeContext>(seen_, settings.rows);
  }

 private:
  Seen& seen_;
};

class PlanRunnerTest : public testing::Test {
 protected:
  std::unique_ptr<PlanRunner> make(LaunchNeeds needs, bool keeps_times = false) {
    return std::make_unique<PlanRunner>(
        "tensorrt decode 0", std::make_unique<FakePlan>(seen_),
        std::vector<RowRange>{{1, 2, 8}, {9, 16, 16}},
        [] { return std::vector<std::pair<std::string, void*>>{{"x", nullptr}}; }, needs, &scratch_,
        keeps_times);
  }
  static cuda::Bounds bounds(std::int32_t rows) {
    cuda::Bounds made;
    made.rows = rows;
    made.has_single_rows = true;
    return made;
  }

  Seen seen_;
  std::byte memory_[64] = {};
  std::byte* scratch_ = memory_;
};

TEST_F(PlanRunnerTest, MakesOneContextForEachNumberOfRows) {
  const auto runner = make({true, 0});
  EXPECT_FALSE(runner->has_run(bounds(4)));
  for (const std::int32_t rows : {4, 16, 4}) runner->run(bounds(rows), nullptr);
  EXPECT_TRUE(runner->has_run(bounds(4)));
  EXPECT_FALSE(runner->has_run(bounds(8)));
  EXPECT_EQ(seen_.launches, (std::vector<std::int32_t>{4, 16, 4}));
  ASSERT_EQ(seen_.settings.size(), 2U);
  EXPECT_EQ(seen_.settings[0].profile_index, 0);
  EXPECT_EQ(seen_.settings[1].profile_index, 1);
  EXPECT_EQ(seen_.settings[0].memory, scratch_);
  EXPECT_EQ(seen_.settings[0].addresses.size(), 1U);
}

TEST_F(PlanRunnerTest, RefusesLaunchesThatItsNetworkWasNotWrittenFor) {
  const auto runner = make({true, 3});
  cuda::Bounds asked = bounds(4);
  asked.has_single_rows = false;
  EXPECT_TRUE(
      throws_naming<InternalError>("segments of one row", [&] { runner->run(asked, nullptr); }));
  asked = bounds(4);
  asked.passes = 4;
  EXPECT_TRUE(throws_naming<ConfigError>("at most 3 passes on device tensorrt, got 4",
                                         [&] { runner->run(asked, nullptr); }));
  EXPECT_TRUE(throws_naming<InternalError>("no profile has 17 rows",
                                           [&] { runner->run(bounds(17), nullptr); }));
  EXPECT_TRUE(seen_.launches.empty());
}

TEST_F(PlanRunnerTest, MakesErrorsOfTensorRTErrorsOfTheDevice) {
  const auto runner = make({});
  seen_.fails = true;
  EXPECT_TRUE(throws_naming<DeviceError>("tensorrt: tensorrt decode 0: no kernel",
                                         [&] { runner->run(bounds(4), nullptr); }));
}

TEST_F(PlanRunnerTest, AddsTheTimesOfItsContexts) {
  const auto runner = make({}, true);
  for (const std::int32_t rows : {4, 16}) runner->run(bounds(rows), nullptr);
  EXPECT_TRUE(seen_.settings[0].keeps_times);
  std::vector<StageTimes> times;
  runner->add_times(times);
  ASSERT_EQ(times.size(), 2U);
  EXPECT_EQ(times[0].stage, "product");
  EXPECT_EQ(times[0].runs, 4U);
  EXPECT_DOUBLE_EQ(times[0].seconds, 1.0);
}

TEST_F(PlanRunnerTest, ComparesThePlanWithWhatIsBound) {
  const FakePlan plan(seen_);
  Binding x;
  x.name = "x";
  x.dims = {kRowsExtent, 8};
  Binding y;
  y.name = "y";
  y.type = Type::int32;
  y.dims = {1};
  y.is_output = true;
  check_tensors("decode", plan, {x, y});
  EXPECT_TRUE(throws_naming<InternalError>("expected 1 inputs and outputs, got 2",
                                           [&] { check_tensors("decode", plan, {x}); }));
  x.dims = {kRowsExtent, 9};
  EXPECT_TRUE(throws_naming<InternalError>("no tensor x of that type and shape",
                                           [&] { check_tensors("decode", plan, {x, y}); }));
}

}  // namespace
}  // namespace ttsrt::tensorrt
