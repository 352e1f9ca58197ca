#include "rules/block_diffusion.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace ttsrt::rules {
namespace {

constexpr std::int32_t kMask = 40;

SlotRules rules_of(std::int32_t steps, float early) {
  SlotRules rules;
  rules.block.steps = steps;
  rules.block.early = early;
  rules.block.shift = 0.5F;
  rules.block.mask_id = kMask;
  return rules;
}

std::vector<std::int32_t> schedule_of(std::int32_t count, std::int32_t steps, float shift) {
  BlockRules rules;
  rules.steps = steps;
  rules.shift = shift;
  std::vector<std::int32_t> counts;
  for (std::int32_t pass = 0; pass < steps; ++pass)
    counts.push_back(block_schedule(rules, count, pass));
  return counts;
}

// The numbers of the original's `_omnivoice_unmask_schedule`.
TEST(BlockDiffusion, ScheduleOfTheOriginal) {
  EXPECT_EQ(schedule_of(16, 10, 0.5F), (std::vector<std::int32_t>{1, 1, 1, 1, 1, 2, 2, 2, 2, 3}));
  EXPECT_EQ(schedule_of(16, 4, 1.0F), (std::vector<std::int32_t>{4, 4, 4, 4}));
  EXPECT_EQ(schedule_of(5, 4, 1.0F), (std::vector<std::int32_t>{1, 1, 2, 1}));  // 2.5 becomes 2
  EXPECT_EQ(schedule_of(8, 1, 0.5F), (std::vector<std::int32_t>{8}));
  for (const std::int32_t count : {1, 3, 7, 16, 32}) {
    for (const std::int32_t steps : {1, 2, 5, 10, 40}) {
      const std::vector<std::int32_t> counts = schedule_of(count, steps, 0.3F);
      EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), count);
    }
  }
}

TEST(BlockDiffusion, QuantileLiesBetweenTwoScores) {
  std::vector<float> scores = {4.0F, 1.0F, 3.0F, 2.0F};
  EXPECT_FLOAT_EQ(quantile(scores.data(), 4, 0.5F), 2.5F);
  EXPECT_EQ(scores, (std::vector<float>{1.0F, 2.0F, 3.0F, 4.0F}));
  EXPECT_FLOAT_EQ(quantile(scores.data(), 4, 0.9F), 3.7F);
  EXPECT_EQ(quantile(scores.data(), 4, 1.0F), 4.0F);
  EXPECT_EQ(quantile(scores.data(), 4, 0.0F), 1.0F);
  EXPECT_EQ(quantile(scores.data(), 1, 0.7F), 1.0F);
}

TEST(BlockDiffusion, ScoresAreGuidedAndBounded) {
  SlotRules rules;
  EXPECT_FLOAT_EQ(block_score(rules, -1.0F, -1.0F, -3.0F), 2.0F);
  rules.cfg_scale = 2.0F;
  EXPECT_FLOAT_EQ(block_score(rules, -1.0F, -2.0F, -3.0F), 2.0F * 2.0F - 1.0F);
  rules.cfg_scale = 1.0F;
  EXPECT_FLOAT_EQ(block_score(rules, -1.0F, -1.0F, -INFINITY), -1.0F - std::log(1e-8F));
  EXPECT_FLOAT_EQ(block_score(rules, -90.0F, -90.0F, -1.0F), std::log(1e-8F) + 1.0F);
}

TEST(BlockDiffusion, ALogProbabilityIsThatOfTheSoftmax) {
  const std::vector<float> logits = {0.5F, 2.0F, -1.0F, 2.0F};
  std::vector<float> weights(4);
  std::vector<std::int32_t> indices(4);
  const DrawRow row{nullptr, 4, weights.data(), indices.data(), nullptr};
  const float sum = std::exp(0.5F) + 2.0F * std::exp(2.0F) + std::exp(-1.0F);
  EXPECT_NEAR(log_probability(PlainPrimitives{}, logits.data(), 0, row), 0.5F - std::log(sum),
              1e-6F);
}

TEST(BlockDiffusion, AStepDecidesTheBestOfTheMaskedPlaces) {
  const SlotRules rules = rules_of(2, 0.0F);  // 1 place of 4, then the others
  SlotState state;
  const std::vector<std::int32_t> guesses = {10, 11, 12, 13};
  std::vector<std::int32_t> codes(4, kMask);
  decide_block(rules, state, 4, guesses.data(), std::vector<float>{1.0F, 3.0F, 3.0F, 2.0F}.data(),
               codes.data());
  EXPECT_EQ(codes, (std::vector<std::int32_t>{kMask, 11, kMask, kMask}));  // the lower of equals
  state.pass = 1;
  const std::vector<std::int32_t> others = {20, 21, 22, 23};
  decide_block(rules, state, 4, others.data(), std::vector<float>(4).data(), codes.data());
  EXPECT_EQ(codes, (std::vector<std::int32_t>{20, 11, 22, 23}));  // 11 stays
}

TEST(BlockDiffusion, EarlyPlacesReachTheQuantile) {
  const SlotRules rules = rules_of(10, 5.0F);  // the best half in the first step
  std::vector<std::int32_t> codes(5, kMask);
  const std::vector<std::int32_t> guesses = {10, 11, 12, 13, 14};
  decide_block(rules, SlotState{}, 5, guesses.data(),
               std::vector<float>{5.0F, 1.0F, 4.0F, 2.0F, 3.0F}.data(), codes.data());
  EXPECT_EQ(codes, (std::vector<std::int32_t>{10, kMask, 12, kMask, 14}));
}

TEST(BlockDiffusion, NoiseBelongsToSeedBlockPlaceAndStep) {
  SlotRules rules = rules_of(10, 0.0F);
  SlotState state;
  EXPECT_EQ(block_noise(rules, state, 0), 0.0F);
  rules.block.noise = 1.0F;
  const float noise = block_noise(rules, state, 3);
  EXPECT_EQ(block_noise(rules, state, 3), noise);
  rules.block.noise = 2.0F;
  EXPECT_FLOAT_EQ(block_noise(rules, state, 3), 2.0F * noise);
  rules.block.noise = 1.0F;
  EXPECT_NE(block_noise(rules, state, 4), noise);
  state.pass = 1;
  EXPECT_NE(block_noise(rules, state, 3), noise);
  state.pass = 0;
  state.step = 1;
  EXPECT_NE(block_noise(rules, state, 3), noise);
}

TEST(BlockDiffusion, ABlockIsDecidedWithoutMasksOrWhereSpeechEnds) {
  const SlotRules rules = rules_of(10, 0.0F);
  const std::vector<std::int32_t> codes = {1, kMask, 3, kMask};
  EXPECT_TRUE(is_block_decided(rules, codes.data(), 1, false));
  EXPECT_FALSE(is_block_decided(rules, codes.data(), 3, false));
  EXPECT_TRUE(is_block_decided(rules, codes.data(), 3, true));
}

}  // namespace
}  // namespace ttsrt::rules
