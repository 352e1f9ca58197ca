// What a Program inside an op may hold, and how the parts of a PickCodes must fit.
#include "ops/nested.h"

#include <gtest/gtest.h>

#include <functional>

#include "ops/check.h"
#include "support/backend.h"
#include "support/errors.h"
#include "support/weights.h"
#include "ttsrt/error.h"

namespace ttsrt::ops {
namespace {

constexpr std::int64_t kWidth = 8;

// A sound causal Program over `x` [rows, 8].
Program small_program() {
  static const test::TestWeight norm = test::make_norm(kWidth, 5);
  static const test::TestWeight qkv_weight =
      test::make_panel(3 * kWidth, kWidth, DType::float32, 6);
  Program program;
  program.name = "nested";
  const BufferId x = program.add("x", kWidth);
  const BufferId normed = program.add("normed", kWidth);
  const BufferId qkv = program.add("qkv", 3 * kWidth);
  program.ops.emplace_back(Norm{x, normed, norm});
  program.ops.emplace_back(Linear{normed, qkv, qkv_weight, {}});
  program.ops.emplace_back(SelfAttention{qkv, normed, 2, 4, -1, true});
  return program;
}

NestedProgram nested_of(Program program) {
  NestedProgram nested;
  nested.input = nested.output = 0;
  nested.program = std::make_shared<Program>(std::move(program));
  return nested;
}

bool refuses(const std::string& part, const std::function<void(Program&)>& change,
             bool needs_causal = false) {
  Program program = small_program();
  change(program);
  const NestedProgram nested = nested_of(program);
  return test::throws_naming<InternalError>(part, [&] { check_nested(nested, needs_causal); });
}

TEST(NestedProgram, HoldsNormsProductsAndAttention) {
  const NestedProgram nested = nested_of(small_program());
  check_nested(nested, true);
  check_nested(nested, false);
  EXPECT_EQ(width_of(nested, 0), kWidth);
  EXPECT_EQ(width_of(nested, 2), 3 * kWidth);
}

TEST(NestedProgram, RefusesWhatOnlyALaunchHas) {
  EXPECT_TRUE(refuses("another op", [](Program& of) { of.ops.emplace_back(EmbedRows{}); }));
  EXPECT_TRUE(refuses("another op", [](Program& of) { of.ops.emplace_back(PickCodes{}); }));
  EXPECT_TRUE(refuses("layer 3",
                      [](Program& of) { std::get<SelfAttention>(of.ops.back()).cache_layer = 3; }));
  EXPECT_TRUE(refuses("grouped queries",
                      [](Program& of) { std::get<SelfAttention>(of.ops.back()).kv_heads = 1; }));
  EXPECT_TRUE(
      refuses("one row per row", [](Program& of) { of.add("scores", 4, RowSpace::draws); }));
  EXPECT_TRUE(refuses("2 parts", [](Program& of) { of.end_part(); }));
}

TEST(NestedProgram, RowsThatRunOneByOneAreCausal) {
  const auto look_ahead = [](Program& of) {
    std::get<SelfAttention>(of.ops.back()).causal = false;
  };
  EXPECT_TRUE(refuses("after them", look_ahead, true));
  Program program = small_program();
  look_ahead(program);
  check_nested(nested_of(program), false);
}

TEST(NestedProgram, RefusesBuffersThatAreNotThere) {
  NestedProgram nested = nested_of(small_program());
  nested.output = kNoBuffer;
  EXPECT_TRUE(
      test::throws_naming<InternalError>("buffer -1 of 3", [&] { check_nested(nested, false); }));
  nested.output = 3;
  EXPECT_TRUE(
      test::throws_naming<InternalError>("buffer 3 of 3", [&] { check_nested(nested, false); }));
  nested.program.reset();
  EXPECT_TRUE(test::throws_naming<InternalError>("absent", [&] { check_nested(nested, false); }));
}

class PickParts : public ::testing::Test {
 protected:
  static constexpr std::int32_t kCodebooks = 3;
  static constexpr std::int32_t kVocab = 5;

  PickParts() {
    op_.codebooks = kCodebooks;
    op_.vocab = kVocab;
    op_.dim = 12;
    op_.network = nested_of(small_program());
    op_.in_proj = in_proj_;
    op_.positions = positions_;
    op_.code_tables = tables_;
    op_.head_weights.assign(kCodebooks, head_);
  }

  bool refuses(const std::string& part, const std::function<void(PickCodes&)>& change) const {
    PickCodes op = op_;
    change(op);
    return test::throws_naming<InternalError>(part, [&] { check_pick_codes(op, kCodebooks); });
  }

  test::TestWeight in_proj_ = test::make_panel(kWidth, 12, DType::float32, 1);
  test::TestWeight positions_ = test::make_dense(kCodebooks, kWidth, DType::float32, 2);
  test::TestWeight tables_ = test::make_dense(kCodebooks * kVocab, 12, DType::float32, 3);
  test::TestWeight head_ = test::make_panel(kVocab, kWidth, DType::float32, 4);
  PickCodes op_;
};

TEST_F(PickParts, FitEachOther) {
  check_pick_codes(op_, kCodebooks);
  EXPECT_EQ(op_.places(), kCodebooks);
}

TEST_F(PickParts, RefusesWhatDoesNotFit) {
  EXPECT_TRUE(refuses("got 2", [](PickCodes& op) { op.codebooks = 2; }));
  EXPECT_TRUE(refuses("in-projection", [](PickCodes& op) { op.in_proj = {}; }));
  EXPECT_TRUE(refuses("[8, 12]", [this](PickCodes& op) { op.in_proj = head_; }));
  EXPECT_TRUE(refuses("[4, 8]", [](PickCodes& op) { op.maskgit = true; }));
  EXPECT_TRUE(refuses("3 tables", [this](PickCodes& op) { op.code_tables = positions_; }));
  EXPECT_TRUE(refuses("3 heads", [](PickCodes& op) { op.head_weights.pop_back(); }));
  EXPECT_TRUE(refuses("[5, 8]", [this](PickCodes& op) { op.head_weights[1] = in_proj_; }));
  EXPECT_TRUE(refuses("[5, 24]", [](PickCodes& op) { op.network.output = 2; }));
}

// A Program of the pick alone, changed, is refused with a message that holds `part`.
TEST_F(PickParts, TheNestedProgramIsCheckedWithItsProgram) {
  StateSpec spec;
  spec.slots = 1;
  spec.codebooks = kCodebooks;
  const auto check = [&](const std::function<void(Program&)>& change) {
    Program nested = small_program();
    change(nested);
    Program program;
    PickCodes op = op_;
    op.hidden = test::add_input(program, op.dim);
    op.network = nested_of(nested);
    program.ops.emplace_back(op);
    check_program(program, spec);
  };
  const auto refuses_nested = [&](const std::string& part,
                                  const std::function<void(Program&)>& change) {
    return test::throws_naming<InternalError>(part, [&] { check(change); });
  };
  check([](Program&) {});
  EXPECT_TRUE(refuses_nested("normed, which nothing has written",
                             [](Program& of) { of.ops.erase(of.ops.begin()); }));
  EXPECT_TRUE(refuses_nested("expected width 24",
                             [](Program& of) { std::get<SelfAttention>(of.ops.back()).qkv = 1; }));
  EXPECT_TRUE(refuses_nested("another op", [](Program& of) { of.ops.emplace_back(EmbedRows{}); }));
}

}  // namespace
}  // namespace ttsrt::ops
