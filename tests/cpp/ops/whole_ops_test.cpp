// The ops of whole items as the reference computes them, against numbers that are worked out here.
#include "ops/whole_ops.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/reference/reference_backend.h"
#include "rules/stretch.h"
#include "support/backend.h"
#include "support/weights.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;
using test::TestWeight;

std::unique_ptr<Backend> backend_of(StateSpec spec) {
  spec.slots = 2;
  auto backend = make_reference_backend();
  backend->create_state(spec);
  return backend;
}

std::vector<float> run(Backend& backend, const Program& program, const TestBatch& batch,
                       BufferId out, std::int64_t count) {
  return test::values_of(*test::run_program(backend, program, batch.batch), out, count);
}

TEST(WholeOps, StretchATextOverAllRows) {
  std::vector<std::int32_t> from;
  for (std::int32_t row = 0; row < 11; ++row) from.push_back(rules::stretched_from(row, 11, 4));
  EXPECT_EQ(from, (std::vector<std::int32_t>{0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3}));
  for (std::int32_t row = 0; row < 4; ++row) EXPECT_EQ(rules::stretched_from(row, 4, 4), row);
}

TEST(WholeOps, ConvolveGroupsWithoutLookingIntoOtherItems) {
  constexpr std::int32_t kWidth = 4;  // 2 groups of 2
  constexpr std::int32_t kOutputs = 32;
  const auto backend = backend_of({});
  Program program;
  const BufferId x = test::add_input(program, kWidth);
  const BufferId out = program.add("out", kOutputs);
  const TestWeight weight = test::make_panel(kOutputs, 3 * 2, DType::float32, 1);
  const TestWeight bias = test::make_vector(kOutputs, 2);
  program.ops.emplace_back(GroupedConv{x, out, weight, bias, 2, 3, Activate::none, false});
  const std::vector<float> values = test::random_vector(5 * kWidth, 3);
  TestBatch batch;
  batch.add_vectors(0, 2, {values.begin(), values.begin() + 2 * kWidth});
  batch.add_vectors(1, 3, {values.begin() + 2 * kWidth, values.end()});
  const std::vector<float> got = run(*backend, program, batch, out, std::int64_t{5} * kOutputs);
  for (std::int32_t row = 0; row < 5; ++row) {
    const std::int32_t begin = row < 2 ? 0 : 2;
    const std::int32_t end = row < 2 ? 2 : 5;
    for (std::int32_t n = 0; n < kOutputs; ++n) {
      double sum = bias.at(0, n);
      for (std::int32_t tap = 0; tap < 3; ++tap) {
        const std::int32_t from = row + tap - 1;
        if (from < begin || from >= end) continue;
        for (std::int32_t c = 0; c < 2; ++c)
          sum += static_cast<double>(weight.at(n, tap * 2 + c)) *
                 values[static_cast<std::size_t>(std::int64_t{from} * kWidth + n / 16 * 2 + c)];
      }
      EXPECT_NEAR(got[static_cast<std::size_t>(row * kOutputs + n)], sum, 1e-6);
    }
  }
}

TEST(WholeOps, NormaliseResponsesOverAllRowsOfAnItem) {
  const auto backend = backend_of({});
  Program program;
  const BufferId x = test::add_input(program, 2);
  const BufferId y = program.add("y", 2);
  const BufferId sums = program.add("sums", 2);
  const TestWeight weight("taps", 1, 2, DType::float32, Layout::dense, {1.0F, 1.0F});
  const TestWeight zeros("zeros", 1, 2, DType::float32, Layout::dense, {0.0F, 0.0F});
  const TestWeight gamma("gamma", 1, 2, DType::float32, Layout::dense, {2.0F, 0.5F});
  const TestWeight beta("beta", 1, 2, DType::float32, Layout::dense, {0.1F, -0.1F});
  program.ops.emplace_back(DepthwiseConv{x, y, weight, zeros});
  program.ops.emplace_back(ResponseNorm{y, sums, gamma, beta, 0.0F});
  TestBatch batch;
  batch.add_vectors(0, 2, {3.0F, 1.0F, 4.0F, 0.0F});  // norms 5 and 1, their mean 3
  const std::vector<float> got = run(*backend, program, batch, y, 4);
  const float expected[] = {2.0F * 3.0F * 5.0F / 3.0F + 0.1F + 3.0F, 0.5F / 3.0F - 0.1F + 1.0F,
                            2.0F * 4.0F * 5.0F / 3.0F + 0.1F + 4.0F, -0.1F};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(got[i], expected[i], 1e-5F);
}

TEST(WholeOps, IntegrateWithGuidanceAndKeepWhatIsFixed) {
  StateSpec spec;
  spec.dim = 1;
  spec.max_context_rows = 4;
  spec.rows = {{4, 1, false}, {4, 1, false}, {4, 1, false}};
  const auto backend = backend_of(spec);
  rules::SlotRules rules;
  rules.flow_scale = 2.0F;
  backend->reset_slot({0, rules});
  const std::vector<float> starts[] = {{1.0F, 2.0F}, {7.0F, 8.0F}, {0.0F, 1.0F}};
  for (std::int32_t array = 0; array < 3; ++array) {
    Program saving;
    const BufferId x = test::add_input(saving, 1);
    saving.ops.emplace_back(SaveRows{x, array, 0});
    TestBatch rows;
    rows.add_vectors(0, 2, starts[array]);
    test::run_program(*backend, saving, rows.batch);
  }
  Program program;
  const BufferId velocity = test::add_input(program, 1);
  program.ops.emplace_back(FlowStep{velocity, 0, 1, 2});
  TestBatch batch;
  step::Segment& conditional = batch.add_vectors(0, 2, {0.5F, 0.25F});
  conditional.step_size = 0.1F;
  conditional.is_last = true;
  batch.add_vectors(0, 2, {0.25F, NAN}).branch = step::Branch::unconditional;
  test::run_program(*backend, program, batch.batch);
  Program reading;
  const BufferId state = test::add_input(reading, 1);
  const BufferId base = reading.add("base", 1);
  reading.ops.emplace_back(LoadRows{base, 0});
  TestBatch rows;
  rows.add(0, 2, step::Input::kept_rows);
  const auto executable = test::run_program(*backend, reading, rows.batch);
  // 0.5 + 2 (0.5 - 0.25) = 1; the second row is fixed, and its velocity is not read.
  EXPECT_NEAR(executable->activation(state)[0], 1.1F, 1e-6F);
  EXPECT_EQ(executable->activation(state)[1], 8.0F);
  EXPECT_NEAR(executable->activation(base)[0], 1.1F, 1e-6F);
  EXPECT_EQ(executable->activation(base)[1], 2.0F);
}

TEST(WholeOps, NeverClipAMagnitudeThatIsNotFinite) {
  const auto backend = backend_of({});
  Program program;
  const BufferId x = test::add_input(program, 4);
  const BufferId out = program.add("out", 4);
  program.ops.emplace_back(PolarSpectrum{x, out, 100.0F});
  TestBatch batch;
  batch.add_vectors(0, 1, {50.0F, INFINITY, 0.0F, 0.0F});
  const std::vector<float> got = run(*backend, program, batch, out, 4);
  EXPECT_FLOAT_EQ(got[0], 100.0F);
  EXPECT_TRUE(std::isnan(got[1]));
}

TEST(WholeOps, AddOverlappingFramesUpToTheEndsOfAnItem) {
  const auto backend = backend_of({});
  Program program;
  const BufferId frames = test::add_input(program, 4);
  const BufferId samples = program.add("samples", 2);
  const TestWeight window("window", 1, 4, DType::float32, Layout::dense, {0.0F, 1.0F, 2.0F, 1.0F});
  program.ops.emplace_back(OverlapAdd{frames, samples, window, 2});
  TestBatch batch;
  batch.add_vectors(0, 2, {1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F, 7.0F, 8.0F});
  const std::vector<float> got = run(*backend, program, batch, samples, 4);
  // Samples 2 and 3 are in both frames; 4 and 5 only in the second one.
  const float expected[] = {(3.0F + 5.0F) / 4.0F, (4.0F + 6.0F) / 2.0F, 7.0F / 4.0F, 8.0F};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(got[i], expected[i]);
}

}  // namespace
}  // namespace ttsrt::ops
