// One layer by itself: its parts add up to it, a row doesn't depend on what comes behind it or on
// threads, devices agree, weights may be replaced, and what can't be run is refused.
#include "model/llm/layer_programs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "support/causal_models.h"
#include "support/errors.h"
#include "ttsrt/layer.h"

namespace ttsrt {
namespace {

using test::throws_naming;
using Values = std::map<std::string, Matrix<float>>;

constexpr std::int32_t kRows = 21;  // the last block of 16 isn't full
constexpr std::int32_t kDim = 12;

Matrix<float> random_matrix(std::int64_t rows, std::int64_t cols, std::uint32_t seed,
                            float scale = 1.0F) {
  Matrix<float> made{rows, cols, {}};
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    seed = seed * 1664525U + 1013904223U;
    made.values.push_back(scale * (static_cast<float>(seed >> 8U) / 8388608.0F - 1.0F));
  }
  return made;
}

std::int64_t rows_of(const std::string& name, bool is_gated) {
  if (name == "self_qkv") return 48;  // 4 heads, and 2 of keys and of values, of 6
  if (name == "ffn_in") return is_gated ? 40 : 20;
  return name == "self_out" || name == "ffn_out" ? kDim : 1;
}

std::int64_t cols_of(const std::string& name, bool is_gated) {
  if (name == "self_out") return 24;
  if (name == "ffn_out") return 20;
  if (name == "self_qkv_bias") return 48;
  if (name == "ffn_in_bias") return is_gated ? 40 : 20;
  return kDim;
}

class LlmLayers : public ::testing::TestWithParam<bool> {
 protected:
  LlmLayer layer(const std::string& device, std::int32_t num_threads = 1) const {
    const bool is_parallel = GetParam();
    const Json stack = is_parallel ? test::parallel_stack_json() : test::llama_stack_json();
    LlmLayer made(stack.dump(), 32, device, num_threads);
    std::uint32_t seed = 1;
    for (const std::string& name : made.weights())
      made.set(name, random_matrix(rows_of(name, !is_parallel), cols_of(name, !is_parallel), ++seed,
                                   0.5F));
    return made;
  }

  static Values run(LlmLayer& layer, const std::string& part, const Matrix<float>& rows) {
    Values values;
    for (LayerValues& each : layer.run(part, rows)) values[each.name] = std::move(each.values);
    return values;
  }

  static void expect_near(const Matrix<float>& got, const Matrix<float>& expected) {
    ASSERT_EQ(got.values.size(), expected.values.size());
    float largest = 0.0F;
    for (const float value : expected.values) largest = std::max(largest, std::fabs(value));
    for (std::size_t i = 0; i < got.values.size(); ++i)
      ASSERT_NEAR(got.values[i], expected.values[i], 2e-5F * largest) << i;
  }

  static Matrix<float> sum(const Matrix<float>& a, const Matrix<float>& b) {
    Matrix<float> made = a;
    for (std::size_t i = 0; i < made.values.size(); ++i) made.values[i] += b.values[i];
    return made;
  }

  const Matrix<float> rows_ = random_matrix(kRows, kDim, 7);
};

TEST_P(LlmLayers, PartsAddUpToTheLayer) {
  for (const char* device : {"cpu", "reference"}) {
    LlmLayer of = layer(device);
    const Values whole = run(of, "layer", rows_);
    EXPECT_EQ(whole.count("mlp_in"), GetParam() ? 0U : 1U);
    EXPECT_EQ(whole.at("attn_out").cols, 24);
    EXPECT_EQ(whole.at("mlp_out").cols, 20);
    const Matrix<float>& normed = whole.at(GetParam() ? "attn_in" : "mlp_in");
    const Matrix<float> attention = run(of, "attention", whole.at("attn_in")).at("out");
    const Matrix<float> mlp = run(of, "mlp", normed).at("out");
    expect_near(sum(rows_, sum(attention, mlp)), whole.at("out"));
    expect_near(run(of, "self_out", whole.at("attn_out")).at("out"), attention);
    expect_near(run(of, "ffn_out", whole.at("mlp_out")).at("out"), mlp);
    if (GetParam()) expect_near(run(of, "both", normed).at("out"), sum(attention, mlp));
  }
}

TEST_P(LlmLayers, DevicesAgreeAndThreadsChangeNoBit) {
  LlmLayer one = layer("cpu");
  LlmLayer three = layer("cpu", 3);
  LlmLayer plain = layer("reference");
  Matrix<float> fewer = rows_;
  fewer.rows = 9;
  fewer.values.resize(9 * kDim);
  const Values expected = run(one, "layer", rows_);
  const Values again = run(three, "layer", rows_);
  const Values reference = run(plain, "layer", rows_);
  const Values begin = run(one, "layer", fewer);
  for (const auto& [name, values] : expected) {
    EXPECT_EQ(again.at(name).values, values.values) << name;
    expect_near(values, reference.at(name));
    const auto end = values.values.begin() + 9 * values.cols;
    EXPECT_EQ(begin.at(name).values, std::vector<float>(values.values.begin(), end)) << name;
  }
}

TEST_P(LlmLayers, WeightsMayBeReplaced) {
  for (const char* device : {"cpu", "reference"}) {
    LlmLayer of = layer(device);
    const Matrix<float> inputs = random_matrix(kRows, 20, 3);
    const Matrix<float> before = run(of, "ffn_out", inputs).at("out");
    Matrix<float> weight = random_matrix(kDim, 20, 5);
    of.set("ffn_out", weight);
    const Matrix<float> after = run(of, "ffn_out", inputs).at("out");
    EXPECT_NE(after.values, before.values);
    for (float& value : weight.values) value *= 2.0F;
    of.set("ffn_out", weight);
    if (GetParam()) continue;  // a bias isn't doubled
    expect_near(run(of, "ffn_out", inputs).at("out"), sum(after, after));
  }
}

TEST_P(LlmLayers, WhatCannotRunIsRefused) {
  LlmLayer of = layer("cpu");
  const auto refuses = [](const char* why, auto&& call) {
    return throws_naming<ConfigError>(why, call);
  };
  EXPECT_TRUE(refuses("part: expected one of layer, attention", [&] { of.run("x", rows_); }));
  EXPECT_TRUE(refuses("rows: expected [1 to 32, 12], got [33, 12]",
                      [&] { of.run("layer", random_matrix(33, kDim, 1)); }));
  EXPECT_TRUE(refuses("rows: expected [1 to 32, 24]", [&] { of.run("self_out", rows_); }));
  EXPECT_TRUE(refuses("name: expected one of", [&] { of.set("head", rows_); }));
  EXPECT_TRUE(
      refuses("ffn_out: expected [12, 20], got [21, 12]", [&] { of.set("ffn_out", rows_); }));
  Matrix<float> broken = rows_;
  broken.values[kDim] = NAN;
  EXPECT_TRUE(refuses("rows: expected finite values, row 1", [&] { of.run("layer", broken); }));
  EXPECT_NO_THROW(of.run("layer", rows_));
  const std::string stack = test::llama_stack_json().dump();
  EXPECT_TRUE(refuses("device: expected \"cpu\"", [&] { LlmLayer(stack, 32, "cuda"); }));
  EXPECT_TRUE(refuses("max_rows: expected 1", [&] { LlmLayer(stack, 0); }));
  EXPECT_TRUE(refuses("ffn_in: expected a weight by set(), got none",
                      [&] { LlmLayer(stack, 32).run("layer", rows_); }));
  EXPECT_TRUE(throws_naming<FormatError>("stack", [] { LlmLayer("{", 32); }));
}

INSTANTIATE_TEST_SUITE_P(Forms, LlmLayers, ::testing::Bool(),
                         [](const auto& of) { return of.param ? "Parallel" : "Sequential"; });

}  // namespace
}  // namespace ttsrt
