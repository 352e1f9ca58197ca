#include "rules/filter_chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "support/draws.h"
#include "support/weights.h"

namespace ttsrt::rules {
namespace {

constexpr std::int32_t kVocab = 40;

std::vector<float> logits_of(std::uint64_t seed) { return test::random_vector(kVocab, seed, 4.0F); }

TEST(FilterChain, TemperatureZeroIsArgmax) {
  const std::vector<float> logits = logits_of(3);
  const std::int32_t best = argmax(logits.data(), kVocab);
  EXPECT_EQ(test::draw(SamplerRules{}, logits, 0.99F).code, best);
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
      const auto number = static_cast<float>(reached + inside * expected[code]);
      const DrawOutcome outcome = test::draw(sampler, logits, number);
      ASSERT_EQ(outcome.code, static_cast<std::int32_t>(code)) << number;
      ASSERT_NEAR(outcome.probability, expected[code], 1e-5);
      ASSERT_NEAR(outcome.max_probability, *std::max_element(expected.begin(), expected.end()),
                  1e-5);
    }
    reached += expected[code];
  }
}

TEST(FilterChain, InvertsTheDistributionOfTopKAndTemperature) {
  SamplerRules sampler;
  sampler.temperature = 0.6F;
  for (const std::int32_t k : {0, 1, 5, 39, 40, 80}) {
    sampler.top_k = k;
    const std::vector<float> logits = logits_of(11);
    expect_intervals(sampler, logits, expected_probabilities(logits, k < kVocab ? k : 0, 0.6));
  }
}

TEST(FilterChain, TiesOfTheKthSurvive) {
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

TEST(FilterChain, TopPKeepsTheSmallestSetOfEnoughMass) {
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

TEST(FilterChain, MinPIsRelativeToTheLikeliest) {
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

TEST(FilterChain, NeverTakesAForbiddenCodeAtTheEdgesOfTheRange) {
  SamplerRules sampler;
  sampler.temperature = 0.7F;
  std::vector<float> logits = logits_of(5);
  logits.front() = kNever;
  logits.back() = kNever;
  for (const float number : {0.0F, 16777215.0F / 16777216.0F}) {
    const std::int32_t code = test::draw(sampler, logits, number).code;
    EXPECT_NE(logits[static_cast<std::size_t>(code)], kNever);
  }
}

TEST(FilterChain, TopPKeepsTheLowestIdsOfEqualProbabilities) {
  SamplerRules sampler;
  sampler.temperature = 1.0F;
  sampler.top_p = 0.7F;
  std::vector<float> logits(kVocab, kNever);
  for (const std::size_t id : {3U, 8U, 17U, 30U}) logits[id] = std::log(0.2F);
  logits[20] = std::log(0.2F) + 1e-3F;
  std::vector<double> expected(kVocab, 0.0);
  for (const std::size_t id : {3U, 8U, 17U, 20U}) expected[id] = 0.25;
  test::Draws draws(logits);
  FilterChain<PlainPrimitives> chain{PlainPrimitives{}, sampler, draws.row()};
  chain.run();
  EXPECT_EQ(chain.count, 4);
  EXPECT_EQ(std::vector<std::int32_t>(draws.indices.begin(), draws.indices.begin() + 4),
            (std::vector<std::int32_t>{3, 8, 17, 20}));
}

// Returns the ids that the chain keeps.
std::vector<std::int32_t> kept_ids(const SamplerRules& sampler, test::Draws& draws) {
  const PlainPrimitives primitives;
  FilterChain<PlainPrimitives> chain{primitives, sampler, draws.row()};
  chain.run();
  return {draws.indices.begin(), draws.indices.begin() + chain.count};
}

void set_order(SamplerRules& sampler, const std::vector<Processor>& order) {
  std::fill(std::begin(sampler.order), std::end(sampler.order), Processor::none);
  std::copy(order.begin(), order.end(), sampler.order);
}

SamplerRules sampler_of(const nlohmann::json& settings) {
  SamplerRules sampler;
  sampler.temperature = settings.value("temperature", 1.0F);
  sampler.top_k = settings.value("top_k", 0);
  sampler.top_p = settings.value("top_p", 1.0F);
  sampler.min_p = settings.value("min_p", 0.0F);
  sampler.repetition_penalty = settings.value("repetition_penalty", 1.0F);
  set_order(sampler, {Processor::repetition_penalty, Processor::temperature, Processor::top_k,
                      Processor::top_p, Processor::min_p});
  return sampler;
}

// The ids that transformers keeps, and their scores. It does not define which of equal ids it
// keeps, so sorted scores are compared.
TEST(FilterChain, KeepsTheIdsThatTransformersKeeps) {
  std::ifstream file(TTSRT_TEST_DIR "/../data/llm/sampling.json");
  const nlohmann::json goldens = nlohmann::json::parse(file);
  for (const auto& golden : goldens.at("cases")) {
    const SamplerRules sampler = sampler_of(golden.at("settings"));
    for (std::size_t row = 0; row < goldens.at("logits").size(); ++row) {
      test::Draws draws(goldens.at("logits")[row].get<std::vector<float>>());
      draws.see(goldens.at("ids")[row].get<std::vector<std::int32_t>>());
      std::vector<float> expected;
      for (const auto& score : golden.at("kept")[row]) {
        if (!score.is_null()) expected.push_back(score.get<float>());
      }
      std::vector<float> got;
      for (const std::int32_t id : kept_ids(sampler, draws))
        got.push_back(draws.logits[static_cast<std::size_t>(id)] / sampler.temperature);
      std::sort(expected.begin(), expected.end());
      std::sort(got.begin(), got.end());
      ASSERT_EQ(got.size(), expected.size()) << golden.at("settings") << " row " << row;
      for (std::size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], expected[i], 2e-6F) << golden.at("settings") << " row " << row;
    }
  }
}

// Computes the expected probabilities from the definitions, in doubles, with every processor over
// scores.
std::vector<double> probabilities_in_order(const SamplerRules& sampler, std::vector<double> scores,
                                           const std::vector<std::int32_t>& seen) {
  const auto softmax = [&] {
    const double largest = *std::max_element(scores.begin(), scores.end());
    std::vector<double> all;
    for (const double score : scores) all.push_back(std::exp(score - largest));
    const double sum = std::accumulate(all.begin(), all.end(), 0.0);
    for (double& probability : all) probability /= sum;
    return all;
  };
  for (const Processor processor : sampler.order) {
    const std::vector<double> now = softmax();
    std::vector<double> sorted = now;
    std::sort(sorted.rbegin(), sorted.rend());
    double least = 0.0;
    if (processor == Processor::temperature) {
      for (double& score : scores) score /= sampler.temperature;
    } else if (processor == Processor::repetition_penalty) {
      for (const std::int32_t id : seen) {
        double& score = scores[static_cast<std::size_t>(id)];
        score = score < 0 ? score * sampler.repetition_penalty : score / sampler.repetition_penalty;
      }
    } else if (processor == Processor::top_k) {
      least = sorted[static_cast<std::size_t>(sampler.top_k) - 1];
    } else if (processor == Processor::top_p) {
      double held = 0.0;
      for (std::size_t i = 0; i < sorted.size() && held < sampler.top_p; ++i) {
        held += sorted[i];
        least = sorted[i];
      }
    } else if (processor == Processor::min_p) {
      least = sampler.min_p * sorted[0];
    }
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (now[i] < least) scores[i] = -INFINITY;
    }
  }
  return softmax();
}

TEST(FilterChain, FollowsItsOrder) {
  SamplerRules sampler;
  sampler.temperature = 0.8F;
  sampler.top_k = 12;
  sampler.top_p = 0.8F;
  sampler.min_p = 0.05F;
  sampler.repetition_penalty = 1.7F;
  const std::vector<std::int32_t> seen = {0, 3, 5, 8, 11, 13, 21, 31, 32, 39};
  std::vector<Processor> order = {Processor::repetition_penalty, Processor::temperature,
                                  Processor::top_k, Processor::top_p, Processor::min_p};
  do {
    set_order(sampler, order);
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const std::vector<float> logits = test::random_vector(kVocab, seed, 2.0F);
      const std::vector<double> expected =
          probabilities_in_order(sampler, std::vector<double>(logits.begin(), logits.end()), seen);
      test::Draws draws(logits);
      draws.see(seen);
      const std::vector<std::int32_t> ids = kept_ids(sampler, draws);
      double sum = 0.0;
      for (std::size_t i = 0; i < ids.size(); ++i) sum += static_cast<double>(draws.weights[i]);
      std::vector<double> got(kVocab, 0.0);
      for (std::size_t i = 0; i < ids.size(); ++i)
        got[static_cast<std::size_t>(ids[i])] = static_cast<double>(draws.weights[i]) / sum;
      for (std::size_t id = 0; id < got.size(); ++id)
        ASSERT_NEAR(got[id], expected[id], 2e-6) << "id " << id << ", seed " << seed;
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(FilterChain, TemperatureZeroIsArgmaxAfterThePenalty) {
  SamplerRules sampler;
  sampler.repetition_penalty = 2.0F;
  sampler.top_k = 1;  // ignored
  test::Draws draws({1.0F, 3.0F, 2.0F, 2.0F, -4.0F});
  draws.see({1, 4});
  EXPECT_EQ(draw_code(PlainPrimitives{}, sampler, draws.row(), 0.5F).code, 2);
  EXPECT_EQ(draws.logits, (std::vector<float>{1.0F, 1.5F, 2.0F, 2.0F, -8.0F}));
}

TEST(FilterChain, RowsOfNanGiveTheFirstCode) {
  SamplerRules sampler;
  sampler.temperature = 1.0F;
  EXPECT_EQ(test::draw(sampler, std::vector<float>(kVocab, NAN), 0.5F).code, 0);
}

TEST(FilterChain, GreedyGuessesAreConfidentByTheirSoftmax) {
  const std::vector<float> logits = {0.0F, std::log(3.0F), kNever, std::log(2.0F)};
  SamplerRules greedy;
  const DrawOutcome outcome = test::guess(greedy, logits, 0.999F);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NEAR(outcome.probability, 0.5F, 1e-6);
  EXPECT_NEAR(outcome.max_probability, 0.5F, 1e-6);
  greedy.top_k = 2;
  EXPECT_NEAR(test::guess(greedy, logits, 0.0F).probability, 0.6F, 1e-6);
  greedy.top_k = 0;
  greedy.confidence_temperature = 0.5F;  // squares the odds
  EXPECT_NEAR(test::guess(greedy, logits, 0.0F).probability, 9.0F / 14.0F, 1e-6);
}

// A row may be weighed twice, so a penalty on it would count twice.
TEST(FilterChain, GuessesHaveNoPenalty) {
  SamplerRules rules;
  rules.temperature = 1.0F;
  rules.confidence_temperature = 0.5F;
  rules.repetition_penalty = 2.0F;
  rules.order[0] = Processor::repetition_penalty;
  const std::vector<float> logits = {0.0F, std::log(3.0F), kNever, std::log(2.0F)};
  for (const bool ranks_apart : {false, true}) {
    rules.ranks_apart = ranks_apart;
    for (const float number : {0.1F, 0.6F, 0.999F}) {
      test::Draws draws(logits);
      draws.see({1, 3});
      const DrawOutcome outcome = draw_guess(PlainPrimitives{}, rules, draws.row(), number);
      const DrawOutcome plain = test::guess(rules, logits, number);
      EXPECT_EQ(outcome.code, plain.code);
      EXPECT_EQ(outcome.probability, plain.probability);
      EXPECT_EQ(draws.logits, logits);
    }
  }
}

TEST(FilterChain, AFaultOfTheDrawStays) {
  SamplerRules rules;
  rules.temperature = 1.0F;
  rules.confidence_temperature = 0.5F;
  rules.ranks_apart = true;
  EXPECT_EQ(test::guess(rules, std::vector<float>(4, kNever), 0.5F).fault, DrawFault::no_choice);
  EXPECT_EQ(test::guess(rules, {1.0F, INFINITY, 0.0F, 0.0F}, 0.5F).fault, DrawFault::not_finite);
}

TEST(FilterChain, GuessesMayBeRankedApartFromTheDraw) {
  const std::vector<float> logits = {0.0F, std::log(3.0F), kNever, std::log(2.0F)};
  SamplerRules warm;
  warm.temperature = 1.0F;
  warm.confidence_temperature = 0.5F;
  EXPECT_NEAR(test::guess(warm, logits, 0.5F).probability, 0.5F, 1e-6);  // that of the draw
  warm.ranks_apart = true;
  const DrawOutcome outcome = test::guess(warm, logits, 0.999F);
  EXPECT_EQ(outcome.code, 3);  // the draw is the same
  EXPECT_NEAR(outcome.probability, 4.0F / 14.0F, 1e-6);
  EXPECT_NEAR(outcome.max_probability, 9.0F / 14.0F, 1e-6);
  warm.min_p = 0.5F;  // at the confidence temperature, this drops the code that was drawn
  EXPECT_EQ(test::guess(warm, logits, 0.999F).code, 3);
  EXPECT_EQ(test::guess(warm, logits, 0.999F).probability, 0.0F);
}

}  // namespace
}  // namespace ttsrt::rules
