#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "rules/sampling.h"
#include "support/weights.h"

namespace ttsrt::rules {
namespace {

constexpr std::int32_t kVocab = 40;
constexpr std::int32_t kEos = 33;

SlotRules rules_with_specials() {
  SlotRules rules;
  rules.eos_id = kEos;
  rules.codebooks = 4;
  rules.num_forbidden = 3;
  rules.forbidden[0] = 32;
  rules.forbidden[1] = 34;
  rules.forbidden[2] = 35;
  return rules;
}

std::vector<float> logits_of(std::uint64_t seed) { return test::random_vector(kVocab, seed, 4.0F); }

TEST(Guidance, IsTheWeightedSum) {
  EXPECT_FLOAT_EQ(guide(2.0F, -1.0F, 2.5F), 2.5F * 2.0F - 1.5F * -1.0F);
  EXPECT_EQ(guide(2.0F, -1.0F, 1.0F), 2.0F);
}

TEST(Masks, SpecialsAreForbiddenAndTheRestStays) {
  const SlotRules rules = rules_with_specials();
  std::vector<float> logits = logits_of(1);
  const std::vector<float> before = logits;
  mask_logits(rules, SlotState{}, logits.data(), kVocab);
  for (std::int32_t v = 0; v < kVocab; ++v) {
    const bool is_special = v == 32 || v == 34 || v == 35;
    const auto i = static_cast<std::size_t>(v);
    EXPECT_EQ(logits[i], is_special ? kNever : before[i]) << v;
  }
}

TEST(Masks, UnfinishedTextForbidsTheEndOnlyWhereItIsTracked) {
  SlotRules rules = rules_with_specials();
  SlotState state;
  state.is_unfinished = true;
  std::vector<float> logits = logits_of(1);
  mask_logits(rules, state, logits.data(), kVocab);
  EXPECT_NE(logits[kEos], kNever);
  rules.prior.track_finish = true;
  mask_logits(rules, state, logits.data(), kVocab);
  EXPECT_EQ(logits[kEos], kNever);
}

TEST(Masks, AFinishedTextForcesTheEnd) {
  SlotRules rules = rules_with_specials();
  rules.prior.track_finish = true;
  SlotState state;
  state.step = 50;
  state.finish_count = 19;
  std::vector<float> logits = logits_of(1);
  mask_logits(rules, state, logits.data(), kVocab);
  EXPECT_NE(logits[0], kNever);
  state.finish_count = 20;
  mask_logits(rules, state, logits.data(), kVocab);
  for (std::int32_t v = 0; v < kVocab; ++v)
    EXPECT_EQ(logits[static_cast<std::size_t>(v)], v == kEos ? 0.0F : kNever);
}

TEST(Masks, TheMinimumCountsFramesAndBeatsAForcedEnd) {
  SlotRules rules = rules_with_specials();
  rules.prior.track_finish = true;
  rules.frame_stacking = 2;
  rules.min_frames = 5;
  SlotState state;
  state.finish_count = 30;
  for (const std::int32_t step : {0, 1, 2, 3}) {
    state.step = step;
    std::vector<float> logits = logits_of(1);
    mask_logits(rules, state, logits.data(), kVocab);
    const bool is_forbidden = step * 2 < 5;
    EXPECT_EQ(logits[kEos] == kNever, is_forbidden) << step;
    EXPECT_EQ(logits[0] != kNever, is_forbidden) << step;
  }
}

TEST(TopK, FindsTheKthLargestOfAnySigns) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<float> values = logits_of(seed);
    values[3] = kNever;
    values[4] = values[5];
    values[6] = 0.0F;
    std::vector<float> sorted = values;
    std::sort(sorted.rbegin(), sorted.rend());
    for (std::int32_t k = 1; k <= kVocab; ++k) {
      EXPECT_EQ(kth_largest(values.data(), kVocab, k), sorted[static_cast<std::size_t>(k - 1)])
          << seed << " " << k;
    }
  }
}

TEST(Argmax, TakesTheFirstOfEquals) {
  const std::vector<float> values = {0.0F, 3.0F, 1.0F, 3.0F};
  EXPECT_EQ(argmax(values.data(), 4), 1);
}

TEST(Draw, TemperatureZeroIsArgmax) {
  std::vector<float> logits = logits_of(3);
  const std::int32_t best = argmax(logits.data(), kVocab);
  EXPECT_EQ(draw_code(SamplerRules{}, logits.data(), kVocab, 0.99F).code, best);
}

// Returns probabilities as torch computes them: ties with the k-th survive, then softmax with
// temperature.
std::vector<double> expected_probabilities(const std::vector<float>& logits, std::int32_t k,
                                           double temperature) {
  std::vector<float> sorted = logits;
  std::sort(sorted.rbegin(), sorted.rend());
  const float threshold = k > 0 ? sorted[static_cast<std::size_t>(k - 1)] : kNever;
  std::vector<double> weights;
  for (const float logit : logits)
    weights.push_back(logit >= threshold ? std::exp((logit - sorted[0]) / temperature) : 0.0);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
  return weights;
}

// As a function of the uniform number, the draw divides [0, 1) into intervals with the lengths of
// the probabilities, in index order.
void expect_intervals(const SamplerRules& sampler, const std::vector<float>& logits,
                      const std::vector<double>& expected) {
  double reached = 0.0;
  for (std::size_t code = 0; code < expected.size(); ++code) {
    if (expected[code] <= 1e-4) {
      reached += expected[code];
      continue;
    }
    for (const double inside : {0.01, 0.5, 0.99}) {
      std::vector<float> scratch = logits;
      const auto number = static_cast<float>(reached + inside * expected[code]);
      const DrawOutcome outcome = draw_code(sampler, scratch.data(), kVocab, number);
      ASSERT_EQ(outcome.code, static_cast<std::int32_t>(code)) << number;
      ASSERT_NEAR(outcome.probability, expected[code], 1e-5);
      ASSERT_NEAR(outcome.max_probability, *std::max_element(expected.begin(), expected.end()),
                  1e-5);
    }
    reached += expected[code];
  }
}

TEST(Draw, InvertsTheDistributionOfTopKAndTemperature) {
  SamplerRules sampler;
  sampler.temperature = 0.6F;
  for (const std::int32_t k : {0, 1, 5, 39, 40, 80}) {
    sampler.top_k = k;
    const std::vector<float> logits = logits_of(11);
    expect_intervals(sampler, logits, expected_probabilities(logits, k < kVocab ? k : 0, 0.6));
  }
}

TEST(Draw, TiesOfTheKthSurvive) {
  SamplerRules sampler;
  sampler.temperature = 1.0F;
  sampler.top_k = 2;
  std::vector<float> logits(kVocab, -5.0F);
  logits[4] = 2.0F;
  logits[9] = 1.0F;
  logits[20] = 1.0F;
  const std::vector<double> expected = expected_probabilities(logits, 2, 1.0);
  EXPECT_GT(expected[20], 0.1);
  expect_intervals(sampler, logits, expected);
}

TEST(Draw, TopPKeepsTheSmallestSetOfEnoughMass) {
  SamplerRules sampler;
  sampler.temperature = 1.0F;
  sampler.top_p = 0.8F;
  std::vector<float> logits(kVocab, kNever);
  logits[3] = std::log(0.15F);
  logits[8] = std::log(0.5F);
  logits[17] = std::log(0.25F);
  logits[30] = std::log(0.1F);
  std::vector<double> expected(kVocab, 0.0);
  expected[3] = 0.15 / 0.9;
  expected[8] = 0.5 / 0.9;
  expected[17] = 0.25 / 0.9;
  expect_intervals(sampler, logits, expected);
}

TEST(Draw, MinPIsRelativeToTheLikeliest) {
  SamplerRules sampler;
  sampler.temperature = 1.0F;
  sampler.min_p = 0.4F;
  std::vector<float> logits(kVocab, kNever);
  logits[3] = std::log(0.19F);
  logits[8] = std::log(0.5F);
  logits[17] = std::log(0.31F);
  std::vector<double> expected(kVocab, 0.0);
  expected[8] = 0.5 / 0.81;
  expected[17] = 0.31 / 0.81;
  expect_intervals(sampler, logits, expected);
}

TEST(Draw, NeverTakesAForbiddenCodeAtTheEdgesOfTheRange) {
  SamplerRules sampler;
  sampler.temperature = 0.7F;
  std::vector<float> logits = logits_of(5);
  logits.front() = kNever;
  logits.back() = kNever;
  for (const float number : {0.0F, 16777215.0F / 16777216.0F}) {
    std::vector<float> scratch = logits;
    const std::int32_t code = draw_code(sampler, scratch.data(), kVocab, number).code;
    EXPECT_NE(logits[static_cast<std::size_t>(code)], kNever);
  }
}

}  // namespace
}  // namespace ttsrt::rules
