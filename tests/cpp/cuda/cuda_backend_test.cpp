// What the CUDA backend does beside running Programs, which the suites of all backends test.
#include "cuda/cuda_backend.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/backend.h"
#include "support/errors.h"
#include "support/native_backends.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

// Everything that takes "cuda" as a backend is left out without a GPU; this test tells.
TEST(CudaDevices, AGpuIsThere) {
  if (can_use_cuda()) return;
  const std::string reason = list_cuda_devices().front().reason;
  if (test::requires_cuda()) FAIL() << reason;
  GTEST_SKIP() << "needs an NVIDIA GPU: " << reason;
}

TEST(CudaDevices, AnAbsentOneIsADeviceErrorWithItsReason) {
  EXPECT_TRUE(test::throws_naming<DeviceError>("cuda", [] { make_cuda_backend(4095); }));
  for (const DeviceInfo& device : list_cuda_devices()) {
    EXPECT_EQ(device.available, device.reason.empty()) << device.name;
  }
}

class CudaFlights : public testing::Test {
 protected:
  void SetUp() override {
    if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
    backend = make_cuda_backend(0);
    backend->create_state(test::small_state());
  }

  std::unique_ptr<ops::Backend> backend;
};

// A flight whose issue failed is over, gives its staging memory back, and the next ones run.
TEST_F(CudaFlights, AFailedOneLeavesNothingBehind) {
  ops::Program program;
  program.name = "draws";
  const ops::BufferId x = test::add_input(program, 24);
  program.ops.emplace_back(ops::SampleCodes{x, ops::kNoBuffer, 4, 6});
  program.ops.emplace_back(ops::FinishStep{4, 1});
  ops::ProgramLimits limits;
  limits.max_rows = 2;
  limits.max_draws = 2;
  const auto executable = backend->compile(program, limits);
  rules::SlotRules rules;
  rules.codebooks = 3;  // not the Program's
  backend->reset_slot({1, rules});
  rules.codebooks = 4;
  backend->reset_slot({0, rules});
  test::run_queued(*backend);
  for (std::int32_t turn = 0; turn < 6; ++turn) {
    test::TestBatch batch;
    batch.add_vectors(turn % 2, 1, test::random_vector(24, 3));
    batch.add_draw(turn % 2, 0);
    executable->launch(batch.batch);
    if (turn % 2 == 1) {
      EXPECT_THROW(test::run_queued(*backend), InternalError);
    } else {
      EXPECT_EQ(test::run_queued(*backend).codes.size(), 4U);
    }
  }
}

// Each launch of a Program packs its rows into memory of its own until it is collected.
TEST_F(CudaFlights, MoreLaunchesOfAProgramThanItHasRoomForAreRefused) {
  ops::Program program;
  program.name = "rows";
  const ops::BufferId x = test::add_input(program, 24);
  ops::ProgramLimits limits;
  limits.max_rows = 1;
  const auto executable = backend->compile(program, limits);
  test::TestBatch batch;
  batch.add_vectors(0, 1, test::random_vector(24, 3));
  for (std::int32_t turn = 0; turn < 2; ++turn) {
    for (std::int32_t i = 0; i <= backend->info().pipeline_depth; ++i)
      executable->launch(batch.batch);
    EXPECT_TRUE(
        test::throws_naming<InternalError>("on their way", [&] { test::run_queued(*backend); }));
    executable->launch(batch.batch);
    test::run_queued(*backend);
    EXPECT_EQ(test::values_of(*executable, x, 24), test::random_vector(24, 3));
  }
}

// A Program whose launches differ in all that a graph is captured for, but for picks.
ops::Program attending_program() {
  ops::Program program;
  program.name = "decode";
  ops::SelfAttention attention;
  attention.qkv = test::add_input(program, 64);
  attention.out = program.add("logits", 32);
  attention.heads = 4;
  attention.kv_heads = 2;
  attention.head_dim = 8;
  attention.cache_layer = 0;
  program.ops.emplace_back(attention);
  program.ops.emplace_back(ops::SampleCodes{attention.out, ops::kNoBuffer, 4, 8});
  program.ops.emplace_back(ops::FinishStep{4, 1});
  return program;
}

// Prepared launches give what those give that capture a graph as they come.
TEST_F(CudaFlights, PreparedOnesEqualLateOnes) {
  const ops::Program program = attending_program();
  ops::ProgramLimits limits;
  limits.max_rows = 3;
  limits.max_draws = 3;
  const auto prepared = backend->compile(program, limits);
  limits.index = 1;
  const auto late = backend->compile(program, limits);
  EXPECT_EQ(backend->graph_bytes(), 0U);
  prepared->prepare();
  const std::size_t graphs = backend->graph_bytes();
  const auto codes_of = [this](ops::Executable& executable, std::int32_t rows) {
    rules::SlotRules rules;
    rules.codebooks = 4;
    test::TestBatch batch;
    for (std::int32_t row = 0; row < rows; ++row) {
      backend->reset_slot({row, rules});
      batch.add_vectors(row, 1, test::random_vector(64, 3 + static_cast<std::uint64_t>(row)));
      batch.set_blocks({row});
      batch.add_draw(row, row);
    }
    executable.launch(batch.batch);
    return test::run_queued(*backend).codes;
  };
  std::vector<std::vector<std::int32_t>> codes;
  for (std::int32_t rows = 1; rows <= 3; ++rows) {
    codes.push_back(codes_of(*prepared, rows));
    EXPECT_EQ(codes.back().size(), 4U * static_cast<std::size_t>(rows));
  }
  for (std::int32_t rows = 1; rows <= 3; ++rows)
    EXPECT_EQ(codes_of(*late, rows), codes[static_cast<std::size_t>(rows) - 1]);
  EXPECT_EQ(backend->graph_bytes(), graphs);
}

// A later Program may have more draws: graphs that were captured before must not keep the memory.
TEST_F(CudaFlights, ALaterProgramMayHaveMoreDraws) {
  ops::Program program;
  program.name = "draws";
  const ops::BufferId x = test::add_input(program, 24);
  program.ops.emplace_back(ops::SampleCodes{x, ops::kNoBuffer, 4, 6});
  program.ops.emplace_back(ops::FinishStep{4, 1});
  rules::SlotRules rules;
  rules.codebooks = 4;
  backend->reset_slot({0, rules});
  test::TestBatch batch;
  batch.add_vectors(0, 1, test::random_vector(24, 3));
  batch.add_draw(0, 0);
  ops::ProgramLimits limits;
  limits.max_rows = 1;
  limits.max_draws = 1;
  const auto first = backend->compile(program, limits);
  first->launch(batch.batch);
  const std::vector<std::int32_t> expected = test::run_queued(*backend).codes;
  limits.max_draws = 3;
  limits.index = 1;
  const auto second = backend->compile(program, limits);
  for (ops::Executable* executable : {first.get(), second.get(), first.get()}) {
    executable->launch(batch.batch);
    EXPECT_EQ(test::run_queued(*backend).codes, expected);
  }
}

// Times may be read while steps are timed.
TEST_F(CudaFlights, StageTimesMayBeReadByAnyThread) {
  ops::Program program;
  program.name = "rows";
  test::add_input(program, 8);
  ops::ProgramLimits limits;
  limits.max_rows = 1;
  limits.profile = true;
  const auto executable = backend->compile(program, limits);
  std::thread reader([&] {
    for (std::int32_t i = 0; i < 100; ++i) executable->stage_times();
  });
  for (std::int32_t i = 0; i < 20; ++i) {
    test::TestBatch batch;
    batch.add_vectors(0, 1, test::random_vector(8, 3));
    executable->launch(batch.batch);
    test::run_queued(*backend);
  }
  reader.join();
  ASSERT_EQ(executable->stage_times().size(), 1U);
  EXPECT_EQ(executable->stage_times()[0].runs, 20U);
}

}  // namespace
}  // namespace ttsrt
