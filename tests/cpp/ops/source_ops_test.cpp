// A source of harmonics, and what vocoders with one need of the ops with rates: items whose length
// no rate divides, as the reference computes them.
#include "ops/source_ops.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/check.h"
#include "ops/reference/reference_backend.h"
#include "support/errors.h"
#include "support/rate_models.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;
using test::TestWeight;

constexpr double kTwoPi = 6.28318530717958647693;
constexpr std::int32_t kHop = 40;
constexpr std::int32_t kWidth = 1 + kHop + 3;  // of an input: a pitch, noise and three phases

TestWeight vector_of(const std::vector<float>& values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return TestWeight("vector", 1, count, DType::float32, Layout::dense, values);
}

// Splits an input into the pitch and the noise by products with ones, and makes a source of them.
struct Source {
  explicit Source(std::int32_t halo = 0) {
    spec.slots = 2;
    spec.rows = {{16, 2, false}};
    const BufferId input = test::add_input(program, kWidth);
    const BufferId pitch = program.add("pitch", 1);
    const BufferId noise = program.add("noise", kWidth - 1);
    out = program.add("out", kHop);
    program.ops.emplace_back(Linear{input, pitch, to_pitch, {}});
    program.ops.emplace_back(Linear{input, noise, to_noise, {}});
    HarmonicSource op;
    op.pitch = pitch;
    op.noise = noise;
    op.out = out;
    op.weight = weight;
    op.bias = bias;
    op.halo = halo;
    op.sample_rate = 8000.0F;
    program.ops.emplace_back(op);
  }

  static std::vector<float> columns(std::int64_t first, std::int64_t rows) {
    std::vector<float> values(static_cast<std::size_t>(rows * kWidth), 0.0F);
    for (std::int64_t i = 0; i < rows; ++i)
      values[static_cast<std::size_t>(i * kWidth + first + i)] = 1.0F;
    return values;
  }

  TestWeight to_pitch =
      TestWeight("pitch", 1, kWidth, DType::float32, Layout::panel16, columns(0, 1));
  TestWeight to_noise = TestWeight("noise", kWidth - 1, kWidth, DType::float32, Layout::panel16,
                                   columns(1, kWidth - 1));
  TestWeight weight = vector_of({0.5F, -0.25F, 0.125F});
  TestWeight bias = vector_of({0.01F});
  Program program;
  StateSpec spec;
  BufferId out = kNoBuffer;
};

// Rows of these pitches, with noise and phases of a seed.
std::vector<float> rows_of(const std::vector<float>& pitches) {
  std::vector<float> rows;
  for (std::size_t i = 0; i < pitches.size(); ++i) {
    rows.push_back(pitches[i]);
    const std::vector<float> noise = test::random_vector(kHop, 100 + i);
    rows.insert(rows.end(), noise.begin(), noise.end());
    rows.insert(rows.end(), {0.0F, 1.0F, -2.0F});
  }
  return rows;
}

std::vector<float> run(Backend& backend, const Source& source, const std::vector<float>& rows,
                       std::int32_t position = 0) {
  TestBatch batch;
  const auto count = static_cast<std::int32_t>(rows.size()) / kWidth;
  batch.add_vectors(1, count, rows).position = position;
  return test::values_of(*test::run_program(backend, source.program, batch.batch), source.out,
                         std::int64_t{count} * kHop);
}

std::unique_ptr<Backend> backend_of(const StateSpec& spec) {
  auto backend = make_reference_backend();
  backend->create_state(spec);
  return backend;
}

TEST(SourceOps, SumTheHarmonicsOfThePitchAndNoise) {
  const Source source;
  const std::vector<float> pitches = {200.0F, -150.0F, 10.0F};  // the sign has no meaning
  const std::vector<float> rows = rows_of(pitches);
  const std::vector<float> got = run(*backend_of(source.spec), source, rows);
  const double weights[] = {0.5, -0.25, 0.125};
  const double norm = std::sqrt(0.25 + 0.0625 + 0.015625);
  double cycles = 0.0;
  for (std::size_t row = 0; row < pitches.size(); ++row) {
    const float* given = rows.data() + row * kWidth;
    for (std::size_t s = 0; s < kHop; ++s) {
      cycles += std::fabs(static_cast<double>(pitches[row])) / 8000.0;
      const bool is_voiced = row < 2;
      double sum =
          0.01 + norm * (is_voiced ? 0.003 : 0.1 / 3.0) * static_cast<double>(given[1 + s]);
      for (std::size_t h = 0; h < 3 && is_voiced; ++h) {
        const double phase = static_cast<double>(given[1 + kHop + h]);
        const double turns = static_cast<double>(h + 1) * cycles;
        sum += weights[h] * 0.1 * std::sin(kTwoPi * turns + phase);
      }
      EXPECT_NEAR(got[row * kHop + s], std::tanh(sum), 1e-6) << row << ", " << s;
    }
  }
}

// Windows go on where the one before has left the pitch; what is in front of a window is zeros.
TEST(SourceOps, WindowsAreTheWhole) {
  const Source whole;
  const std::vector<float> pitches = {211.0F, 199.5F, 5.0F, 187.25F, 320.0F, 111.0F};
  const std::vector<float> rows = rows_of(pitches);
  const std::vector<float> expected = run(*backend_of(whole.spec), whole, rows);
  const Source source(2);
  const auto backend = backend_of(source.spec);
  run(*backend, source, {rows.begin(), rows.begin() + 4 * kWidth});
  const std::vector<float> got = run(*backend, source, {rows.begin() + kWidth, rows.end()}, 1);
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(got[i], i < 2 * kHop ? 0.0F : expected[kHop + i]) << i;
}

TEST(SourceOps, APitchThatIsNotFiniteIsAFault) {
  const Source source;
  const auto backend = backend_of(source.spec);
  TestBatch batch;
  batch.add_vectors(0, 2, rows_of({100.0F, INFINITY}));
  step::StepOutput output;
  test::run_program(*backend, source.program, batch.batch, &output);
  ASSERT_EQ(output.faults.size(), 1U);
  EXPECT_EQ(output.faults[0].row, 1);
  EXPECT_EQ(output.faults[0].stage, step::FaultStage::item_rows);
}

TEST(SourceOps, FadeTheFirstValuesOfAnItem) {
  Program program;
  const BufferId x = test::add_rate_input(program, 2, 2);
  const TestWeight factors = vector_of({0.0F, 0.5F, 0.5F, 2.0F, 3.0F, 4.0F});
  program.ops.emplace_back(FadeIn{x, factors});
  StateSpec spec;
  spec.slots = 2;
  const auto backend = backend_of(spec);
  TestBatch batch;
  batch.add_vectors(0, 2, {1, 1, 1, 1, 1, 1, 1, 1});
  batch.add_vectors(1, 1, {1, 1, 1, 1}).position = 1;
  EXPECT_EQ(test::values_of(*test::run_program(*backend, program, batch.batch), x, 12),
            (std::vector<float>{0, 0.5F, 0.5F, 2, 3, 4, 1, 1, 3, 4, 1, 1}));
}

// An item of 3 rows at rate 2 whose last row is beyond it: a centred transform of 2 rows has 5
// frames at a distance of one, of which the first is reflected.
TEST(SourceOps, ItemsMayBeShorterThanTheirRows) {
  StateSpec spec;
  spec.slots = 1;
  const auto backend = backend_of(spec);
  Program program;
  const BufferId flat = test::add_input(program, 2);
  const BufferId x = program.add("x", 1, RowSpace::rows, 2, 2);
  program.ops.emplace_back(SplitRows{flat, x});
  const BufferId longer = program.add("longer", 1, RowSpace::rows, 2, 1);
  program.ops.emplace_back(ShiftRows{x, longer, 1});
  const TestWeight taps("taps", 1, 3, DType::float32, Layout::panel16, {1, 10, 100});
  const auto convolve = [&](BufferId from, std::int32_t beyond, Padding padding) {
    TimeConv op;
    op.x = from;
    op.out = program.add("out", 1, RowSpace::rows, 2, beyond);
    op.weight = taps;
    op.kernel = 3;
    op.before = 1;
    op.padding = padding;
    op.activate = Activate::elu;
    program.ops.emplace_back(op);
    return op.out;
  };
  const BufferId zeros = convolve(x, 2, Padding::zeros);
  const BufferId reflected = convolve(longer, 1, Padding::reflect);
  TestBatch batch;
  batch.add_vectors(0, 3, {1, 2, 3, -4, NAN, NAN});
  const auto executable = test::run_program(*backend, program, batch.batch);
  const auto values = [&](BufferId of, std::int64_t count) {
    return test::values_of(*executable, of, count);
  };
  EXPECT_EQ(values(longer, 5), (std::vector<float>{2, 1, 2, 3, -4}));
  EXPECT_EQ(values(zeros, 3), (std::vector<float>{210, 321, static_cast<float>(std::expm1(-368))}));
  EXPECT_EQ(values(reflected, 3), (std::vector<float>{121, 212, 321}));
  EXPECT_NEAR(values(reflected, 5)[4], 263.0F, 1e-4);  // 3, -4, and 3 again
}

TEST(SourceOps, ChecksRefuseWhatDoesNotFit) {
  const auto refused = [](const char* words, auto change) {
    Source source;
    change(source, std::get<HarmonicSource>(source.program.ops.back()));
    EXPECT_TRUE(test::throws_naming<InternalError>(
        words, [&] { check_program(source.program, source.spec); }));
  };
  refused("expected width 43, got 40",
          [](Source& source, HarmonicSource& op) { op.noise = source.out; });
  refused("array of rows 1 of 1", [](Source&, HarmonicSource& op) { op.cycles = 1; });
  refused("expected width 2, got 3",
          [](Source& source, HarmonicSource&) { source.spec.rows[0].width = 3; });
  refused("rows of a halo", [](Source&, HarmonicSource& op) { op.halo = -1; });
  refused("a sample rate", [](Source&, HarmonicSource& op) { op.sample_rate = 0.0F; });
  refused("2 rows beyond an item, of rate 1",
          [](Source& source, HarmonicSource&) { source.program.activations[1].beyond = 2; });
  refused("rows beyond the item", [](Source& source, HarmonicSource&) {
    source.program.ops.emplace_back(ShiftRows{source.out, source.out, 1});
  });
}

}  // namespace
}  // namespace ttsrt::ops
