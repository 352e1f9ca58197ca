#include "decode/prior_mirror.h"

#include <gtest/gtest.h>

namespace ttsrt::decode {
namespace {

rules::SlotRules rules_of(std::int32_t text_len) {
  rules::SlotRules rules;
  rules.text_len = text_len;
  rules.prior.mode = rules::PriorMode::nemo;
  rules.prior.epsilon = 0.1F;
  return rules;
}

TEST(PriorMirror, StartsWithoutAPrior) {
  const PriorMirror mirror(rules_of(10));
  EXPECT_FALSE(mirror.has_prior());
  EXPECT_EQ(mirror.weights().size(), 10U);
}

TEST(PriorMirror, FollowsTheScores) {
  PriorMirror mirror(rules_of(12));
  std::vector<float> scores(12, 0.0F);
  scores[4] = 1.0F;
  mirror.update(scores.data());
  ASSERT_TRUE(mirror.has_prior());
  const float e = 0.1F;
  // With focus 4, one position before it and five after it are favoured.
  EXPECT_EQ(mirror.weights(), (std::vector<float>{e, e, e, 1, 1, 1, 1, 1, 1, 1, e, e}));
}

TEST(PriorMirror, CountsItsSteps) {
  rules::SlotRules rules = rules_of(12);
  rules.prior.start_step = 2;
  PriorMirror mirror(rules);
  const std::vector<float> scores(12, 0.5F);
  mirror.update(scores.data());
  mirror.update(scores.data());
  EXPECT_FALSE(mirror.has_prior());
  mirror.update(scores.data());
  EXPECT_TRUE(mirror.has_prior());
}

}  // namespace
}  // namespace ttsrt::decode
