// Compares embeddings, norms, products and gathering of the reference with their definitions.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/half.h"
#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/weights.h"
#include "ttsrt/error.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;
using test::TestWeight;

class Reference : public ::testing::Test {
 protected:
  Reference() {
    backend->create_state(test::small_state());
    for (std::int32_t slot = 0; slot < 3; ++slot) backend->reset_slot({slot, {}});
  }
  std::unique_ptr<Backend> backend = make_reference_backend();
};

constexpr std::int32_t kDim = 16;
constexpr std::int32_t kVocab = 10;
constexpr std::int32_t kTables = 4;

struct Tables {
  TestWeight codes, text, context_text, positions, starts;
  explicit Tables(DType dtype)
      : codes(test::make_dense(kTables * kVocab, kDim, dtype, 1)),
        text(test::make_dense(12, kDim, dtype, 2)),
        context_text(test::make_dense(7, kDim, dtype, 3)),
        positions(test::make_dense(30, kDim, dtype, 4)),
        starts(test::make_dense(2, kDim, dtype, 5)) {}
  EmbedRows op(BufferId out) const {
    return {out, codes, kTables, kVocab, {text, context_text}, {positions, starts}};
  }
};

class Embed : public Reference, public ::testing::WithParamInterface<DType> {
 protected:
  std::vector<float> run(const EmbedRows& op, const TestBatch& rows) {
    Program program;
    EmbedRows record = op;
    record.out = program.add("out", kDim);
    program.ops.emplace_back(record);
    return test::values_of(*test::run_program(*backend, program, rows.batch), record.out,
                           rows.batch.rows * kDim);
  }
};

TEST_P(Embed, CodesAreTheMeanOfTheirTablesAndPositionsAreTheSegments) {
  const Tables tables(GetParam());
  TestBatch rows;
  rows.add_ids(0, 2, step::Input::codes, {1, 2, 3, 4, 9, 8, 7, 6}).position = 9;
  rows.set_learned(0, 5);
  const std::vector<float> out = run(tables.op(0), rows);
  const std::vector<std::vector<std::int32_t>> codes = {{1, 2, 3, 4}, {9, 8, 7, 6}};
  for (std::int32_t row = 0; row < 2; ++row) {
    for (std::int32_t d = 0; d < kDim; ++d) {
      float sum = 0.0F;
      for (std::int32_t table = 0; table < kTables; ++table)
        sum += tables.codes.at(table * kVocab + codes[row][table], d);
      ASSERT_NEAR(out[row * kDim + d], sum / 4 + tables.positions.at(5 + row, d), 1e-6);
    }
  }
}

TEST_P(Embed, IdsVectorsAndZeros) {
  const Tables tables(GetParam());
  TestBatch rows;
  rows.add_ids(0, 1, step::Input::ids, {11});
  rows.set_learned(0, 0);
  rows.add_ids(0, 1, step::Input::ids, {6}).table = 1;
  rows.set_learned(1, 1);
  rows.add_vectors(0, 1, test::random_vector(kDim, 9));
  rows.add(0, 1, step::Input::zeros).position = 8;
  rows.set_learned(0, 3);
  EmbedRows op = tables.op(0);
  const std::vector<float> out = run(op, rows);
  for (std::int32_t d = 0; d < kDim; ++d) {
    EXPECT_EQ(out[d], tables.text.at(11, d) + tables.positions.at(0, d));
    EXPECT_EQ(out[kDim + d], tables.context_text.at(6, d) + tables.starts.at(1, d));
    EXPECT_EQ(out[2 * kDim + d], test::random_vector(kDim, 9)[d]);
    EXPECT_EQ(out[3 * kDim + d], tables.positions.at(3, d));
  }
  op.adds_positions = false;
  EXPECT_EQ(run(op, rows)[kDim], tables.context_text.at(6, 0));
}

INSTANTIATE_TEST_SUITE_P(Types, Embed,
                         ::testing::Values(DType::float32, DType::bfloat16, DType::float16));

TEST_F(Reference, ContextRowsAreReadBack) {
  TestBatch stored;
  stored.add_vectors(1, 5, test::random_vector(5 * kDim, 1));
  stored.batch.segments[0].kept_offset = 2;
  stored.add_vectors(2, 5, test::random_vector(5 * kDim, 2)).kept_offset = 2;
  Program store;
  store.ops.reserve(2);
  const BufferId input = test::add_input(store, kDim);
  store.ops.emplace_back(StoreContext{input});
  test::run_program(*backend, store, stored.batch);

  TestBatch fed;
  fed.add(1, 2, step::Input::kept_rows).kept_offset = 4;
  Program program;
  const BufferId out = test::add_input(program, kDim);
  const std::vector<float> rows =
      test::values_of(*test::run_program(*backend, program, fed.batch), out, 2 * kDim);
  const std::vector<float> expected = test::random_vector(5 * kDim, 1);
  EXPECT_EQ(rows, std::vector<float>(expected.begin() + 2 * kDim, expected.begin() + 4 * kDim));
}

// Rows [2, kDim] of one op that reads `width` columns of its input.
template <typename Kind>
std::vector<float> run_rows(Backend& backend, Kind op, const std::vector<float>& x) {
  const auto width = static_cast<std::int64_t>(x.size()) / 2;
  TestBatch rows;
  rows.add_vectors(0, 2, x);
  Program program;
  op.x = test::add_input(program, width);
  op.out = program.add("out", kDim);
  program.ops.emplace_back(op);
  return test::values_of(*test::run_program(backend, program, rows.batch), op.out, 2 * kDim);
}

TEST_F(Reference, NormsFollowTheirFormulas) {
  const TestWeight weight = test::make_norm(kDim, 1);
  const TestWeight bias = test::make_vector(kDim, 3);
  const std::vector<float> x = test::random_vector(2 * kDim, 2, 3.0F, 1.0F);
  for (const NormKind kind : {NormKind::layer, NormKind::rms}) {
    for (const bool has_bias : {false, true}) {
      Norm op;
      op.weight = weight;
      op.kind = kind;
      op.epsilon = 1e-3F;
      if (has_bias) op.bias = bias;
      const std::vector<float> out = run_rows(*backend, op, x);
      for (std::int32_t row = 0; row < 2; ++row) {
        double mean = 0.0;
        double square = 0.0;
        for (std::int32_t d = 0; d < kDim; ++d) mean += x[row * kDim + d] / 16.0;
        if (kind == NormKind::rms) mean = 0.0;
        for (std::int32_t d = 0; d < kDim; ++d)
          square += std::pow(x[row * kDim + d] - mean, 2) / 16.0;
        for (std::int32_t d = 0; d < kDim; ++d) {
          const double scaled =
              (x[row * kDim + d] - mean) / std::sqrt(square + 1e-3) * weight.at(0, d);
          EXPECT_NEAR(out[row * kDim + d], scaled + (has_bias ? bias.at(0, d) : 0.0F), 1e-5);
        }
      }
    }
  }
}

TEST_F(Reference, GateMultipliesTheActivatedHalfWithTheOther) {
  const std::vector<float> x = test::random_vector(2 * 2 * kDim, 4, 2.0F);
  Gate op;
  const std::vector<float> out = run_rows(*backend, op, x);
  for (std::int32_t row = 0; row < 2; ++row) {
    for (std::int32_t d = 0; d < kDim; ++d) {
      const double gate = x[row * 2 * kDim + d];
      EXPECT_NEAR(out[row * kDim + d], gate / (1.0 + std::exp(-gate)) * x[(row * 2 + 1) * kDim + d],
                  1e-6);
    }
  }
}

TEST_F(Reference, AnAddendIsAddedToTheProduct) {
  const TestWeight weight = test::make_panel(kDim, kDim, DType::float32, 1, 0.5F);
  TestBatch rows;
  rows.add_vectors(0, 2, test::random_vector(2 * kDim, 5));
  Program program;
  Linear op;
  op.x = test::add_input(program, kDim);
  op.out = program.add("alone", kDim);
  op.weight = weight;
  op.activate = Activate::silu;
  program.ops.emplace_back(op);
  const BufferId alone = op.out;
  op.addend = op.x;
  op.out = program.add("with_addend", kDim);
  program.ops.emplace_back(op);
  op.accumulate = true;
  program.ops.emplace_back(op);
  const auto executable = test::run_program(*backend, program, rows.batch);
  const std::vector<float> expected = test::values_of(*executable, alone, 2 * kDim);
  const std::vector<float> out = test::values_of(*executable, op.out, 2 * kDim);
  const std::vector<float> x = test::random_vector(2 * kDim, 5);
  for (std::size_t i = 0; i < out.size(); ++i)
    EXPECT_NEAR(out[i], 2.0F * (expected[i] + x[i]), 1e-6);
  op.addend = op.out;
  program.ops.emplace_back(op);
  EXPECT_THROW(test::run_program(*backend, program, rows.batch), InternalError);
}

struct Shape {
  DType dtype;
  std::int64_t outputs;
  std::int64_t inputs;
};

class Products : public Reference, public ::testing::WithParamInterface<Shape> {};

TEST_P(Products, AreDotProductsOfRoundedInputs) {
  const auto [dtype, outputs, inputs] = GetParam();
  const TestWeight weight = test::make_panel(outputs, inputs, dtype, 1, 0.5F);
  const TestWeight bias = test::make_vector(outputs, 2, 0.5F);
  const std::vector<float> x = test::random_vector(static_cast<std::size_t>(3 * inputs), 3);
  TestBatch rows;
  rows.add_vectors(0, 3, x);
  Program program;
  Linear op;
  op.x = test::add_input(program, inputs);
  op.out = program.add("out", outputs);
  op.weight = weight;
  op.bias = bias;
  program.ops.emplace_back(op);
  op.activate = Activate::gelu_tanh;
  op.accumulate = true;
  program.ops.emplace_back(op);
  const std::vector<float> out =
      test::values_of(*test::run_program(*backend, program, rows.batch), op.out, 3 * outputs);
  for (std::int64_t row = 0; row < 3; ++row) {
    for (std::int64_t n = 0; n < outputs; ++n) {
      double sum = bias.at(0, n);
      for (std::int64_t k = 0; k < inputs; ++k) {
        const float value = x[static_cast<std::size_t>(row * inputs + k)];
        sum +=
            static_cast<double>(dtype == DType::bfloat16 ? test::round_to(dtype, value) : value) *
            weight.at(n, k);
      }
      const double gelu =
          0.5 * sum *
          (1.0 + std::tanh(std::sqrt(2.0 / 3.14159265358979) * (sum + 0.044715 * sum * sum * sum)));
      ASSERT_NEAR(out[static_cast<std::size_t>(row * outputs + n)], sum + gelu, 1e-5)
          << row << " " << n;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Products,
    ::testing::Values(Shape{DType::float32, 16, 16}, Shape{DType::float32, 19, 7},
                      Shape{DType::bfloat16, 32, 8}, Shape{DType::bfloat16, 19, 7},
                      Shape{DType::float16, 16, 8}, Shape{DType::float16, 19, 7}));

// Runs an Unfold over segments of `lengths` rows of one slot, cut from the same rows [sum, width].
std::vector<float> unfold(Backend& backend, const Unfold& record, std::int64_t width,
                          const std::vector<std::int32_t>& lengths) {
  Program program;
  Unfold op = record;
  op.x = test::add_input(program, width);
  op.out = program.add("out", op.kernel * width);
  program.ops.emplace_back(op);
  std::vector<float> all;
  std::int32_t first = 0;
  for (const std::int32_t length : lengths) {
    const std::vector<float> x =
        test::random_vector(static_cast<std::size_t>((first + length) * width), 1);
    TestBatch rows;
    rows.add_vectors(1, length, std::vector<float>(x.begin() + first * width, x.end())).position =
        first;
    const auto executable = test::run_program(backend, program, rows.batch);
    const std::vector<float> out = test::values_of(*executable, op.out, length * op.kernel * width);
    all.insert(all.end(), out.begin(), out.end());
    first += length;
  }
  return all;
}

TEST_F(Reference, UnfoldGathersNeighboursOldestFirst) {
  Unfold op;
  op.kernel = 3;
  const std::vector<float> x = test::random_vector(4 * kDim, 1);
  for (const bool is_causal : {true, false}) {
    op.causal = is_causal;
    const std::vector<float> out = unfold(*backend, op, kDim, {4});
    for (std::int32_t row = 0; row < 4; ++row) {
      for (std::int32_t tap = 0; tap < 3; ++tap) {
        const std::int32_t from = row + tap - (is_causal ? 2 : 1);
        const float expected = from >= 0 && from < 4 ? x[from * kDim + 5] : 0.0F;
        ASSERT_EQ(out[(row * 3 + tap) * kDim + 5], expected) << row << " " << tap;
      }
    }
  }
}

TEST_F(Reference, HistoryMakesPiecesEqualTheWhole) {
  Unfold op;
  op.kernel = 3;
  const std::vector<float> whole = unfold(*backend, op, kDim, {6});
  op.history = 0;
  EXPECT_EQ(unfold(*backend, op, kDim, {1, 1, 3, 1}), whole);
  EXPECT_EQ(unfold(*backend, op, kDim, {4, 2}), whole);  // position 0 clears the history
  op.history = 1;                                        // another kernel
  EXPECT_THROW(unfold(*backend, op, kDim, {1}), InternalError);
}

TEST_F(Reference, BatchesThatNameAbsentThingsAreRefused) {
  Program program;
  test::add_input(program, kDim);
  TestBatch rows;
  rows.add_vectors(3, 1, std::vector<float>(kDim));
  EXPECT_THROW(test::run_program(*backend, program, rows.batch), InternalError);
  rows.batch.segments[0].slot = 0;
  test::run_program(*backend, program, rows.batch);
  rows.batch.segments[0].first_row = 1;
  EXPECT_THROW(test::run_program(*backend, program, rows.batch), InternalError);
  rows.batch.segments[0].first_row = 0;
  rows.add_draw(0, 1);
  EXPECT_THROW(test::run_program(*backend, program, rows.batch), InternalError);
  rows.batch.draws.clear();
  rows.batch.segments[0].vectors = nullptr;
  EXPECT_THROW(test::run_program(*backend, program, rows.batch), InternalError);
}

TEST_F(Reference, IdsOutsideTheirTablesAreRefused) {
  const Tables tables(DType::float32);
  Program program;
  program.ops.emplace_back(tables.op(program.add("out", kDim)));
  TestBatch codes;
  codes.add_ids(0, 1, step::Input::codes, {0, 0, kVocab, 0});
  EXPECT_THROW(test::run_program(*backend, program, codes.batch), InternalError);
  TestBatch text;
  text.add_ids(0, 1, step::Input::ids, {-1});
  EXPECT_THROW(test::run_program(*backend, program, text.batch), InternalError);
  TestBatch tables_end;
  tables_end.add_ids(0, 1, step::Input::ids, {0}).table = 2;
  EXPECT_THROW(test::run_program(*backend, program, tables_end.batch), InternalError);
  TestBatch positions_end;
  positions_end.add(0, 2, step::Input::zeros);
  positions_end.set_learned(1, 1);
  EXPECT_THROW(test::run_program(*backend, program, positions_end.batch), InternalError);
}

TEST_F(Reference, BuffersMustHaveTheOpsShape) {
  const TestWeight weight = test::make_norm(kDim, 1);
  Program program;
  Norm op;
  op.x = test::add_input(program, kDim);
  op.out = program.add("out", kDim + 1);
  op.weight = weight;
  program.ops.emplace_back(op);
  TestBatch rows;
  rows.add_vectors(0, 1, std::vector<float>(kDim));
  EXPECT_THROW(test::run_program(*backend, program, rows.batch), InternalError);
}

}  // namespace
}  // namespace ttsrt::ops
