// Compares each op on the CPU backend with the reference, for every instruction set and stored
// type.
#include <gtest/gtest.h>

#include "cpu_support.h"

namespace ttsrt {
namespace {

using test::Pair;
using test::PairExecutable;
using test::TestBatch;
using test::TestWeight;

constexpr DType kTypes[] = {DType::float32, DType::bfloat16, DType::float16};
constexpr DType kCacheTypes[] = {DType::float32, DType::bfloat16, DType::float16, DType::int8};

class CpuOps : public test::CpuIsaTest {};

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

TEST_P(CpuOps, UnfoldWithHistory) {
  for (const std::int32_t history : {-1, 0}) {
    for (const bool causal : {true, false}) {
      if (history >= 0 && !causal) continue;
      ops::Program program;
      const ops::BufferId x = test::add_input(program, 16);
      const ops::BufferId y = program.add("unfolded", 48);
      program.ops.emplace_back(ops::Unfold{x, y, 3, causal, history});
      Pair pair(isa(), 2, test::small_state());
      PairExecutable both(pair, program, test::traced(30));
      for (std::uint64_t launch = 0; launch < 4; ++launch) {
        TestBatch batch;
        std::uint64_t seed = launch * 10;
        for (const std::int32_t rows : {1, 5, 2}) {
          const auto slot = static_cast<std::int32_t>(seed % 3);
          auto& segment = batch.add_vectors(
              slot, rows, test::random_vector(static_cast<std::size_t>(rows) * 16, ++seed));
          segment.branch = rows == 5 ? step::Branch::unconditional : step::Branch::conditional;
          segment.position = static_cast<std::int32_t>(launch % 3) * 10;  // 0: no rows before it
          const step::Segment before = segment;
          auto& next = batch.add_vectors(
              slot, 1, test::random_vector(16, seed + 100));  // continues where that segment ends
          next.branch = before.branch;
          next.position = before.position + before.rows;
        }
        if (launch == 2) {
          step::SlotReset reset;
          reset.slot = 1;
          pair.reset_slot(reset);
        }
        both.run(batch.batch, 0.0F, "launch " + std::to_string(launch));
      }
    }
  }
}

TEST_P(CpuOps, EmbedRowsOfEveryKind) {
  for (const DType dtype : kTypes) {
    ops::Program program;
    const TestWeight audio = test::make_dense(4 * 11, 16, dtype, 1);
    const TestWeight text = test::make_dense(9, 16, dtype, 2);
    const TestWeight context_text = test::make_dense(6, 16, dtype, 3);
    const TestWeight positions = test::make_dense(40, 16, dtype, 4);
    const TestWeight starts = test::make_dense(3, 16, dtype, 5);
    const ops::BufferId x = program.add("x", 16);
    program.ops.emplace_back(
        ops::EmbedRows{x, audio, 4, 11, {text, context_text}, {positions, starts}});
    program.ops.emplace_back(ops::StoreContext{x});
    Pair pair(isa(), 2, test::small_state());
    PairExecutable both(pair, program, test::traced(30));
    TestBatch batch;
    batch.add_ids(0, 3, step::Input::codes, {1, 2, 3, 4, 10, 9, 8, 7, 0, 0, 0, 0}).position = 5;
    batch.set_learned(0, 5);
    batch.add_ids(1, 2, step::Input::ids, {8, 0}).kept_offset = 4;
    batch.set_learned(0, 0);
    batch.add_ids(2, 2, step::Input::ids, {5, 1}).table = 1;
    batch.set_learned(1, 1);
    batch.add_vectors(0, 2, test::random_vector(32, 8)).kept_offset = 3;
    batch.add(1, 1, step::Input::zeros);
    batch.set_learned(0, 39);
    batch.add(2, 1, step::Input::last_codes).kept_offset = 9;
    batch.set_learned(1, 0);
    both.run(batch.batch, 1e-6F, "first");
    TestBatch second;
    second.add(0, 5, step::Input::kept_rows).kept_offset = 0;
    second.set_learned(0, 3);
    both.run(second.batch, 1e-6F, "context");
  }
}

struct Attending {
  DType cache_dtype;
  std::int32_t heads;
  std::int32_t head_dim;
};

ops::StateSpec attention_state(const Attending& shape) {
  ops::StateSpec spec = test::small_state();
  spec.cache_dtype = shape.cache_dtype;
  spec.cache_heads = shape.heads;
  spec.cache_head_dim = shape.head_dim;
  spec.num_blocks = 30;
  return spec;
}

// Uses scattered blocks, prefill in pieces and single rows, both branches, then a copied block.
TEST_P(CpuOps, PagedSelfAttention) {
  for (const DType dtype : kCacheTypes) {
    for (const auto& [heads, head_dim] :
         {std::pair{2, 8}, std::pair{3, 5}, std::pair{1, 64}, std::pair{2, 80}}) {
      const std::int64_t width = std::int64_t{heads} * head_dim;
      ops::Program program;
      const ops::BufferId qkv = test::add_input(program, 3 * width);
      const ops::BufferId out = program.add("out", width);
      program.ops.emplace_back(ops::SelfAttention{qkv, out, heads, head_dim, 1, true});
      Pair pair(isa(), 2, attention_state({dtype, heads, head_dim}));
      PairExecutable both(pair, program, test::traced(60));
      const std::vector<std::int32_t> tables[3] = {
          {7, 2, 19, 4, 28}, {0, 11, 3, 9, 1}, {5, 6, 8, 10, 29}};
      std::int32_t position[3] = {0, 0, 0};
      std::uint64_t seed = 0;
      for (const std::vector<std::int32_t>& counts : {std::vector<std::int32_t>{13, 4, 30},
                                                      {1, 1, 1},
                                                      {9, 1, 17},
                                                      {1, 1, 1},
                                                      {20, 30, 1},
                                                      {1, 1, 1}}) {
        TestBatch batch;
        for (std::size_t s = 0; s < 3; ++s) {
          auto& segment = batch.add_vectors(
              static_cast<std::int32_t>(s % 2), counts[s],
              test::random_vector(static_cast<std::size_t>(counts[s] * 3 * width), ++seed));
          segment.branch = s == 2 ? step::Branch::unconditional : step::Branch::conditional;
          segment.position = position[s];
          batch.set_blocks(tables[s]);
          position[s] += counts[s];
        }
        both.run(batch.batch, 2e-5F, "dims " + std::to_string(head_dim));
        for (ops::Backend* backend : {pair.oracle.get(), pair.cpu.get()})
          backend->copy_blocks({{2, 11}});
      }
    }
  }
}

// int8 blocks include the scales of their positions.
TEST_P(CpuOps, Int8CachesCountTheirScales) {
  const auto bytes_of = [this](DType dtype) {
    const auto backend = test::open_native(isa(), 1);
    ops::StateSpec spec = attention_state({dtype, 2, 8});
    spec.num_blocks = 4096;
    backend->create_state(spec);
    return static_cast<std::int64_t>(backend->state_bytes());
  };
  // There are a key and a value of 8 elements per head and position, in 2 layers of 4096 blocks and
  // in 3 layers of 4 blocks of each of 3 slots; a scale takes as many bytes as 4 elements.
  const std::int64_t heads = std::int64_t{2} * 16 * 2 * (2 * 4096 + 3 * 4 * 3);
  EXPECT_EQ(bytes_of(DType::float32) - bytes_of(DType::int8), heads * (8 * 4 - 8 - 4));
}

TEST_P(CpuOps, SegmentSelfAttention) {
  for (const bool causal : {true, false}) {
    for (const auto& [heads, head_dim] :
         {std::pair{2, 8}, std::pair{3, 20}, std::pair{1, 64}, std::pair{1, 80}}) {
      const std::int64_t width = std::int64_t{heads} * head_dim;
      ops::Program program;
      const ops::BufferId qkv = test::add_input(program, 3 * width);
      const ops::BufferId out = program.add("out", width);
      program.ops.emplace_back(ops::SelfAttention{qkv, out, heads, head_dim, -1, causal});
      Pair pair(isa(), 3, test::small_state());
      PairExecutable both(pair, program, test::traced(100));
      std::uint64_t seed = 40;
      for (const std::vector<std::int32_t>& counts :
           {std::vector<std::int32_t>{1, 1}, {16, 17, 40}, {5}, {33, 1, 2}}) {
        TestBatch batch;
        for (const std::int32_t rows : counts) {
          batch.add_vectors(
              0, rows, test::random_vector(static_cast<std::size_t>(rows * 3 * width), ++seed));
        }
        both.run(batch.batch, 2e-5F, "segments");
      }
    }
  }
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
