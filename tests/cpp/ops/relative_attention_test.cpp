// Attention that knows distances as the reference computes it, against sums that are worked out
// here; rows that are joined, activated and repeated; and what of them is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/check.h"
#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/errors.h"
#include "support/weights.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;
using test::TestWeight;
using test::throws_naming;

constexpr std::int32_t kHeads = 2;
constexpr std::int32_t kHeadDim = 3;
constexpr std::int32_t kInner = kHeads * kHeadDim;
constexpr std::int32_t kMost = 9;  // rows of an item

StateSpec state_of() {
  StateSpec spec;
  spec.slots = 2;
  spec.num_blocks = 1;
  spec.dim = 4;
  spec.max_context_rows = 8;
  spec.schedule_width = 6;
  spec.rows = {{8, 4, false}, {8, 4, true}, {2, 4, false}};
  return spec;
}

std::unique_ptr<Backend> backend_of() {
  auto backend = make_reference_backend();
  backend->create_state(state_of());
  return backend;
}

std::vector<float> run(Backend& backend, const Program& program, const TestBatch& batch,
                       BufferId out, std::int64_t count) {
  return test::values_of(*test::run_program(backend, program, batch.batch), out, count);
}

TEST(RelativeAttention, SumsContentAndDistanceOfItsOwnItem) {
  Program program;
  const TestWeight table = test::make_dense(2 * kMost, kInner, DType::float32, 1);
  const TestWeight content = test::make_vector(kInner, 2, 1.0F);
  const TestWeight distance = test::make_vector(kInner, 3, 1.0F);
  const BufferId qkv = test::add_input(program, 3 * kInner);
  const BufferId rows = program.add("distances", kInner, RowSpace::rows, 2);
  const BufferId out = program.add("out", kInner);
  program.ops.emplace_back(DistanceRows{rows, table});
  program.ops.emplace_back(RelativeAttention{qkv, rows, out, content, distance, kHeads, kHeadDim});
  constexpr std::int32_t kLengths[] = {4, 1, 9};
  const std::vector<float> values = test::random_vector(14 * 3 * kInner, 4, 2.0F);
  TestBatch batch;
  auto from = values.begin();
  for (std::int32_t i = 0; i < 3; ++i) {
    const auto end = from + kLengths[i] * 3 * kInner;
    batch.add_vectors(i % 2, kLengths[i], {from, end});
    from = end;
  }
  const auto got = run(*backend_of(), program, batch, out, std::int64_t{14} * kInner);
  std::int32_t first = 0;
  for (const std::int32_t n : kLengths) {
    const auto at = [&](std::int32_t row, std::int32_t part, std::int32_t column) {
      return static_cast<double>(
          values[static_cast<std::size_t>((first + row) * 3 * kInner + part * kInner + column)]);
    };
    for (std::int32_t i = 0; i < n; ++i) {
      for (std::int32_t column = 0; column < kInner; ++column) {
        const std::int32_t head = column / kHeadDim * kHeadDim;
        double sum = 0.0;
        double value = 0.0;
        for (std::int32_t j = 0; j < n; ++j) {
          double score = 0.0;
          for (std::int32_t d = head; d < head + kHeadDim; ++d) {
            // Row k of the table is of the distance kMost - 1 - k: here, of i - j.
            const double p = table.at(kMost - 1 - (i - j), d);
            score += (at(i, 0, d) + content.at(0, d)) * at(j, 1, d);
            score += (at(i, 0, d) + distance.at(0, d)) * p;
          }
          const double share = std::exp(score / std::sqrt(3.0));
          sum += share;
          value += share * at(j, 2, column);
        }
        EXPECT_NEAR(got[static_cast<std::size_t>((first + i) * kInner + column)], value / sum, 1e-5)
            << n << " rows, row " << i;
      }
    }
    first += n;
  }
}

TEST(JoinColumns, PutsOneBehindTheOther) {
  Program program;
  const BufferId x = test::add_input(program, 2);
  const BufferId twice = program.add("twice", 2);
  ActivateRows doubled;
  doubled.x = x;
  doubled.out = twice;
  doubled.scale = 2.0F;
  program.ops.emplace_back(doubled);
  const BufferId out = program.add("out", 6);
  program.ops.emplace_back(JoinColumns{{twice, x, twice}, out});
  TestBatch batch;
  batch.add_vectors(0, 2, {1.0F, 2.0F, 3.0F, 4.0F});
  EXPECT_EQ(run(*backend_of(), program, batch, out, 12),
            (std::vector<float>{2, 4, 1, 2, 2, 4, 6, 8, 3, 4, 6, 8}));
}

TEST(ActivateRows, AddsColumnsOfTheScheduleBehindTheActivation) {
  const auto backend = backend_of();
  Program storing;
  storing.ops.emplace_back(StoreSchedule{test::add_input(storing, 6)});
  TestBatch rows;
  rows.add_vectors(0, 2, {0, 0, 0, 0, 0, 0, 10, 20, 30, 40, 50, 60});
  rows.set_blocks({0});
  test::run_program(*backend, storing, rows.batch);
  Program program;
  const BufferId x = test::add_input(program, 2);
  ActivateRows op;
  op.x = x;
  op.out = x;
  op.activate = Activate::silu;
  op.shift = 3;
  program.ops.emplace_back(op);
  TestBatch batch;
  batch.add_vectors(0, 1, {1.0F, -2.0F}).schedule_row = 1;
  const std::vector<float> got = run(*backend, program, batch, x, 2);
  EXPECT_NEAR(got[0], 40.0 + 1.0 / (1.0 + std::exp(-1.0)), 1e-5);
  EXPECT_NEAR(got[1], 50.0 - 2.0 / (1.0 + std::exp(2.0)), 1e-5);
}

TEST(ActivateRows, AddsColumnsOfTheSlotsOwnSchedule) {
  StateSpec spec = state_of();
  spec.num_blocks = 0;
  spec.schedule_rows = 2;
  const auto backend = make_reference_backend();
  backend->create_state(spec);
  Program storing;
  storing.ops.emplace_back(StoreSchedule{test::add_input(storing, 6)});
  TestBatch rows;
  rows.add_vectors(0, 2, {1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2});
  rows.add_vectors(1, 1, {3, 3, 3, 3, 3, 3}).position = 1;
  test::run_program(*backend, storing, rows.batch);
  Program program;
  const BufferId x = test::add_input(program, 2);
  ActivateRows op;
  op.x = x;
  op.out = x;
  op.shift = 4;
  program.ops.emplace_back(op);
  TestBatch batch;
  batch.add_vectors(0, 1, {10.0F, 20.0F}).schedule_row = 1;
  batch.add_vectors(1, 1, {10.0F, 20.0F}).schedule_row = 1;
  EXPECT_EQ(run(*backend, program, batch, x, 4), (std::vector<float>{12, 22, 13, 23}));
}

TEST(LoadRows, RepeatsRowsOfAnArray) {
  const auto backend = backend_of();
  Program saving;
  saving.ops.emplace_back(SaveRows{test::add_input(saving, 4), 2, 0});
  TestBatch rows;
  rows.add_vectors(1, 2, {1, 2, 3, 4, 5, 6, 7, 8});
  test::run_program(*backend, saving, rows.batch);
  for (const std::int32_t repeat : {3, 1 << 30}) {
    Program program;
    const BufferId out = program.add("out", 4);
    program.ops.emplace_back(LoadRows{out, 2, repeat});
    TestBatch batch;
    batch.add(1, 5, step::Input::zeros);
    batch.add(1, 1, step::Input::zeros).branch = step::Branch::unconditional;
    const std::vector<float> got = run(*backend, program, batch, out, 24);
    for (std::int32_t row = 0; row < 5; ++row)
      EXPECT_EQ(got[static_cast<std::size_t>(row * 4)], row / repeat == 0 ? 1.0F : 5.0F);
    EXPECT_EQ(got[20], 0.0F);  // the array has no second branch
  }
}

TEST(LoadRows, RefusesMoreRowsThanTheArrayGives) {
  const auto backend = backend_of();
  Program program;
  program.ops.emplace_back(LoadRows{program.add("out", 4), 2, 3});
  TestBatch batch;
  batch.add(0, 7, step::Input::zeros);  // of 2 rows, 3 times each
  EXPECT_TRUE(throws_naming<InternalError>(
      "arrays of 6", [&] { test::run_program(*backend, program, batch.batch); }));
}

TEST(FlowStep, ChangesAllRowsWithoutAMask) {
  const auto backend = backend_of();
  Program starting;
  const BufferId start = test::add_input(starting, 4);
  starting.ops.emplace_back(SaveRows{start, 0, 0});
  TestBatch first;
  first.add_vectors(0, 1, {1, 2, 3, 4});
  test::run_program(*backend, starting, first.batch);
  Program program;
  program.ops.emplace_back(FlowStep{test::add_input(program, 4), 0, -1, -1});
  TestBatch step;
  step::Segment& segment = step.add_vectors(0, 1, {10, 20, 30, 40});
  segment.step_size = 0.5F;
  segment.is_last = true;
  test::run_program(*backend, program, step.batch);
  Program reading;
  const BufferId state = reading.add("state", 4);
  EmbedRows embed;
  embed.out = state;
  reading.ops.emplace_back(embed);
  TestBatch read;
  read.add(0, 1, step::Input::kept_rows);
  EXPECT_EQ(run(*backend, reading, read, state, 4), (std::vector<float>{6, 12, 18, 24}));
}

// An input of this width and one op that reads it.
template <typename Make>
void expect_refused(std::int64_t width, const char* words, const Make& make) {
  Program program;
  program.name = "wrong";
  const BufferId x = test::add_input(program, width);
  program.ops.emplace_back(make(program, x));
  EXPECT_TRUE(throws_naming<InternalError>(words, [&] { check_program(program, state_of()); }));
}

TEST(RelativeAttention, OpsThatDoNotFitAreRefused) {
  const TestWeight table = test::make_dense(8, 6, DType::float32, 1);
  const TestWeight odd = test::make_dense(7, 6, DType::float32, 1);
  const TestWeight offset = test::make_vector(6, 2);
  const TestWeight shorter = test::make_vector(5, 2);
  const auto distances = [](Program& program, std::int64_t width, std::int32_t rate) {
    return program.add("distances", width, RowSpace::rows, rate);
  };
  expect_refused(6, "width 6 and rate 2, got 6 and 1", [&](Program& program, BufferId) {
    return DistanceRows{distances(program, 6, 1), table};
  });
  expect_refused(6, "width 6 and rate 2, got 5 and 2", [&](Program& program, BufferId) {
    return DistanceRows{distances(program, 5, 2), table};
  });
  expect_refused(6, "an even number of rows", [&](Program& program, BufferId) {
    return DistanceRows{distances(program, 6, 2), odd};
  });
  const auto attention = [&](const TestWeight& content, std::int32_t heads) {
    return [&, heads](Program& program, BufferId x) {
      return RelativeAttention{
          x, distances(program, 6, 2), program.add("out", 6), content, offset, heads, 3};
    };
  };
  expect_refused(18, "expected float32 [6]", attention(shorter, 2));
  expect_refused(18, "expected heads", attention(offset, 0));
  expect_refused(17, "expected width 18", attention(offset, 2));
  expect_refused(4, "expected width 8, got 9", [](Program& program, BufferId x) {
    return JoinColumns{{x, x}, program.add("out", 9)};
  });
  expect_refused(4, "a part of themselves",
                 [](Program&, BufferId x) { return JoinColumns{{x}, x}; });
  expect_refused(4, "columns 3 to 7 of 6", [](Program&, BufferId x) {
    ActivateRows op;
    op.x = x;
    op.out = x;
    op.shift = 3;
    return op;
  });
  expect_refused(4, "at least once", [](Program&, BufferId x) { return LoadRows{x, 0, 0}; });
  expect_refused(4, "or neither", [](Program&, BufferId x) { return FlowStep{x, 0, 1, -1}; });
}

}  // namespace
}  // namespace ttsrt::ops
