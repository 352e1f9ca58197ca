// Attention that knows distances, and the ops around it, on every instruction set and GPU against
// the reference, and with the same bits whatever else is in the launch.
#include <gtest/gtest.h>

#include <cstring>
#include <deque>

#include "cpu_support.h"
#include "support/errors.h"

namespace ttsrt {
namespace {

using test::TestBatch;
using test::TestWeight;

struct Form {
  std::int32_t heads;
  std::int32_t head_dim;

  std::int64_t inner() const { return std::int64_t{heads} * head_dim; }
};

constexpr Form kForms[] = {{2, 64}, {1, 12}, {3, 8}, {8, 16}};
constexpr std::int32_t kLengths[] = {20, 1, 140, 5, 17, 16};
constexpr std::int32_t kMost = 150;

struct FormProgram {
  TestWeight table, content, distance;
  ops::Program program;
  ops::BufferId out = ops::kNoBuffer;

  explicit FormProgram(const Form& form)
      : table(test::make_dense(2 * kMost, form.inner(), DType::float32, 3)),
        content(test::make_vector(form.inner(), 4, 1.0F)),
        distance(test::make_vector(form.inner(), 5, 1.0F)) {
    program.has_many_rows = true;
    const ops::BufferId qkv = test::add_input(program, 3 * form.inner());
    const ops::BufferId rows = program.add("distances", form.inner(), ops::RowSpace::rows, 2);
    out = program.add("out", form.inner());
    program.ops.emplace_back(ops::DistanceRows{rows, table});
    program.ops.emplace_back(
        ops::RelativeAttention{qkv, rows, out, content, distance, form.heads, form.head_dim});
  }
};

std::vector<float> rows_of(const Form& form, std::size_t item) {
  return test::random_vector(static_cast<std::size_t>(kLengths[item] * 3 * form.inner()), 10 + item,
                             2.0F);
}

class CpuRelativeAttention : public test::CpuIsaTest {
 protected:
  std::deque<FormProgram> programs_;  // stay as long as the backends
};

TEST_P(CpuRelativeAttention, IsThatOfTheReference) {
  test::Pair pair(isa(), 3, test::small_state());
  for (const Form& form : kForms) {
    const FormProgram& of = programs_.emplace_back(form);
    TestBatch batch;
    for (std::size_t i = 0; i < std::size(kLengths); ++i)
      batch.add_vectors(static_cast<std::int32_t>(i % 3), kLengths[i], rows_of(form, i));
    test::PairExecutable(pair, of.program, test::traced(256))
        .run(batch.batch, 2e-5F, std::to_string(form.heads) + " heads");
  }
}

TEST_P(CpuRelativeAttention, HasTheSameBitsAloneAndByThreads) {
  for (const Form& form : kForms) {
    const FormProgram& of = programs_.emplace_back(form);
    for (const std::int32_t threads : test::thread_counts(isa())) {
      const auto backend = test::open_native(isa(), threads);
      backend->create_state(test::small_state());
      ops::ProgramLimits limits;
      limits.max_rows = 256;
      const auto executable = backend->compile(of.program, limits);
      const auto run = [&](const TestBatch& batch, std::int64_t first, std::int64_t rows) {
        executable->launch(batch.batch);
        test::run_queued(*backend);
        const float* values = executable->activation(of.out) + first * form.inner();
        return std::vector<float>(values, values + rows * form.inner());
      };
      TestBatch crowd;
      for (std::size_t i = 0; i < std::size(kLengths); ++i)
        crowd.add_vectors(static_cast<std::int32_t>(i % 3), kLengths[i], rows_of(form, i));
      std::int64_t first = 0;
      for (std::size_t i = 0; i < std::size(kLengths); ++i) {
        TestBatch alone;
        alone.add_vectors(0, kLengths[i], rows_of(form, i));
        EXPECT_EQ(run(alone, 0, kLengths[i]), run(crowd, first, kLengths[i]))
            << kLengths[i] << " rows of " << form.heads << " heads, " << threads << " threads";
        first += kLengths[i];
      }
    }
  }
}

// Rows behind the last of a block, which hold what an earlier launch left, have no effect.
TEST_P(CpuRelativeAttention, ForgetsWhatWasThereBefore) {
  const Form form{2, 16};
  const FormProgram& of = programs_.emplace_back(form);
  const auto backend = test::open_native(isa(), 2);
  backend->create_state(test::small_state());
  ops::ProgramLimits limits;
  limits.max_rows = 64;
  const auto executable = backend->compile(of.program, limits);
  const auto run = [&](const std::vector<float>& values, std::int32_t rows) {
    TestBatch batch;
    batch.add_vectors(0, rows, values);
    executable->launch(batch.batch);
    test::run_queued(*backend);
    return test::values_of(*executable, of.out, rows * form.inner());
  };
  const auto values = test::random_vector(static_cast<std::size_t>(5 * 3 * form.inner()), 9);
  const std::vector<float> before = run(values, 5);
  run(std::vector<float>(static_cast<std::size_t>(64 * 3 * form.inner()), NAN), 64);
  EXPECT_EQ(run(values, 5), before);
}

TEST_P(CpuRelativeAttention, SlotsKeepTheirOwnSchedules) {
  constexpr std::int32_t kWidth = 21;
  ops::StateSpec spec;
  spec.slots = 3;
  spec.dim = 4;
  spec.schedule_width = kWidth;
  spec.schedule_rows = 5;
  test::Pair pair(isa(), 2, spec);
  ops::Program storing;
  storing.ops.emplace_back(ops::StoreSchedule{test::add_input(storing, kWidth)});
  TestBatch schedule;
  for (std::int32_t slot = 0; slot < 3; ++slot)
    schedule.add_vectors(slot, 5, test::random_vector(5 * kWidth, 5U + std::uint64_t(slot)));
  test::PairExecutable(pair, storing, test::traced(64)).run(schedule.batch, 0.0F, "schedule");
  ops::Program program;
  ops::ActivateRows op;
  op.x = test::add_input(program, kWidth);
  op.out = program.add("out", kWidth);
  op.shift = 0;
  program.ops.emplace_back(op);
  TestBatch batch;
  for (std::int32_t slot = 0; slot < 3; ++slot)
    batch.add_vectors(slot, 2, test::random_vector(2 * kWidth, 9U)).schedule_row = 4 - slot;
  test::PairExecutable(pair, program, test::traced(64)).run(batch.batch, 1e-6F, "read");
}

TEST_P(CpuRelativeAttention, RowsAreJoinedActivatedAndRepeatedAsByTheReference) {
  constexpr std::int32_t kWidth = 75;  // no whole vectors
  ops::StateSpec spec;
  spec.slots = 3;
  spec.num_blocks = 2;
  spec.dim = 4;
  spec.schedule_width = kWidth + 2;
  spec.rows = {{30, kWidth, false}};
  test::Pair pair(isa(), 3, spec);
  ops::Program storing;
  storing.ops.emplace_back(ops::StoreSchedule{test::add_input(storing, kWidth + 2)});
  TestBatch schedule;
  schedule.add_vectors(0, 32, test::random_vector(32 * (kWidth + 2), 5));
  schedule.set_blocks({0, 1});
  test::PairExecutable(pair, storing, test::traced(64)).run(schedule.batch, 0.0F, "schedule");
  const auto items = [](std::uint64_t seed) {
    TestBatch batch;
    for (std::int32_t slot = 0; slot < 3; ++slot)
      batch
          .add_vectors(slot, 11 * slot + 3,
                       test::random_vector(static_cast<std::size_t>((11 * slot + 3) * kWidth),
                                           seed + static_cast<std::uint64_t>(slot), 3.0F))
          .schedule_row = 9 * slot;
    return batch;
  };
  ops::Program saving;
  saving.ops.emplace_back(ops::SaveRows{test::add_input(saving, kWidth), 0, 0});
  test::PairExecutable(pair, saving, test::traced(64)).run(items(20).batch, 0.0F, "save");
  ops::Program program;
  const ops::BufferId x = test::add_input(program, kWidth);
  const ops::BufferId loaded = program.add("loaded", kWidth);
  const ops::BufferId joined = program.add("joined", 2 * kWidth);
  program.ops.emplace_back(ops::LoadRows{loaded, 0, 4});
  program.ops.emplace_back(ops::JoinColumns{{loaded, x}, joined});
  for (const ops::Activate activate :
       {ops::Activate::none, ops::Activate::mish, ops::Activate::silu, ops::Activate::gelu}) {
    for (const std::int32_t shift : {-1, 2}) {
      ops::ActivateRows op;
      op.x = x;
      op.out = program.add("activated", kWidth);
      op.activate = activate;
      op.scale = shift < 0 ? 22.6F : 1.0F;
      op.shift = shift;
      program.ops.emplace_back(op);
    }
  }
  test::PairExecutable(pair, program, test::traced(64)).run(items(30).batch, 1e-6F, "rows");
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuRelativeAttention, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
