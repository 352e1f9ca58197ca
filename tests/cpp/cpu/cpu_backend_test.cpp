// Compares each op on the CPU backend with the reference, for every instruction set and stored
// type.
#include <gtest/gtest.h>

#include "cpu_op_cases.h"

namespace ttsrt {
namespace {

using test::Pair;
using test::PairExecutable;
using test::TestBatch;
using test::TestWeight;

constexpr DType kTypes[] = {DType::float32, DType::bfloat16, DType::float16};
constexpr DType kCacheTypes[] = {DType::float32, DType::bfloat16, DType::float16, DType::int8};

class CpuOps : public test::CpuIsaTest {
 protected:
  test::PairOpener pairs(std::int32_t threads) const { return test::native_pairs(isa(), threads); }
};

struct Shape {
  std::int64_t outputs;
  std::int64_t inputs;
};

TEST_P(CpuOps, Linear) {
  for (const test::WeightKind& kind : test::all_kinds()) {
    for (const Shape shape : {Shape{1, 1}, Shape{5, 7}, Shape{16, 32}, Shape{33, 19}, Shape{70, 64},
                              Shape{96, 45}, Shape{20, 300}}) {
      ops::Program program;
      const TestWeight weight = test::make_panel(shape.outputs, shape.inputs, kind, 3);
      const TestWeight back = test::make_panel(shape.inputs, shape.outputs, kind, 4);
      const TestWeight bias = test::make_vector(shape.outputs, 5);
      const ops::BufferId x = test::add_input(program, shape.inputs);
      const ops::BufferId y = program.add("y", shape.outputs);
      const ops::BufferId z = program.add("z", shape.inputs);
      program.ops.emplace_back(ops::Linear{x, y, weight, bias, ops::Activate::gelu_tanh, false});
      program.ops.emplace_back(ops::Linear{y, z, back, {}, ops::Activate::none, false});
      program.ops.emplace_back(ops::Linear{y, z, back, {}, ops::Activate::none, true});
      Pair pair(isa(), 2, test::small_state());
      PairExecutable both(pair, program, test::traced(40));
      for (const std::int32_t rows : {1, 2, 3, 4, 5, 8, 9, 12, 13, 17, 29, 40}) {
        TestBatch batch;
        batch.add_vectors(0, rows,
                          test::random_vector(static_cast<std::size_t>(rows * shape.inputs), 6));
        both.run(batch.batch, test::tolerance_of(kind, isa()),
                 kind.name() + ", " + std::to_string(rows) + " rows, [" +
                     std::to_string(shape.outputs) + ", " + std::to_string(shape.inputs) + "]");
      }
    }
  }
}

// A norm of this record's kind, alone and inside the packing of a product.
void expect_fused_norm(const std::string& isa, ops::Norm record) {
  for (const std::int64_t width : {1, 5, 16, 40, 77}) {
    ops::Program program;
    const TestWeight norm = test::make_norm(width, 1);
    const TestWeight bias = test::make_vector(width, 8);
    const TestWeight weight = test::make_panel(21, width, DType::float32, 2);
    const ops::BufferId x = test::add_input(program, width);
    const ops::BufferId y = program.add("normed", width);
    const ops::BufferId z = program.add("z", 21);
    record.x = x;
    record.out = y;
    record.weight = norm;
    if (record.kind == ops::NormKind::rms) record.bias = bias;
    program.ops.emplace_back(record);
    program.ops.emplace_back(ops::Linear{y, z, weight, {}, ops::Activate::none, false});
    for (const std::int32_t rows : {1, 3, 25}) {
      TestBatch batch;
      batch.add_vectors(0, rows,
                        test::random_vector(static_cast<std::size_t>(rows * width), 7, 2.0F, 0.5F));
      Pair pair(isa, 2, test::small_state());
      PairExecutable both(pair, program, test::traced(25));
      both.run(batch.batch, 2e-5F, "width " + std::to_string(width));
      ops::ProgramLimits fused = test::traced(25);
      fused.trace = false;
      const auto executable = pair.cpu->compile(program, fused);
      executable->launch(batch.batch);
      test::run_queued(*pair.cpu);
      EXPECT_EQ(test::values_of(*executable, z, rows * 21),
                test::values_of(*both.cpu, z, rows * 21))
          << "fused";
    }
  }
}

TEST_P(CpuOps, NormsAndWhereTheyAreFused) {
  ops::Norm record;
  expect_fused_norm(isa(), record);
  record.kind = ops::NormKind::rms;
  record.epsilon = 1e-6F;
  expect_fused_norm(isa(), record);
}

// A gated feed-forward beside another branch of the same residual.
TEST_P(CpuOps, GatesAndAddends) {
  for (const std::int64_t width : {5, 16, 300, 700}) {
    ops::Program program;
    const TestWeight in = test::make_panel(2 * width, 24, DType::float32, 2);
    const TestWeight bias = test::make_vector(2 * width, 3);
    const TestWeight out = test::make_panel(24, width, DType::float32, 4);
    const ops::BufferId x = test::add_input(program, 24);
    const ops::BufferId hidden = program.add("hidden", 2 * width);
    const ops::BufferId gated = program.add("gated", width);
    const ops::BufferId residual = program.add("residual", 24);
    program.ops.emplace_back(ops::Linear{x, hidden, in, bias, ops::Activate::none, false});
    program.ops.emplace_back(ops::Gate{hidden, gated, ops::Activate::silu});
    program.ops.emplace_back(ops::Linear{gated, residual, out, {}, ops::Activate::silu, false, x});
    program.ops.emplace_back(ops::Linear{gated, residual, out, {}, ops::Activate::none, true, x});
    Pair pair(isa(), 3, test::small_state());
    PairExecutable both(pair, program, test::traced(40));
    for (const std::int32_t rows : {1, 2, 7, 40}) {
      TestBatch batch;
      batch.add_vectors(0, rows, test::random_vector(static_cast<std::size_t>(rows) * 24, 6));
      both.run(batch.batch, 2e-5F, std::to_string(rows) + " rows, width " + std::to_string(width));
    }
  }
}

TEST_P(CpuOps, UnfoldWithHistory) { test::expect_unfolds(pairs(2)); }

TEST_P(CpuOps, EmbedRowsOfEveryKind) {
  for (const DType dtype : kTypes) test::expect_embeddings(pairs(2), dtype);
}

TEST_P(CpuOps, PagedSelfAttention) {
  for (const DType dtype : kCacheTypes) test::expect_paged_attention(pairs(2), dtype);
}

TEST_P(CpuOps, SegmentSelfAttention) { test::expect_segment_attention(pairs(3)); }

// int8 blocks include the scales of their positions.
TEST_P(CpuOps, Int8CachesCountTheirScales) {
  const auto bytes_of = [this](DType dtype) {
    const auto backend = test::open_native(isa(), 1);
    ops::StateSpec spec = test::attention_state({dtype, 2, 8});
    spec.num_blocks = 4096;
    backend->create_state(spec);
    return static_cast<std::int64_t>(backend->state_bytes());
  };
  // There are a key and a value of 8 elements per head and position, in 2 layers of 4096 blocks and
  // in 3 layers of 4 blocks of each of 3 slots; a scale takes as many bytes as 4 elements.
  const std::int64_t heads = std::int64_t{2} * 16 * 2 * (2 * 4096 + 3 * 4 * 3);
  EXPECT_EQ(bytes_of(DType::float32) - bytes_of(DType::int8), heads * (8 * 4 - 8 - 4));
}

TEST_P(CpuOps, BadBatchesAreRefused) {
  ops::Program program;
  const ops::BufferId qkv = test::add_input(program, 48);
  program.ops.emplace_back(ops::SelfAttention{qkv, program.add("out", 16), 2, 8, 0, true});
  const auto backend = test::open_native(isa(), 2);
  backend->create_state(test::small_state());
  const auto executable = backend->compile(program, test::traced(20));
  TestBatch no_blocks;
  no_blocks.add_vectors(0, 2, test::random_vector(96, 1));
  EXPECT_THROW(executable->launch(no_blocks.batch), InternalError);
  TestBatch too_many;
  too_many.add_vectors(0, 21, test::random_vector(21 * 48, 1));
  too_many.set_blocks({0, 1});
  EXPECT_THROW(executable->launch(too_many.batch), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuOps, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
