// The ops with rates as the reference computes them, against numbers that are worked out here.
#include "ops/rate_ops.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/reference/reference_backend.h"
#include "support/errors.h"
#include "support/rate_models.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;
using test::TestWeight;

std::unique_ptr<Backend> backend_of(StateSpec spec = {}) {
  spec.slots = 2;
  auto backend = make_reference_backend();
  backend->create_state(spec);
  return backend;
}

std::vector<float> run(Backend& backend, const Program& program, const TestBatch& batch,
                       BufferId out) {
  const Activation& shape = program.activations[static_cast<std::size_t>(out)];
  return test::values_of(*test::run_program(backend, program, batch.batch), out,
                         batch.batch.rows * shape.values());
}

TestWeight vector_of(std::vector<float> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return TestWeight("vector", 1, count, DType::float32, Layout::dense, values);
}

TEST(RateOps, LookUpTheVectorOfEachCode) {
  const auto backend = backend_of();
  Program program;
  const BufferId out = program.add("out", 4);
  const TestWeight table("table", 3, 2, DType::float32, Layout::dense, {0, 1, 10, 11, 20, 21});
  program.ops.emplace_back(DequantizeCodes{out, table, 2});
  TestBatch batch;
  batch.add_ids(0, 2, step::Input::codes, {2, 0, 1, 1});
  EXPECT_EQ(run(*backend, program, batch, out), (std::vector<float>{20, 21, 0, 1, 10, 11, 10, 11}));
  TestBatch beyond;
  beyond.add_ids(0, 1, step::Input::codes, {2, 3});
  EXPECT_TRUE(test::throws_naming<InternalError>("code 3 of 3",
                                                 [&] { run(*backend, program, beyond, out); }));
}

TEST(RateOps, ActivateHalfOfTheColumnsBySines) {
  const auto backend = backend_of();
  Program program;
  const BufferId x = test::add_rate_input(program, 3, 2);
  const BufferId out = program.add("out", 3, RowSpace::rows, 2);
  const TestWeight alpha = vector_of({2.0F});
  program.ops.emplace_back(HalfSnake{x, out, alpha});
  program.ops.emplace_back(HalfSnake{x, x});
  TestBatch batch;
  batch.add_vectors(0, 1, {0.5F, -1.0F, 2.0F, -3.0F, 4.0F, -5.0F});
  const auto executable = test::run_program(*backend, program, batch.batch);
  const auto snake = [](double v) { return v + std::pow(std::sin(2.0 * v), 2) / (2.0 + 1e-9); };
  const std::vector<double> expected = {snake(0.5), -0.01, 2.0, snake(-3.0), 4.0, -0.05};
  const std::vector<float> plain = {0.5F, -0.01F, 2.0F, -0.03F, 4.0F, -0.05F};
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(executable->activation(out)[i], expected[i], 1e-6);
    EXPECT_FLOAT_EQ(executable->activation(x)[i], plain[i]);
  }
}

// A convolution of one column with the weights 1, 10, 100.
struct Taps {
  TestWeight weight = TestWeight("taps", 1, 3, DType::float32, Layout::panel16, {1, 10, 100});
  Program program;
  BufferId x = test::add_rate_input(program, 1, 2);
  BufferId out = kNoBuffer;

  explicit Taps(TimeConv op) {
    out = program.add("out", 1, RowSpace::rows, 2 / op.stride);
    op.x = x;
    op.out = out;
    op.weight = weight;
    op.kernel = 3;
    program.ops.emplace_back(op);
  }
};

TimeConv conv_of(std::int32_t dilation, std::int32_t stride, std::int32_t before,
                 Padding padding = Padding::zeros) {
  TimeConv op;
  op.dilation = dilation;
  op.stride = stride;
  op.before = before;
  op.padding = padding;
  return op;
}

std::vector<float> convolve(const TimeConv& op, StateSpec spec = {}) {
  const Taps taps(op);
  TestBatch batch;
  batch.add_vectors(0, 2, {1, 2, 3, 4});
  batch.add_vectors(1, 1, {5, 6});
  const auto backend = backend_of(std::move(spec));
  return run(*backend, taps.program, batch, taps.out);
}

TEST(RateOps, ConvolveOverTheTimeOfEachItem) {
  EXPECT_EQ(convolve(conv_of(1, 1, 1)), (std::vector<float>{210, 321, 432, 43, 650, 65}));
  EXPECT_EQ(convolve(conv_of(1, 1, 1, Padding::replicate)),
            (std::vector<float>{211, 321, 432, 443, 655, 665}));
  EXPECT_EQ(convolve(conv_of(2, 1, 4)), (std::vector<float>{100, 200, 310, 420, 500, 600}));
  EXPECT_EQ(convolve(conv_of(1, 2, 1)), (std::vector<float>{210, 432, 650}));
}

TEST(RateOps, ScaleTheSumOfAnAddendAndAValue) {
  TimeConv op = conv_of(1, 1, 1);
  op.addend = 1;  // what is convolved
  op.scale = 0.5F;
  EXPECT_EQ(convolve(op), (std::vector<float>{105.5, 161.5, 217.5, 23.5, 327.5, 35.5}));
}

TEST(RateOps, ContinueWithTheRowsThatAreKept) {
  StateSpec spec;
  spec.past = {{4, 1}};
  TimeConv op = conv_of(2, 1, 4);
  op.past = 0;
  const Taps taps(op);
  const auto backend = backend_of(spec);
  const auto decode = [&](std::int32_t position, std::vector<float> values) {
    TestBatch batch;
    const auto rows = static_cast<std::int32_t>(values.size()) / 2;
    batch.add_vectors(1, rows, std::move(values)).position = position;
    return run(*backend, taps.program, batch, taps.out);
  };
  EXPECT_EQ(decode(0, {1, 2}), (std::vector<float>{100, 200}));
  EXPECT_EQ(decode(1, {3, 4, 5, 6}), (std::vector<float>{310, 420, 531, 642}));
  EXPECT_EQ(decode(3, {7, 8}), (std::vector<float>{753, 864}));
  EXPECT_EQ(decode(0, {7, 8}), (std::vector<float>{700, 800}));  // a sequence that starts again
}

TEST(RateOps, UpsampleEachPairOfColumns) {
  StateSpec spec;
  spec.past = {{1, 2}};
  const auto backend = backend_of(spec);
  Program program;
  const BufferId x = test::add_input(program, 2);
  const BufferId out = program.add("out", 1, RowSpace::rows, 2);
  const TestWeight weight("taps", 2, 4, DType::float32, Layout::dense,
                          {1, 10, 100, 1000, 2, 20, 200, 2000});
  const TestWeight bias = vector_of({0.5F});
  program.ops.emplace_back(Upsample{x, out, weight, bias, 2, 0});
  TestBatch batch;
  batch.add_vectors(0, 2, {1, 2, 3, 4});
  EXPECT_EQ(run(*backend, program, batch, out), (std::vector<float>{5.5F, 50.5F, 511.5F, 5110.5F}));
  TestBatch next;
  next.add_vectors(0, 1, {0, 0}).position = 2;
  EXPECT_EQ(run(*backend, program, next, out), (std::vector<float>{1100.5F, 11000.5F}));
}

TEST(RateOps, EmitAllRowsOfARate) {
  const auto backend = backend_of();
  Program program;
  const BufferId x = test::add_rate_input(program, 2, 3);
  program.ops.emplace_back(Clamp{x, -1.0F, 3.5F});
  program.ops.emplace_back(EmitRows{x});
  program.taps = {{"clamped", x}};
  TestBatch batch;
  batch.add_vectors(0, 2, {-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, NAN, 9});
  ProgramLimits limits;
  limits.max_rows = 4;
  limits.trace = true;
  const auto executable = backend->compile(program, limits);
  EXPECT_EQ(executable->activation_bytes(), 4U * (6 + 6) * sizeof(float));
  executable->launch(batch.batch);
  const step::StepOutput output = test::run_queued(*backend);
  ASSERT_EQ(output.rows.size(), 1U);
  EXPECT_EQ(output.rows[0].width, 6);
  ASSERT_EQ(output.rows[0].values.size(), 12U);
  EXPECT_EQ(output.rows[0].values[0], -1.0F);
  EXPECT_EQ(output.rows[0].values[9], 3.5F);
  EXPECT_TRUE(std::isnan(output.rows[0].values[10]));
  ASSERT_EQ(output.taps.size(), 1U);
  EXPECT_EQ(output.taps[0].rows, 2);
  EXPECT_EQ(output.taps[0].width, 6);
}

TEST(RateOps, QuantizeGroupsToCodes) {
  const auto backend = backend_of();
  Program program;
  const BufferId x = test::add_input(program, 4);
  const BufferId codes = program.add("codes", 2);
  program.ops.emplace_back(QuantizeRows{x, codes, {4, 3}});
  TestBatch batch;
  // With 4 levels, -9 is 0, 0 is 2 and 9 is 3; with 3 levels, they are 0, 1 and 2.
  batch.add_vectors(0, 2, {-9, -9, 0, 0, 9, 9, 0, 9});
  EXPECT_EQ(run(*backend, program, batch, codes), (std::vector<float>{0, 6, 11, 10}));
}

TEST(RateOps, DecodeInChunksAsWhole) {
  const test::RateDecoder decoder(DType::float32);
  const auto codes = test::RateDecoder::codes(7, 3);
  const auto decode = [&](std::vector<std::int32_t> chunks) {
    auto backend = make_reference_backend();
    backend->create_state(decoder.spec);
    std::vector<float> sound;
    std::int32_t position = 0;
    for (const std::int32_t rows : chunks) {
      TestBatch batch;
      batch
          .add_ids(2, rows, step::Input::codes,
                   {codes.begin() + position * 4, codes.begin() + (position + rows) * 4})
          .position = position;
      position += rows;
      step::StepOutput output;
      test::run_program(*backend, decoder.program, batch.batch, &output);
      sound.insert(sound.end(), output.rows[0].values.begin(), output.rows[0].values.end());
    }
    return sound;
  };
  const std::vector<float> whole = decode({7});
  EXPECT_EQ(whole.size(), 7U * test::RateDecoder::kRate);
  EXPECT_EQ(decode({1, 4, 2}), whole);
}

}  // namespace
}  // namespace ttsrt::ops
