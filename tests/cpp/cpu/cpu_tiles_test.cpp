// Products over tiles, by emulation and, where the processor has tiles, by its own: against the
// reference, the arithmetic written out, the vectors and each other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "cpu/kernels/tile_kernels.h"
#include "cpu/stages/product_form.h"
#include "cpu_support.h"

namespace ttsrt {
namespace {

using test::TestBatch;
using test::TestWeight;
using test::WeightKind;

constexpr std::int32_t kRowCounts[] = {1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 50, 64, 257, 300};
constexpr std::int32_t kMostRows = 300;

bool has_processor_tiles() { return cpu::supported_levels().back() == "avx512_amx"; }

std::vector<std::string> levels_with_tiles() {
  std::vector<std::string> names = {test::kEmulatedTiles};
  if (has_processor_tiles()) names.emplace_back("avx512_amx");
  return names;
}

std::vector<WeightKind> kinds_of_tiles() {
  using ops::Quantization;
  return {DType::bfloat16,
          Quantization::w8a8,
          {Quantization::w4a8, 32},
          {Quantization::w4a8, 64},
          {Quantization::w4a8, 128},
          {Quantization::w4a8, 64, true},
          {Quantization::w4a8, 32, true},
          Quantization::w8a16,
          {Quantization::w4a16, 32},
          {Quantization::w4a16, 64},
          {Quantization::w4a16, 128},
          {Quantization::w4a16, 32, true}};
}

// One Linear with a bias on `kernels`.
class Product {
 public:
  Product(const cpu::Kernels& kernels, std::int32_t threads, const ops::Weight& weight)
      : cols_(weight.cols),
        outputs_(weight.rows),
        bias_(test::make_vector(weight.rows, 9)),
        backend_(make_cpu_backend({threads, "", false, nullptr, &kernels})) {
    const ops::BufferId in = test::add_input(program_, weight.cols);
    out_ = program_.add("out", weight.rows);
    program_.ops.emplace_back(ops::Linear{in, out_, weight, bias_, ops::Activate::none, false});
    backend_->create_state(test::small_state());
    ops::ProgramLimits limits = test::traced(kMostRows);
    limits.trace = false;
    executable_ = backend_->compile(program_, limits);
  }

  std::vector<float> run(const std::vector<float>& vectors, std::int32_t first, std::int32_t rows) {
    TestBatch batch;
    const auto begin = vectors.begin() + first * cols_;
    batch.add_vectors(0, rows, std::vector<float>(begin, begin + rows * cols_));
    executable_->launch(batch.batch);
    test::run_queued(*backend_);
    return test::values_of(*executable_, out_, rows * outputs_);
  }

  const TestWeight& bias() const { return bias_; }

 private:
  std::int64_t cols_;
  std::int64_t outputs_;
  TestWeight bias_;
  ops::Program program_;
  ops::BufferId out_ = ops::kNoBuffer;
  std::unique_ptr<ops::Backend> backend_;
  std::unique_ptr<ops::Executable> executable_;
};

std::vector<float> inputs_of(std::int64_t cols, std::uint64_t seed = 6) {
  return test::random_vector(static_cast<std::size_t>(kMostRows * cols), seed, 3.0F);
}

bool are_same_bits(const std::vector<float>& a, const float* b) {
  return std::memcmp(a.data(), b, a.size() * sizeof(float)) == 0;
}

// The value that TDPBF16PS's definition gives for row `x` and output `n`, with a bias.
float chain(const std::vector<float>& x, const TestWeight& weight, std::int64_t n, float bias) {
  const auto flush = [](float v) { return std::fabs(v) < 0x1p-126F ? std::copysign(0.0F, v) : v; };
  const auto input = [&](std::int64_t k) {
    return flush(test::round_to(DType::bfloat16, x[static_cast<std::size_t>(k)]));
  };
  float sum = 0.0F;
  for (std::int64_t begin = 0; begin < weight.cols(); begin += 32) {
    float even = 0.0F;
    float odd = 0.0F;
    for (std::int64_t k = begin; k < begin + 32; k += 2) {
      even = flush(std::fma(input(k), flush(weight.at(n, k)), even));
      odd = flush(std::fma(input(k + 1), flush(weight.at(n, k + 1)), odd));
    }
    sum = flush(sum + flush(even + odd));
  }
  return sum + bias;
}

class CpuTiles : public test::CpuIsaTest {
 protected:
  const cpu::Kernels& kernels() const { return test::kernels_of(isa()); }
};

TEST_P(CpuTiles, ProductsEqualTheReference) {
  for (const WeightKind& kind : kinds_of_tiles()) {
    const bool is_split = kind.is_quantized() && !ops::quantizes_inputs(kind.quantization);
    const float tolerance = is_split ? 5e-5F : 1e-5F;
    for (const std::int64_t cols : {64, 192, 1088}) {
      const TestWeight weight = test::make_panel(37, cols, kind, 5);
      for (const std::int32_t rows : {1, 2, 5, 16, 21, 70}) {
        ops::Program program;
        const ops::BufferId in = test::add_input(program, cols);
        program.ops.emplace_back(ops::Linear{in, program.add("out", 37), weight, {}});
        test::Pair pair(isa(), 2, test::small_state());
        test::PairExecutable both(pair, program, test::traced(rows));
        TestBatch batch;
        batch.add_vectors(0, rows,
                          test::random_vector(static_cast<std::size_t>(rows * cols), 6, 3.0F));
        both.run(batch.batch, tolerance, kind.name() + ", " + std::to_string(rows) + " rows");
      }
    }
  }
}

TEST_P(CpuTiles, BitsDoNotDependOnTheRows) {
  for (const WeightKind& kind : kinds_of_tiles()) {
    for (const std::int64_t outputs : {16, 37, 16 * 7}) {
      const std::int64_t cols = outputs == 37 ? 1088 : 128;
      const TestWeight weight = test::make_panel(outputs, cols, kind, 5);
      const std::vector<float> vectors = inputs_of(cols);
      std::vector<float> whole;
      for (const std::int32_t threads : {1, 3}) {
        Product product(kernels(), threads, weight);
        if (whole.empty()) whole = product.run(vectors, 0, kMostRows);
        for (const std::int32_t rows : kRowCounts) {
          const std::int32_t first = (kMostRows - rows) / 3;
          EXPECT_TRUE(
              are_same_bits(product.run(vectors, first, rows), whole.data() + first * outputs))
              << kind.name() << ", " << rows << " rows, " << outputs << " outputs, " << threads
              << " threads";
        }
      }
    }
  }
}

TEST_P(CpuTiles, IntegersHaveTheBitsOfVectors) {
  cpu::Kernels vectors = kernels();
  vectors.tiles = nullptr;
  for (const WeightKind& kind : kinds_of_tiles()) {
    if (!kind.is_quantized()) continue;
    const TestWeight weight = test::make_panel(45, 320, kind, 5);
    ASSERT_NE(cpu::tiles_for(kernels(), weight), nullptr) << kind.name();
    const std::vector<float> x = inputs_of(320);
    Product by_tiles(kernels(), 2, weight);
    Product by_vectors(vectors, 2, weight);
    for (const std::int32_t rows : kRowCounts)
      EXPECT_TRUE(are_same_bits(by_tiles.run(x, 0, rows), by_vectors.run(x, 0, rows).data()))
          << kind.name() << ", " << rows << " rows";
  }
}

// Values whose sums depend on their order, with subnormal products and weights among them.
TEST_P(CpuTiles, PairsAreSummedAsTheManualSays) {
  constexpr std::int64_t kCols = 96;
  std::vector<float> values = test::random_vector(16 * kCols, 5, 1.0F);
  std::vector<float> x = test::random_vector(4 * kCols, 6, 1.0F);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % 7 == 0) x[i] *= 0x1p20F;
    if (i % 11 == 0) x[i] *= 0x1p-130F;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 5 == 0) values[i] *= 0x1p-24F;
    if (i % 13 == 0) values[i] *= 0x1p-120F;
    if (i % 17 == 0) values[i] = 0x1p-130F;
  }
  std::fill(x.begin() + 3 * kCols, x.end(), 0x1p-100F);  // the products of this row vanish
  for (std::size_t i = 0; i < values.size(); i += 3) values[i] = 0x1p-40F;
  const TestWeight weight("w", 16, kCols, DType::bfloat16, ops::Layout::panel16, values);
  x.resize(kMostRows * kCols);
  Product product(kernels(), 1, weight);
  const std::vector<float> got = product.run(x, 0, 4);
  for (std::int64_t row = 0; row < 4; ++row) {
    const std::vector<float> of(x.begin() + row * kCols, x.begin() + (row + 1) * kCols);
    for (std::int64_t n = 0; n < 16; ++n)
      EXPECT_EQ(got[static_cast<std::size_t>(row * 16 + n)],
                chain(of, weight, n, product.bias().at(0, n)))
          << row << ", " << n;
  }
}

TEST_P(CpuTiles, InputsThatAreNotNumbersStayInTheirRow) {
  for (const WeightKind& kind : kinds_of_tiles()) {
    const TestWeight weight = test::make_panel(20, 128, kind, 7);
    for (const std::int32_t rows : {4, 40}) {
      std::vector<float> x = inputs_of(128);
      Product product(kernels(), 2, weight);
      const std::vector<float> clean = product.run(x, 0, rows);
      x[128 + 77] = NAN;
      x[3 * 128 + 13] = INFINITY;
      const std::vector<float> got = product.run(x, 0, rows);
      for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
        for (std::size_t n = 0; n < 20; ++n) {
          const float value = got[r * 20 + n];
          if (r == 1) {
            EXPECT_TRUE(std::isnan(value)) << kind.name();
          } else if (r == 3) {
            EXPECT_FALSE(std::isfinite(value)) << kind.name();
          } else {
            EXPECT_EQ(value, clean[r * 20 + n]) << kind.name() << ", row " << r;
          }
        }
      }
    }
  }
}

TEST_P(CpuTiles, WeightsOfPartsOfTilesAreForVectors) {
  const auto has_tiles = [this](std::int64_t cols, const WeightKind& kind) {
    return cpu::tiles_for(kernels(), test::make_panel(16, cols, kind, 1)) != nullptr;
  };
  EXPECT_TRUE(has_tiles(96, DType::bfloat16));
  EXPECT_FALSE(has_tiles(80, DType::bfloat16));
  EXPECT_TRUE(has_tiles(128, ops::Quantization::w8a8));
  EXPECT_FALSE(has_tiles(96, ops::Quantization::w8a8));
  EXPECT_TRUE(has_tiles(75, WeightKind(ops::Quantization::w4a8, 64)));
  EXPECT_TRUE(has_tiles(320, ops::Quantization::w8a16));
  EXPECT_FALSE(has_tiles(96, ops::Quantization::w8a16));
  EXPECT_FALSE(has_tiles(128, DType::float32));
  EXPECT_FALSE(has_tiles(128, DType::float16));
}

// Rows are divided where that takes work from the thread that has most.
TEST_P(CpuTiles, BlocksOfRowsGiveThreadsEqualShares) {
  const TestWeight weight = test::make_panel(16, 64, DType::bfloat16, 1);
  const cpu::ProductForm form = cpu::ProductForms(kernels(), weight).many;
  EXPECT_EQ(form.block_rows(192, 48, 16), 96);    // 24 pairs of panels: 3 a thread, not 2 of 192
  EXPECT_EQ(form.block_rows(192, 192, 16), 192);  // 6 a thread
  EXPECT_EQ(form.block_rows(128, 48, 16), 64);
  EXPECT_EQ(form.block_rows(512, 192, 16), 256);
  EXPECT_EQ(form.block_rows(300, 192, 2), 160);
  EXPECT_EQ(form.block_rows(20, 48, 16), 32);
  EXPECT_EQ(form.panels_at_once(192, 12), 6);
  EXPECT_EQ(form.panels_at_once(192, 3), 2);
  EXPECT_EQ(form.panels_at_once(192, 0), 2);
  EXPECT_EQ(form.panels_at_once(16, 12), 2);
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuTiles, testing::ValuesIn(levels_with_tiles()), test::isa_name);

TEST(CpuTilesOfTheProcessor, AreWhatIsEmulated) {
  if (!has_processor_tiles()) GTEST_SKIP() << "the processor has no tiles";
  // Sums of groups are scaled by other multiply-adds there.
  for (const WeightKind& kind :
       {WeightKind(DType::bfloat16), WeightKind(ops::Quantization::w8a8)}) {
    const TestWeight weight = test::make_panel(80, 1088, kind, 5);
    const std::vector<float> x = inputs_of(1088);
    Product emulated(test::emulated_tiles(), 2, weight);
    Product own(cpu::choose_kernels("avx512_amx"), 2, weight);
    for (const std::int32_t rows : {1, 16, 40})
      EXPECT_TRUE(are_same_bits(own.run(x, 0, rows), emulated.run(x, 0, rows).data()))
          << kind.name() << ", " << rows << " rows";
  }
}

}  // namespace
}  // namespace ttsrt
