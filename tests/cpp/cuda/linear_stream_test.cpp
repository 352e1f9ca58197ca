// Large weights, which the GPU streams where there are few rows: their results have the bits that
// they have among many rows.
#include <gtest/gtest.h>

#include <cstring>

#include "cuda/cuda_backend.h"
#include "support/backend.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

constexpr std::int32_t kRows = 20;

struct Shape {
  std::int64_t outputs;
  std::int64_t inputs;
};

class CudaLinearStream : public testing::Test {
 protected:
  void SetUp() override {
    if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
    backend = make_cuda_backend(0);
    backend->create_state(test::small_state());
  }

  // A product with a bias and an activation, to which one without either is added.
  void expect_same_bits(const Shape& shape, DType dtype) {
    const test::WeightKind kind(dtype);
    const test::TestWeight first = test::make_panel(shape.outputs, shape.inputs, kind, 2);
    const test::TestWeight second = test::make_panel(shape.outputs, shape.inputs, kind, 3);
    const test::TestWeight bias = test::make_vector(shape.outputs, 4);
    ops::Program program;
    const ops::BufferId x = test::add_input(program, shape.inputs);
    const ops::BufferId out = program.add("out", shape.outputs);
    program.ops.emplace_back(ops::Linear{x, out, first, bias, ops::Activate::gelu_tanh, false});
    program.ops.emplace_back(ops::Linear{x, out, second, {}, ops::Activate::none, true});
    ops::ProgramLimits limits;
    limits.max_rows = kRows;
    const auto executable = backend->compile(program, limits);
    const auto vectors = test::random_vector(static_cast<std::size_t>(kRows * shape.inputs), 5);
    std::vector<float> whole;
    for (const std::int32_t rows : {kRows, 1, 2, 3, 5, 8, 9, 16}) {
      test::TestBatch batch;
      batch.add_vectors(0, rows, {vectors.begin(), vectors.begin() + rows * shape.inputs});
      executable->launch(batch.batch);
      test::run_queued(*backend);
      const auto got = test::values_of(*executable, out, rows * shape.outputs);
      if (rows == kRows) whole = got;
      EXPECT_EQ(std::memcmp(got.data(), whole.data(), got.size() * sizeof(float)), 0)
          << rows << " rows of " << shape.outputs << " x " << shape.inputs;
    }
  }

  std::unique_ptr<ops::Backend> backend;
};

// More tiles of 16 outputs than a GPU has multiprocessors, also ones that they don't share evenly,
// and an incomplete tile; a last slice that is short or empty; and weights that are not streamed.
TEST_F(CudaLinearStream, HasTheBitsOfManyRows) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    for (const Shape& shape :
         {Shape{2560, 2048}, Shape{16 * 300 + 5, 2048}, Shape{5120, 1936}, Shape{2560, 1808},
          Shape{1024, 2048}, Shape{2560, 2064}, Shape{2560, 1792}})
      expect_same_bits(shape, dtype);
  }
}

}  // namespace
}  // namespace ttsrt
