// Programs and batches of whole items that don't fit are refused.
#include <gtest/gtest.h>

#include "ops/check.h"
#include "support/backend.h"
#include "support/errors.h"
#include "support/weights.h"

namespace ttsrt::ops {
namespace {

using test::throws_naming;

StateSpec state() {
  StateSpec spec;
  spec.slots = 2;
  spec.num_blocks = 2;
  spec.dim = 4;
  spec.max_context_rows = 8;
  spec.schedule_width = 24;
  spec.rows = {{8, 4, false}, {8, 4, false}, {8, 1, false}, {8, 16, true}};
  return spec;
}

// An input of this width and one op that reads it.
template <typename Make>
void expect_refused(std::int64_t width, const char* words, const Make& make) {
  Program program;
  program.name = "wrong";
  const BufferId x = test::add_input(program, width);
  program.ops.emplace_back(make(program, x));
  EXPECT_TRUE(throws_naming<InternalError>(words, [&] { check_program(program, state()); }));
}

TEST(CheckWholeOps, ArraysAndColumnsMustBeThere) {
  expect_refused(4, "array of rows 4", [](Program&, BufferId x) { return SaveRows{x, 4, 0}; });
  expect_refused(4, "columns 1 to 5", [](Program&, BufferId x) { return SaveRows{x, 0, 1}; });
  expect_refused(5, "width 5", [](Program&, BufferId x) { return LoadRows{x, 0}; });
  expect_refused(16, "columns 16 to 32", [](Program& program, BufferId x) {
    return ModulatedNorm{x, program.add("out", 16), 0, 16, 1e-6F};
  });
  expect_refused(16, "columns 9 to 25", [](Program&, BufferId x) { return AddModulated{x, x, 9}; });
  expect_refused(23, "expected width 24", [](Program&, BufferId x) { return StoreSchedule{x}; });
  expect_refused(5, "expected at most 4",
                 [](Program&, BufferId x) { return FlowStep{x, 0, 1, 2}; });
  expect_refused(4, "array of rows 3", [](Program&, BufferId x) { return FlowStep{x, 0, 1, 3}; });
}

TEST(CheckWholeOps, ConvolutionsFitTheirGroups) {
  const test::TestWeight bias = test::make_vector(32, 1);
  const test::TestWeight panel = test::make_panel(32, 3 * 16, DType::float32, 2);
  const auto conv = [&](std::int32_t groups, std::int32_t kernel) {
    return [&bias, &panel, groups, kernel](Program& program, BufferId x) {
      return GroupedConv{x,      program.add("out", 32), panel, bias, groups,
                         kernel, Activate::none,         false};
    };
  };
  expect_refused(32, "odd number of taps", conv(2, 4));
  expect_refused(32, "4 groups", conv(4, 3));
  expect_refused(32, "expected [32, 80]", conv(2, 5));
  const test::TestWeight taps = test::make_vector(6 * 8, 3);
  expect_refused(8, "expected float32", [&](Program& program, BufferId x) {
    return DepthwiseConv{x, program.add("out", 8), taps, bias};
  });
  expect_refused(8, "can't write over its input",
                 [](Program&, BufferId x) { return StretchText{x, x}; });
}

TEST(CheckWholeOps, SlotsThatKeepSchedulesNeedNoBlocks) {
  StateSpec spec = state();
  spec.num_blocks = 0;
  spec.schedule_rows = 3;
  Program storing;
  const BufferId rows = test::add_input(storing, 24);
  storing.ops.emplace_back(StoreSchedule{rows});
  ProgramLimits limits;
  limits.max_rows = 8;
  const BatchNeeds stores = needs_of(storing, limits, spec);
  EXPECT_FALSE(stores.uses_cache);
  test::TestBatch batch;
  batch.add_vectors(1, 2, std::vector<float>(48)).position = 1;
  check_batch(batch.batch, stores, spec);
  batch.batch.segments[0].position = 2;
  EXPECT_TRUE(throws_naming<InternalError>("of a schedule of 3",
                                           [&] { check_batch(batch.batch, stores, spec); }));
  Program reading;
  const BufferId x = test::add_input(reading, 16);
  reading.ops.emplace_back(ModulatedNorm{x, x, 0, 8, 1e-6F});
  const BatchNeeds reads = needs_of(reading, limits, spec);
  test::TestBatch other;
  other.add_vectors(1, 1, std::vector<float>(16)).schedule_row = 2;
  check_batch(other.batch, reads, spec);
  other.batch.segments[0].schedule_row = 3;
  EXPECT_TRUE(throws_naming<InternalError>("schedule row 3 of 3",
                                           [&] { check_batch(other.batch, reads, spec); }));
}

TEST(CheckWholeOps, BatchesStayInsideArraysAndSchedules) {
  Program program;
  const BufferId x = test::add_input(program, 16);
  program.ops.emplace_back(ModulatedNorm{x, x, 0, 8, 1e-6F});
  program.ops.emplace_back(SaveRows{x, 3, 0});
  ProgramLimits limits;
  limits.max_rows = 16;
  limits.max_segments = 2;
  const StateSpec spec = state();
  const BatchNeeds needs = needs_of(program, limits, spec);
  EXPECT_FALSE(needs.uses_cache);
  test::TestBatch batch;
  step::Segment& segment = batch.add_vectors(0, 4, std::vector<float>(64));
  segment.position = 4;
  segment.schedule_row = 31;
  check_batch(batch.batch, needs, spec);
  batch.batch.segments[0].schedule_row = 32;
  EXPECT_TRUE(throws_naming<InternalError>("schedule row 32 of 32",
                                           [&] { check_batch(batch.batch, needs, spec); }));
  batch.batch.segments[0].schedule_row = 0;
  batch.batch.segments[0].position = 5;
  EXPECT_TRUE(throws_naming<InternalError>("of arrays of 8",
                                           [&] { check_batch(batch.batch, needs, spec); }));
  batch.batch.segments[0].position = 0;
  batch.batch.segments[0].settled_rows = 5;
  EXPECT_TRUE(throws_naming<InternalError>("5 settled rows of 4",
                                           [&] { check_batch(batch.batch, needs, spec); }));
  batch.batch.segments[0].settled_rows = 4;
  check_batch(batch.batch, needs, spec);
  batch.add_vectors(0, 1, std::vector<float>(16));
  batch.add_vectors(1, 1, std::vector<float>(16));
  EXPECT_TRUE(throws_naming<InternalError>("at most 2 segments, got 3",
                                           [&] { check_batch(batch.batch, needs, spec); }));
}

TEST(CheckWholeOps, EveryOpHasAName) {
  EXPECT_STREQ(name_of(EmbedRows{}), "EmbedRows");
  EXPECT_STREQ(name_of(FinishBlock{}), "FinishBlock");
  EXPECT_STREQ(name_of(GroupedConv{}), "GroupedConv");
  EXPECT_STREQ(name_of(EmitRows{}), "EmitRows");
}

}  // namespace
}  // namespace ttsrt::ops
