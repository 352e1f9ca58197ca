// Edge cases of products of quantized weights: the largest sums, inputs of zeros, inputs that are
// not numbers.
#include <gtest/gtest.h>

#include "cpu_support.h"
#include "model/quantize.h"

namespace ttsrt {
namespace {

using test::Pair;
using test::PairExecutable;
using test::TestBatch;
using test::TestWeight;

// Returns `values` [rows, cols] quantized as a build does; its at() is not used.
TestWeight quantized(const test::WeightKind& kind, std::int64_t rows, std::int64_t cols,
                     const std::vector<float>& values) {
  ops::Weight weight = {
      "w", model::stored_dtype(kind.quantization), ops::Layout::panel16, rows, cols, nullptr};
  weight.quantization = kind.quantization;
  weight.group_size = kind.group_size;
  weight.has_zeros = kind.has_zeros;
  const model::Quantized packed = model::quantize(values, weight);
  const auto quants = test::aligned_bytes(packed.quants.size());
  const auto scales = test::aligned_bytes(packed.scales.size());
  std::copy(packed.quants.begin(), packed.quants.end(), quants.get());
  std::copy(packed.scales.begin(), packed.scales.end(), scales.get());
  const auto zeros = test::aligned_bytes(packed.zeros.size());
  std::copy(packed.zeros.begin(), packed.zeros.end(), zeros.get());
  weight.data = quants.get();
  weight.scales = scales.get();
  if (kind.has_zeros) weight.zeros = zeros.get();
  return TestWeight(std::move(weight), quants, scales, values, zeros);
}

class CpuQuantized : public test::CpuIsaTest {
 protected:
  bool splits_inputs() const {
    if (isa() == test::kCuda) return false;
    return test::kernels_of(isa()).splits_inputs;
  }
  // Where inputs of a16 are split in two bytes, each is off by up to a 65278th of the largest.
  float rounding() const { return splits_inputs() ? 5e-5F : 1e-5F; }

  // Returns x W^T from the CPU, after comparing it with the result of the reference.
  std::vector<float> product(const ops::Weight& weight, const std::vector<float>& x,
                             float tolerance, const std::string& what) {
    const auto rows = static_cast<std::int32_t>(static_cast<std::int64_t>(x.size()) / weight.cols);
    ops::Program program;
    const ops::BufferId in = test::add_input(program, weight.cols);
    const ops::BufferId out = program.add("out", weight.rows);
    program.ops.emplace_back(ops::Linear{in, out, weight, {}});
    Pair pair(isa(), 2, test::small_state());
    PairExecutable both(pair, program, test::traced(rows));
    TestBatch batch;
    batch.add_vectors(0, rows, x);
    both.run(batch.batch, tolerance, what);
    return test::values_of(*both.cpu, out, rows * weight.rows);
  }
};

// With the same inputs, the integers are equal, and only the sums of floats differ.
TEST_P(CpuQuantized, OneProductEqualsTheReference) {
  for (const test::WeightKind& kind : test::quantized_kinds()) {
    // Zero points make a sum of a difference of two.
    const bool is_rough = kind.has_zeros || splits_inputs();
    const float tolerance_of_a16 = is_rough ? rounding() : 4e-6F;
    const float tolerance = ops::quantizes_inputs(kind.quantization) ? 1e-6F : tolerance_of_a16;
    for (const std::int64_t cols : {1, 40, 130, 300, 768}) {
      const TestWeight weight = test::make_panel(37, cols, kind, 5);
      for (const std::int32_t rows : {1, 2, 4, 7, 13, 30}) {
        const auto count = static_cast<std::size_t>(rows * cols);
        product(weight, test::random_vector(count, 6, 3.0F), tolerance,
                kind.name() + ", " + std::to_string(rows) + " rows of " + std::to_string(cols));
      }
    }
  }
}

// All weights and inputs are at the ends of their ranges, with one sign and with both: nothing
// saturates or overflows.
TEST_P(CpuQuantized, TheLargestSums) {
  constexpr std::int64_t kCols = 20000;
  constexpr std::int64_t kRows = 16;
  for (const test::WeightKind& kind : test::quantized_kinds()) {
    for (const float sign : {1.0F, -1.0F}) {
      std::vector<float> values(kRows * kCols);
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = i / kCols % 2 == 0 ? sign : (i % 2 == 0 ? 1.0F : -1.0F);
      const TestWeight weight = quantized(kind, kRows, kCols, values);
      const std::vector<float> got =
          product(weight, std::vector<float>(2 * kCols, 2.0F), rounding(), kind.name());
      for (std::int64_t n = 0; n < kRows; n += 2)
        // A fifteenth, the scale of values from 0 to 1 with a zero point, isn't a float16.
        EXPECT_NEAR(got[static_cast<std::size_t>(n)], sign * 2.0F * kCols,
                    kind.has_zeros ? 10.0F : 0.5F)
            << kind.name();
    }
  }
}

TEST_P(CpuQuantized, InputsOfZeros) {
  for (const test::WeightKind& kind : test::quantized_kinds()) {
    const TestWeight weight = test::make_panel(20, 200, kind, 7);
    std::vector<float> x = test::random_vector(3 * 200, 8);
    std::fill(x.begin(), x.begin() + 200, 0.0F);
    std::fill(x.begin() + 200, x.begin() + 300, -0.0F);
    for (std::size_t i = 400; i < 600; ++i) x[i] *= 1e-33F;
    const std::vector<float> got = product(weight, x, rounding(), kind.name());
    for (std::size_t n = 0; n < 20; ++n) {
      EXPECT_EQ(got[n], 0.0F) << kind.name();
      EXPECT_LE(std::fabs(got[40 + n]), 1e-30F) << kind.name();
    }
  }
}

// A row with NaN gives NaN, and its neighbours do not change.
TEST_P(CpuQuantized, InputsThatAreNotNumbers) {
  for (const test::WeightKind& kind : test::quantized_kinds()) {
    const TestWeight weight = test::make_panel(20, 200, kind, 7);
    std::vector<float> x = test::random_vector(4 * 200, 8);
    const std::vector<float> whole = product(weight, x, rounding(), kind.name());
    x[200 + 77] = NAN;
    x[3 * 200 + 13] = INFINITY;
    ops::Program program;
    const ops::BufferId in = test::add_input(program, 200);
    const ops::BufferId out = program.add("out", 20);
    program.ops.emplace_back(ops::Linear{in, out, weight, {}});
    const auto backend = test::open_native(isa(), 2);
    backend->create_state(test::small_state());
    TestBatch batch;
    batch.add_vectors(0, 4, x);
    const auto executable = test::run_program(*backend, program, batch.batch);
    const std::vector<float> got = test::values_of(*executable, out, 80);
    for (std::size_t n = 0; n < 20; ++n) {
      EXPECT_EQ(got[n], whole[n]) << kind.name();
      EXPECT_TRUE(std::isnan(got[20 + n])) << kind.name();
      EXPECT_EQ(got[40 + n], whole[40 + n]) << kind.name();
      EXPECT_FALSE(std::isfinite(got[60 + n])) << kind.name();
    }
  }
}

TEST_P(CpuQuantized, MissingScalesAreRefused) {
  ops::Weight weight = test::make_panel(20, 200, ops::Quantization::w8a8, 7).weight();
  weight.scales = nullptr;
  ops::Program program;
  const ops::BufferId in = test::add_input(program, 200);
  program.ops.emplace_back(ops::Linear{in, program.add("out", 20), weight, {}});
  const auto backend = test::open_native(isa(), 1);
  backend->create_state(test::small_state());
  EXPECT_THROW(backend->compile(program, test::traced(1)), InternalError);
}

// Zero points of 8 say what weights without zero points say, up to the rounding of the correction,
// which is zero.
TEST_P(CpuQuantized, ZeroPointsInTheMiddleChangeNothing) {
  for (const ops::Quantization quantization : {ops::Quantization::w4a16, ops::Quantization::w4a8}) {
    const TestWeight plain = test::make_panel(37, 200, {quantization, 32}, 5);
    const auto eights = test::aligned_bytes(48 * 7);
    std::fill_n(eights.get(), 48 * 7, std::byte{8});
    ops::Weight centred = plain.weight();
    centred.has_zeros = true;
    centred.zeros = eights.get();
    for (const std::int32_t rows : {1, 3, 17, 70}) {
      const auto x = test::random_vector(static_cast<std::size_t>(rows) * 200, 6, 3.0F);
      EXPECT_EQ(product(plain, x, rounding(), "plain"), product(centred, x, rounding(), "centred"))
          << rows;
    }
  }
}

TEST_P(CpuQuantized, ZeroPointsMustBeThere) {
  ops::Weight weight = test::make_panel(20, 200, {ops::Quantization::w4a16, 32, true}, 7).weight();
  weight.zeros = nullptr;
  ops::Program program;
  const ops::BufferId in = test::add_input(program, 200);
  program.ops.emplace_back(ops::Linear{in, program.add("out", 20), weight, {}});
  const auto backend = test::open_native(isa(), 1);
  backend->create_state(test::small_state());
  EXPECT_THROW(backend->compile(program, test::traced(1)), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuQuantized, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
