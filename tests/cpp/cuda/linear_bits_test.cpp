// Products whose kernels depend on the number of rows: the results of a row have the same bits
// whatever other rows there are.
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "cuda/cuda_backend.h"
#include "support/backend.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

struct Shape {
  std::int64_t outputs;
  std::int64_t inputs;
};

class CudaLinearBits : public testing::Test {
 protected:
  void SetUp() override {
    if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
    backend = make_cuda_backend(0);
    backend->create_state(test::small_state());
  }

  // A product with a bias and an activation, to which one without either is added. The launch with
  // the most rows comes first, and all others have some of its rows.
  void expect_same_bits(const Shape& shape, DType dtype, const std::vector<std::int32_t>& rows) {
    const test::WeightKind kind(dtype);
    const test::TestWeight& first = keep(test::make_panel(shape.outputs, shape.inputs, kind, 2));
    const test::TestWeight& second = keep(test::make_panel(shape.outputs, shape.inputs, kind, 3));
    const test::TestWeight& bias = keep(test::make_vector(shape.outputs, 4));
    ops::Program program;
    const ops::BufferId x = test::add_input(program, shape.inputs);
    const ops::BufferId out = program.add("out", shape.outputs);
    program.ops.emplace_back(ops::Linear{x, out, first, bias, ops::Activate::gelu_tanh, false});
    program.ops.emplace_back(ops::Linear{x, out, second, {}, ops::Activate::none, true});
    ops::ProgramLimits limits;
    limits.max_rows = rows.front();
    const auto executable = backend->compile(program, limits);
    const auto vectors =
        test::random_vector(static_cast<std::size_t>(rows.front() * shape.inputs), 5);
    std::vector<float> whole;
    for (const std::int32_t count : rows) {
      test::TestBatch batch;
      batch.add_vectors(0, count, {vectors.begin(), vectors.begin() + count * shape.inputs});
      executable->launch(batch.batch);
      test::run_queued(*backend);
      const auto got = test::values_of(*executable, out, count * shape.outputs);
      if (whole.empty()) whole = got;
      EXPECT_EQ(std::memcmp(got.data(), whole.data(), got.size() * sizeof(float)), 0)
          << count << " rows of " << shape.outputs << " x " << shape.inputs;
    }
  }

  const test::TestWeight& keep(test::TestWeight weight) {
    weights.push_back(std::move(weight));
    return weights.back();
  }

  std::deque<test::TestWeight> weights;  // as long as the backend, which knows them by address
  std::unique_ptr<ops::Backend> backend;
};

// More tiles of 16 outputs than a GPU has multiprocessors, also ones that they don't share evenly,
// and an incomplete tile; a last slice that is short or empty; and weights that are not streamed.
TEST_F(CudaLinearBits, OfStreamedWeightsAreThoseOfManyRows) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    for (const Shape& shape :
         {Shape{2560, 2048}, Shape{16 * 300 + 5, 2048}, Shape{5120, 1936}, Shape{2560, 1808},
          Shape{1024, 2048}, Shape{2560, 2064}, Shape{2560, 1792}})
      expect_same_bits(shape, dtype, {20, 1, 2, 3, 5, 8, 9, 16});
  }
}

// 4, 8 and 16 slices of K, each with one, two and four tiles to a block as far as there are such,
// and weights that end within a slice, a tile or a block.
TEST_F(CudaLinearBits, OfManyRowsAreThoseOfFew) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    for (const Shape& shape : {Shape{4096, 128}, Shape{768, 128}, Shape{3072, 1024},
                               Shape{2304 + 7, 752}, Shape{2048, 512}, Shape{8192, 1024},
                               Shape{1024, 4080}, Shape{5120, 2048}, Shape{768 - 16, 768}})
      expect_same_bits(shape, dtype, {70, 64, 33, 32, 17, 16, 2});
  }
}

}  // namespace
}  // namespace ttsrt
