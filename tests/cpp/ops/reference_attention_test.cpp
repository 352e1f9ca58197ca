// Tests the attention of the reference: caches and blocks, cross-attention with prior and scores.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "ops/reference/reference_backend.h"
#include "rules/prior.h"
#include "support/backend.h"
#include "support/weights.h"
#include "ttsrt/error.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;

constexpr std::int32_t kHeads = 2;
constexpr std::int32_t kHeadDim = 8;
constexpr std::int32_t kWidth = kHeads * kHeadDim;
constexpr std::int32_t kTextLen = 11;

std::unique_ptr<Backend> make_backend(DType cache_dtype = DType::float32) {
  StateSpec spec = test::small_state();
  spec.cache_dtype = cache_dtype;
  std::unique_ptr<Backend> backend = make_reference_backend();
  backend->create_state(spec);
  return backend;
}

// Computes softmax attention of q over the first `count` rows, `stride` apart, from the formula.
struct Plain {
  const float* keys;
  const float* values;
  std::int64_t stride;
  std::int64_t count;
  std::vector<float> weights;  // a prior, or empty

  std::vector<double> probabilities(const float* q, std::int32_t head) const {
    std::vector<double> p;
    for (std::int64_t j = 0; j < count; ++j) {
      double dot = 0.0;
      for (std::int32_t d = 0; d < kHeadDim; ++d)
        dot += double{q[head * kHeadDim + d]} * keys[j * stride + head * kHeadDim + d];
      p.push_back(std::exp(dot / std::sqrt(8.0)) *
                  (weights.empty() ? 1.0 : double{weights[static_cast<std::size_t>(j)]}));
    }
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& value : p) value /= sum;
    return p;
  }

  std::vector<float> row(const float* q) const {
    std::vector<float> out;
    for (std::int32_t head = 0; head < kHeads; ++head) {
      const std::vector<double> p = probabilities(q, head);
      for (std::int32_t d = 0; d < kHeadDim; ++d) {
        double sum = 0.0;
        for (std::int64_t j = 0; j < count; ++j)
          sum += p[static_cast<std::size_t>(j)] * values[j * stride + head * kHeadDim + d];
        out.push_back(static_cast<float>(sum));
      }
    }
    return out;
  }
};

void expect_near(const float* actual, const std::vector<float>& expected,
                 const std::string& where) {
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], 2e-6) << where << ", element " << i;
}

// --- self-attention
// ------------------------------------------------------------------------------------------------------

struct SelfProgram {
  Program program;
  SelfAttention op;
  explicit SelfProgram(std::int32_t cache_layer, bool is_causal = true) {
    op.qkv = test::add_input(program, 3 * kWidth);
    op.out = program.add("out", kWidth);
    op.heads = kHeads;
    op.head_dim = kHeadDim;
    op.cache_layer = cache_layer;
    op.causal = is_causal;
    program.ops.emplace_back(op);
  }
};

std::vector<float> qkv_rows(std::int32_t rows, std::uint64_t seed) {
  return test::random_vector(static_cast<std::size_t>(rows) * 3 * kWidth, seed, 1.5F);
}

std::vector<float> slice(const std::vector<float>& rows, std::int32_t begin, std::int32_t end,
                         std::int64_t width) {
  return std::vector<float>(rows.begin() + begin * width, rows.begin() + end * width);
}

TEST(SelfAttentionOp, AnUncachedRowSeesItsOwnSegmentOnly) {
  const std::unique_ptr<Backend> backend = make_backend();
  for (const bool is_causal : {true, false}) {
    const SelfProgram self(-1, is_causal);
    const std::vector<float> first = qkv_rows(5, 1);
    const std::vector<float> second = qkv_rows(3, 2);
    TestBatch rows;
    rows.add_vectors(0, 5, first);
    rows.add_vectors(0, 3, second);
    const auto executable = test::run_program(*backend, self.program, rows.batch);
    const float* out = executable->activation(self.op.out);
    for (std::int32_t row = 0; row < 8; ++row) {
      const std::vector<float>& own = row < 5 ? first : second;
      const std::int32_t i = row < 5 ? row : row - 5;
      const std::int64_t count = is_causal ? i + 1 : (row < 5 ? 5 : 3);
      const Plain plain{own.data() + kWidth, own.data() + 2 * kWidth, 3 * kWidth, count, {}};
      expect_near(out + row * kWidth, plain.row(own.data() + i * 3 * kWidth),
                  "row " + std::to_string(row));
    }
  }
}

// Runs rows [begin, end) of a sequence of 40 rows through the cache.
std::vector<float> run_cached(Backend& backend, const std::vector<float>& all, std::int32_t begin,
                              std::int32_t end, const std::vector<std::int32_t>& blocks,
                              std::int32_t layer = 1) {
  const SelfProgram self(layer);
  TestBatch rows;
  rows.add_vectors(0, end - begin, slice(all, begin, end, 3 * kWidth)).position = begin;
  rows.set_blocks(blocks);
  return test::values_of(*test::run_program(backend, self.program, rows.batch), self.op.out,
                         (end - begin) * kWidth);
}

TEST(SelfAttentionOp, TheCacheMakesPiecesEqualTheWhole) {
  const std::unique_ptr<Backend> backend = make_backend();
  const std::vector<float> all = qkv_rows(40, 3);
  const SelfProgram whole(-1);
  TestBatch rows;
  rows.add_vectors(0, 40, all);
  const auto executable = test::run_program(*backend, whole.program, rows.batch);
  const std::vector<float> expected = test::values_of(*executable, whole.op.out, 40 * kWidth);
  std::vector<float> pieces;
  for (const auto& [begin, end] :
       std::vector<std::pair<std::int32_t, std::int32_t>>{{0, 15}, {15, 17}, {17, 18}, {18, 40}}) {
    const std::vector<float> out = run_cached(*backend, all, begin, end, {7, 2, 9});
    pieces.insert(pieces.end(), out.begin(), out.end());
  }
  EXPECT_EQ(pieces, expected);
}

TEST(SelfAttentionOp, LayersAndBlocksAreApart) {
  const std::unique_ptr<Backend> backend = make_backend();
  const std::vector<float> all = qkv_rows(20, 3);
  const std::vector<float> other = qkv_rows(20, 4);
  run_cached(*backend, all, 0, 16, {7, 2});
  run_cached(*backend, other, 0, 16, {6, 3});
  run_cached(*backend, other, 0, 16, {7, 2}, 0);
  const std::vector<float> kept = run_cached(*backend, all, 16, 20, {7, 2});
  EXPECT_EQ(kept, slice(run_cached(*backend, all, 0, 20, {1, 4}), 16, 20, kWidth));
}

TEST(SelfAttentionOp, ACopiedBlockContinuesTheSequence) {
  const std::unique_ptr<Backend> backend = make_backend();
  const std::vector<float> all = qkv_rows(20, 3);
  run_cached(*backend, all, 0, 18, {7, 2});
  backend->copy_blocks({{2, 5}});
  run_cached(*backend, qkv_rows(20, 4), 16, 20, {7, 2});  // overwrites the original tail
  EXPECT_EQ(run_cached(*backend, all, 18, 20, {7, 5}),
            slice(run_cached(*backend, all, 0, 20, {8, 9}), 18, 20, kWidth));
}

TEST(SelfAttentionOp, TheCacheRoundsToItsType) {
  const std::vector<float> all = qkv_rows(3, 5);
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    const std::unique_ptr<Backend> backend = make_backend(dtype);
    const std::vector<float> out = run_cached(*backend, all, 0, 3, {0});
    std::vector<float> rounded = all;
    for (std::size_t i = 0; i < rounded.size(); ++i) {
      if (i % (3 * kWidth) >= kWidth) rounded[i] = test::round_to(dtype, rounded[i]);
    }
    const Plain plain{rounded.data() + kWidth, rounded.data() + 2 * kWidth, 3 * kWidth, 3, {}};
    expect_near(out.data() + 2 * kWidth, plain.row(all.data() + 2 * 3 * kWidth), "last row");
  }
}

TEST(SelfAttentionOp, AnInt8CacheKeepsMultiplesOfAScalePerHead) {
  std::vector<float> all = qkv_rows(3, 5);
  std::fill_n(all.begin() + kWidth, kHeadDim, 0.0F);  // a key of zeros stays one
  const std::unique_ptr<Backend> backend = make_backend(DType::int8);
  const std::vector<float> out = run_cached(*backend, all, 0, 3, {0});
  std::vector<float> rounded = all;
  for (std::size_t head = 0; head < rounded.size(); head += kHeadDim) {
    if (head % (3 * kWidth) < kWidth) continue;  // a query
    float largest = 0.0F;
    for (std::size_t d = 0; d < kHeadDim; ++d)
      largest = std::max(largest, std::fabs(all[head + d]));
    for (std::size_t d = 0; d < kHeadDim && largest > 0.0F; ++d) {
      const float scale = largest / 127.0F;
      rounded[head + d] = std::nearbyint(all[head + d] / scale) * scale;
      ASSERT_NEAR(rounded[head + d], all[head + d], scale * 0.51F);
    }
  }
  const Plain plain{rounded.data() + kWidth, rounded.data() + 2 * kWidth, 3 * kWidth, 3, {}};
  expect_near(out.data() + 2 * kWidth, plain.row(all.data() + 2 * 3 * kWidth), "last row");
}

TEST(SelfAttentionOp, RefusesBlocksItDoesNotHave) {
  const std::unique_ptr<Backend> backend = make_backend();
  const std::vector<float> all = qkv_rows(20, 3);
  EXPECT_THROW(run_cached(*backend, all, 0, 17, {1}), InternalError);
  EXPECT_THROW(run_cached(*backend, all, 0, 3, {12}), InternalError);
  EXPECT_THROW(run_cached(*backend, all, 0, 3, {-1}), InternalError);
  EXPECT_THROW(run_cached(*backend, all, 0, 3, {1}, 2), InternalError);
  EXPECT_THROW(backend->copy_blocks({{0, 12}}), InternalError);
}

// --- cross-attention
// -----------------------------------------------------------------------------------------------------

rules::SlotRules prior_rules() {
  rules::SlotRules rules;
  rules.text_len = kTextLen;
  rules.context_len = 4;
  rules.prior.mode = rules::PriorMode::nemo;
  rules.prior.estimate_layers = 0b011;
  rules.prior.apply_layers = 0b110;
  return rules;
}

// Fills the memory of every layer and kind with keys and values [rows, 2 * width] from a seed.
std::vector<float> memory_values(std::int32_t rows, std::int32_t layer, Memory memory) {
  const std::uint64_t seed =
      (memory == Memory::context ? 60 : 50) + static_cast<std::uint64_t>(layer);
  return test::random_vector(static_cast<std::size_t>(rows) * 2 * kWidth, seed, 1.5F);
}

void store(Backend& backend, std::int32_t layer, Memory memory, std::int32_t begin,
           std::int32_t end) {
  Program program;
  StoreMemory op;
  op.kv = test::add_input(program, 2 * kWidth);
  op.layer = layer;
  op.memory = memory;
  program.ops.emplace_back(op);
  TestBatch rows;
  rows.add_vectors(1, end - begin, slice(memory_values(end, layer, memory), begin, end, 2 * kWidth))
      .position = begin;
  test::run_program(backend, program, rows.batch);
}

std::unique_ptr<Backend> make_cross_backend(const rules::SlotRules& rules) {
  std::unique_ptr<Backend> backend = make_backend();
  backend->reset_slot({1, rules});
  for (std::int32_t layer = 0; layer < 3; ++layer) {
    store(*backend, layer, Memory::text, 0, 6);
    store(*backend, layer, Memory::text, 6, kTextLen);
    store(*backend, layer, Memory::context, 0, 4);
  }
  return backend;
}

struct CrossResult {
  std::vector<float> out[3];  // of each layer, [rows, width]
  std::vector<float> scores;  // [max_text_len]
};

// Runs one conditional and one unconditional row through the text memory of three layers, and then
// the update of the prior.
CrossResult run_cross(Backend& backend, const std::vector<float>& q, bool apply_prior,
                      Memory memory = Memory::text) {
  Program program;
  const BufferId input = test::add_input(program, kWidth);
  const BufferId scores = program.add("scores", 24, RowSpace::draws);
  program.ops.emplace_back(ClearScores{scores});
  CrossAttention ops[3];
  for (std::int32_t layer = 0; layer < 3; ++layer) {
    ops[layer] = {input,
                  program.add("out", kWidth),
                  memory == Memory::text ? scores : kNoBuffer,
                  kHeads,
                  kHeadDim,
                  layer,
                  memory};
    program.ops.emplace_back(ops[layer]);
  }
  program.ops.emplace_back(UpdatePrior{scores});
  TestBatch rows;
  rows.add_vectors(1, 1, q).apply_prior = apply_prior;
  rows.add_vectors(1, 1, q).branch = step::Branch::unconditional;
  rows.add_draw(1, 0, 1);
  const auto executable = test::run_program(backend, program, rows.batch);
  CrossResult result;
  for (std::int32_t layer = 0; layer < 3; ++layer)
    result.out[layer] = test::values_of(*executable, ops[layer].out, 2 * kWidth);
  result.scores = test::values_of(*executable, scores, 24);
  return result;
}

Plain plain_text(const std::vector<float>& kv, std::vector<float> weights = {}) {
  return {kv.data(), kv.data() + kWidth, 2 * kWidth, kTextLen, std::move(weights)};
}

void expect_cross(const CrossResult& result, const std::vector<float>& q,
                  const std::vector<float>& weights) {
  std::vector<float> scores(24, 0.0F);
  for (std::int32_t layer = 0; layer < 3; ++layer) {
    const std::vector<float> kv = memory_values(kTextLen, layer, Memory::text);
    const Plain plain = plain_text(kv, layer == 0 ? std::vector<float>{} : weights);
    expect_near(result.out[layer].data(), plain.row(q.data()), "layer " + std::to_string(layer));
    for (std::int32_t d = 0; d < kWidth; ++d) EXPECT_EQ(result.out[layer][kWidth + d], 0.0F);
    for (std::int32_t head = 0; layer < 2 && head < kHeads; ++head) {
      const std::vector<double> p = plain.probabilities(q.data(), head);
      for (std::size_t j = 0; j < p.size(); ++j) scores[j] += static_cast<float>(p[j] / 4.0);
    }
  }
  expect_near(result.scores.data(), scores, "scores");
}

TEST(CrossAttentionOp, WithoutAPriorThenWithOne) {
  const std::unique_ptr<Backend> backend = make_cross_backend(prior_rules());
  const std::vector<float> q = test::random_vector(kWidth, 7, 2.0F);
  const CrossResult first = run_cross(*backend, q, true);  // the first step has no prior yet
  expect_cross(first, q, {});

  rules::SlotRules rules = prior_rules();
  rules::SlotState state;
  std::vector<std::int32_t> counts(24, 0);
  rules::update_prior(rules, state, counts.data(), first.scores.data());
  std::vector<float> weights;
  for (std::int32_t j = 0; j < kTextLen; ++j) {
    weights.push_back(rules::prior_weight(rules.prior, state, counts.data(), kTextLen, j));
  }
  ASSERT_NE(std::count(weights.begin(), weights.end(), 1.0F), kTextLen);
  expect_cross(run_cross(*backend, q, true), q, weights);
  expect_cross(run_cross(*backend, q, false), q, {});
}

TEST(CrossAttentionOp, ScoresAreKeptWithoutAPriorToo) {
  rules::SlotRules rules = prior_rules();
  rules.prior.mode = rules::PriorMode::off;
  const std::unique_ptr<Backend> backend = make_cross_backend(rules);
  const std::vector<float> q = test::random_vector(kWidth, 7, 2.0F);
  run_cross(*backend, q, true);
  expect_cross(run_cross(*backend, q, true), q, {});
}

TEST(CrossAttentionOp, TheContextMemoryHasItsOwnRowsAndNoPrior) {
  const std::unique_ptr<Backend> backend = make_cross_backend(prior_rules());
  const std::vector<float> q = test::random_vector(kWidth, 7, 2.0F);
  run_cross(*backend, q, true);
  const CrossResult result = run_cross(*backend, q, true, Memory::context);
  for (std::int32_t layer = 0; layer < 3; ++layer) {
    const std::vector<float> kv = memory_values(4, layer, Memory::context);
    const Plain plain{kv.data(), kv.data() + kWidth, 2 * kWidth, 4, {}};
    expect_near(result.out[layer].data(), plain.row(q.data()), "layer " + std::to_string(layer));
  }
  EXPECT_EQ(result.scores, std::vector<float>(24, 0.0F));
}

TEST(CrossAttentionOp, RefusesMoreTextThanASlotHolds) {
  rules::SlotRules rules = prior_rules();
  rules.text_len = 25;
  const std::unique_ptr<Backend> backend = make_backend();
  EXPECT_THROW(backend->reset_slot({1, rules}), InternalError);
  EXPECT_THROW(backend->reset_slot({3, prior_rules()}), InternalError);
  EXPECT_THROW(store(*backend, 3, Memory::text, 0, 1), InternalError);
  EXPECT_THROW(store(*backend, 0, Memory::text, 24, 25), InternalError);
}

}  // namespace
}  // namespace ttsrt::ops
