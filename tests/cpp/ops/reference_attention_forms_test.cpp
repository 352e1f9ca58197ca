// The reference's self-attention with grouped queries, a rope and a scale of its own, against
// formulas written again here.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/rope_table.h"
#include "support/weights.h"
#include "ttsrt/error.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;

constexpr std::int32_t kHeads = 6;
constexpr std::int32_t kKvHeads = 2;
constexpr std::int32_t kHeadDim = 8;
constexpr std::int32_t kRotated = 6;
constexpr std::int32_t kWidth = (kHeads + 2 * kKvHeads) * kHeadDim;
constexpr std::int32_t kRows = 5;
constexpr float kScale = 0.4F;

// Head `head` of row `row` of qkv [rows, kWidth], turned by its position where it is no value.
std::vector<double> head_of(const std::vector<float>& qkv, std::int32_t row, std::int32_t head) {
  const float* x = qkv.data() + row * kWidth + head * kHeadDim;
  std::vector<double> out(x, x + kHeadDim);
  if (head >= kHeads + kKvHeads) return out;
  for (std::int32_t j = 0; j < kRotated / 2; ++j) {
    const double angle = row * test::test_frequency(j);
    const auto low = static_cast<std::size_t>(j);
    const std::size_t high = low + kRotated / 2;
    const double a = x[low];
    const double b = x[high];
    out[low] = a * std::cos(angle) - b * std::sin(angle);
    out[high] = b * std::cos(angle) + a * std::sin(angle);
  }
  return out;
}

// What query head `head` of row `row` gives over rows [0, count).
std::vector<double> expected_head(const std::vector<float>& qkv, std::int32_t row,
                                  std::int32_t head, std::int32_t count) {
  const std::int32_t group = head / (kHeads / kKvHeads);
  const std::vector<double> q = head_of(qkv, row, head);
  std::vector<double> out(kHeadDim);
  double sum = 0.0;
  for (std::int32_t j = 0; j < count; ++j) {
    const std::vector<double> key = head_of(qkv, j, kHeads + group);
    const std::vector<double> value = head_of(qkv, j, kHeads + kKvHeads + group);
    double dot = 0.0;
    for (std::size_t d = 0; d < kHeadDim; ++d) dot += q[d] * key[d];
    const double weight = std::exp(dot * kScale);
    sum += weight;
    for (std::size_t d = 0; d < kHeadDim; ++d) out[d] += weight * value[d];
  }
  for (double& value : out) value /= sum;
  return out;
}

class AttentionForms : public ::testing::TestWithParam<bool> {
 protected:
  AttentionForms() {
    StateSpec spec = test::small_state();
    spec.cache_heads = kKvHeads;
    spec.cache_head_dim = kHeadDim;
    backend_->create_state(spec);
    op_.qkv = test::add_input(program_, kWidth);
    op_.out = program_.add("out", kHeads * kHeadDim);
    op_.heads = kHeads;
    op_.kv_heads = kKvHeads;
    op_.head_dim = kHeadDim;
    op_.cache_layer = is_cached() ? 1 : -1;
    op_.causal = is_cached();
    op_.scale = kScale;
    op_.rope = rope_.weight();
  }
  bool is_cached() const { return GetParam(); }

  std::unique_ptr<Backend> backend_ = make_reference_backend();
  const test::TestRope rope_{40, kRotated};
  Program program_;
  SelfAttention op_;
};

TEST_P(AttentionForms, FollowTheirFormulas) {
  program_.ops.emplace_back(op_);
  const std::vector<float> qkv = test::random_vector(kRows * kWidth, 3);
  TestBatch batch;
  batch.add_vectors(1, kRows, qkv);
  batch.set_blocks({4});
  const std::vector<float> out = test::values_of(
      *test::run_program(*backend_, program_, batch.batch), op_.out, kRows * kHeads * kHeadDim);
  for (std::int32_t row = 0; row < kRows; ++row) {
    for (std::int32_t head = 0; head < kHeads; ++head) {
      const std::vector<double> expected =
          expected_head(qkv, row, head, is_cached() ? row + 1 : kRows);
      for (std::int32_t d = 0; d < kHeadDim; ++d) {
        ASSERT_NEAR(out[static_cast<std::size_t>((row * kHeads + head) * kHeadDim + d)],
                    expected[static_cast<std::size_t>(d)], 2e-6)
            << "row " << row << ", head " << head;
      }
    }
  }
}

// Probability of row `seen` for query head `head` of row `row`, over rows [0, row].
double expected_probability(const std::vector<float>& qkv, std::int32_t row, std::int32_t head,
                            std::int32_t seen) {
  const std::vector<double> q = head_of(qkv, row, head);
  double sum = 0.0;
  double found = 0.0;
  for (std::int32_t j = 0; j <= row; ++j) {
    const std::vector<double> key = head_of(qkv, j, kHeads + head / (kHeads / kKvHeads));
    double dot = 0.0;
    for (std::size_t d = 0; d < kHeadDim; ++d) dot += q[d] * key[d];
    sum += std::exp(dot * kScale);
    if (j == seen) found = std::exp(dot * kScale);
  }
  return found / sum;
}

// Of two draws, one reads its scores: of the text in rows 1 to 3, from heads 1 and 4.
TEST_P(AttentionForms, ScoresAreAShareOfTheHeadsProbabilities) {
  if (!is_cached()) return;
  const std::int32_t width = test::small_state().max_text_len;
  op_.scores = program_.add("scores", width, RowSpace::draws);
  op_.score_heads = 0b10010;
  op_.score_share = 0.5F;
  program_.ops.emplace_back(ClearScores{op_.scores});
  program_.ops.emplace_back(op_);
  step::SlotReset reset{1, {}};
  reset.rules.text_len = 3;
  reset.rules.analyzer = {true, 1};
  backend_->reset_slot(reset);
  const std::vector<float> qkv = test::random_vector(kRows * kWidth, 3);
  TestBatch batch;
  batch.add_vectors(1, kRows, qkv);
  batch.set_blocks({4});
  batch.add_draw(0, 2);
  batch.add_draw(1, kRows - 1);
  const std::vector<float> scores =
      test::values_of(*test::run_program(*backend_, program_, batch.batch), op_.scores, 2 * width);
  for (std::int32_t i = 0; i < width; ++i) {
    const double expected = i >= 3 ? 0.0
                                   : 0.5 * (expected_probability(qkv, kRows - 1, 1, 1 + i) +
                                            expected_probability(qkv, kRows - 1, 4, 1 + i));
    EXPECT_NEAR(scores[static_cast<std::size_t>(width + i)], expected, 1e-6) << i;
    EXPECT_EQ(scores[static_cast<std::size_t>(i)], 0.0F) << i;
  }
}

TEST_P(AttentionForms, RefuseWhatDoesNotFit) {
  const auto refuses = [this](auto change) {
    Program program = program_;
    SelfAttention op = op_;
    change(op);
    program.ops.emplace_back(op);
    TestBatch batch;
    batch.add_vectors(1, 1, std::vector<float>(kWidth)).position = 39;
    batch.set_blocks({4, 5, 6});
    EXPECT_THROW(test::run_program(*backend_, program, batch.batch), InternalError);
  };
  refuses([](SelfAttention& op) { op.kv_heads = 4; });
  refuses([](SelfAttention& op) { op.rope.cols = 10; });
  refuses([](SelfAttention& op) { op.rope.rows = 39; });
}

INSTANTIATE_TEST_SUITE_P(Kept, AttentionForms, ::testing::Bool());

}  // namespace
}  // namespace ttsrt::ops
