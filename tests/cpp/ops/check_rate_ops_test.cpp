// Programs and batches of ops with rates that don't fit are refused.
#include <gtest/gtest.h>

#include "ops/check.h"
#include "support/errors.h"
#include "support/rate_models.h"

namespace ttsrt::ops {
namespace {

using test::throws_naming;

StateSpec state() {
  StateSpec spec;
  spec.slots = 2;
  spec.past = {{4, 6}, {1, 6}};
  return spec;
}

// A buffer of 6 columns and rate 4, and one op that reads it.
template <typename Make>
void expect_refused(const char* words, const Make& make) {
  Program program;
  program.name = "wrong";
  const BufferId x = test::add_rate_input(program, 6, 4);
  program.ops.emplace_back(make(program, x));
  EXPECT_TRUE(throws_naming<InternalError>(words, [&] { check_program(program, state()); }));
}

BufferId add(Program& program, std::int64_t width, std::int32_t rate) {
  return program.add("out", width, RowSpace::rows, rate);
}

TEST(CheckRateOps, OtherOpsExpectOneRowForEachRow) {
  expect_refused("expected rate 1, got 4", [](Program&, BufferId x) { return ClearFiller{x}; });
  Program program;
  program.add("scores", 4, RowSpace::draws, 2);
  EXPECT_TRUE(
      throws_naming<InternalError>("expected a rate", [&] { check_program(program, state()); }));
}

TEST(CheckRateOps, WidthsAndRatesFollowEachOther) {
  const test::TestWeight alpha = test::make_vector(2, 1);
  expect_refused("expected float32 [3]",
                 [&](Program&, BufferId x) { return HalfSnake{x, x, alpha}; });
  expect_refused("expected width 6 and rate 4, got 6 and 2",
                 [&](Program& program, BufferId x) { return HalfSnake{x, add(program, 6, 2)}; });
  expect_refused("expected 24 values",
                 [](Program& program, BufferId x) { return SplitRows{x, add(program, 5, 5)}; });
  expect_refused("expected at least", [](Program&, BufferId x) { return Clamp{x, 1.0F, 0.0F}; });
  expect_refused("groups of 4", [](Program& program, BufferId x) {
    return QuantizeRows{x, add(program, 1, 1), {2, 2, 2, 2}};
  });
  expect_refused("rate 1, got 6 and 4", [](Program& program, BufferId x) {
    return QuantizeRows{x, add(program, 3, 1), {2, 2}};
  });
  const test::TestWeight table = test::make_dense(8, 3, DType::float32, 1);
  expect_refused("expected width 12", [&](Program& program, BufferId) {
    return DequantizeCodes{add(program, 11, 1), table, 4};
  });
}

TEST(CheckRateOps, ConvolutionsFitTheirTapsAndTheirPast) {
  const test::TestWeight panel = test::make_panel(8, 3 * 6, DType::float32, 2);
  const auto conv = [&panel](auto change) {
    return [&panel, change](Program& program, BufferId x) {
      TimeConv op;
      op.x = x;
      op.out = add(program, 8, 4);
      op.weight = panel;
      op.kernel = 3;
      op.dilation = 2;
      op.before = 4;
      op.past = 0;
      change(op);
      return op;
    };
  };
  expect_refused("expected panel16 floats [8, 24]", conv([](TimeConv& op) { op.kernel = 4; }));
  expect_refused("rate 4 at a stride of 3", conv([](TimeConv& op) { op.stride = 3; }));
  expect_refused("width 8 and rate 2", conv([](TimeConv& op) { op.stride = 2; }));
  expect_refused("causal convolution", conv([](TimeConv& op) { op.before = 3; }));
  expect_refused("past rows 2 of 2", conv([](TimeConv& op) { op.past = 2; }));
  expect_refused("past rows 1: expected [4, 6], got [1, 6]",
                 conv([](TimeConv& op) { op.past = 1; }));
  const test::TestWeight square = test::make_panel(6, 6, DType::float32, 2);
  expect_refused("can't write over its input", [&square](Program&, BufferId x) {
    TimeConv op;
    op.x = x;
    op.out = x;
    op.weight = square;
    return op;
  });
}

TEST(CheckRateOps, UpsamplersReadPairsOfColumns) {
  const test::TestWeight weight = test::make_dense(6, 4, DType::float32, 1);
  const test::TestWeight bias = test::make_vector(3, 1);
  const auto upsample = [&](std::int64_t rate, std::int32_t factor, std::int32_t past) {
    return [&, rate, factor, past](Program& program, BufferId x) {
      return Upsample{x,   add(program, 3, static_cast<std::int32_t>(rate)), weight, bias, factor,
                      past};
    };
  };
  expect_refused("width 3 and rate 8, got 3 and 4", upsample(4, 2, 1));
  expect_refused("expected dense float32 [6, 6]", upsample(12, 3, 1));
  expect_refused("past rows 0: expected [1, 6]", upsample(8, 2, 0));
}

TEST(CheckRateOps, BatchesHaveCodesAndOneBranch) {
  const test::RateDecoder decoder(DType::float32);
  ProgramLimits limits;
  limits.max_rows = 8;
  check_program(decoder.program, decoder.spec);
  const BatchNeeds needs = needs_of(decoder.program, limits, decoder.spec);
  test::TestBatch batch;
  batch.add_ids(0, 2, step::Input::codes, test::RateDecoder::codes(2, 1));
  check_batch(batch.batch, needs, decoder.spec);
  batch.batch.segments[0].branch = step::Branch::unconditional;
  EXPECT_TRUE(throws_naming<InternalError>("unconditional branch",
                                           [&] { check_batch(batch.batch, needs, decoder.spec); }));
  batch.batch.segments[0].branch = step::Branch::conditional;
  batch.batch.segments[0].input = step::Input::ids;
  EXPECT_TRUE(throws_naming<InternalError>("no codes",
                                           [&] { check_batch(batch.batch, needs, decoder.spec); }));
}

TEST(CheckRateOps, PastRowsAreReplacedWhenAllHaveReadThem) {
  TimeConv op;
  op.x = 1;
  op.out = 2;
  const std::size_t without = uses_of(Op(op)).size();
  op.past = 3;
  const Uses uses = uses_of(Op(op));
  ASSERT_EQ(uses.size(), without + 3);
  EXPECT_EQ(uses.back().part, Part::past);
  EXPECT_EQ(uses.back().index, 3);
  EXPECT_EQ(uses.back().phase, 1);
  EXPECT_STREQ(name_of(Op(op)), "TimeConv");
  EXPECT_STREQ(name_of(Op(QuantizeRows{})), "QuantizeRows");
}

}  // namespace
}  // namespace ttsrt::ops
