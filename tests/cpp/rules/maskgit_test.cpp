#include "rules/maskgit.h"

#include <gtest/gtest.h>

#include <vector>

namespace ttsrt::rules {
namespace {

std::vector<int> chosen_of(const std::vector<float>& confidences, std::int32_t count) {
  std::vector<std::uint8_t> chosen(confidences.size());
  maskgit_choose(confidences.data(), static_cast<std::int32_t>(confidences.size()), count,
                 chosen.data());
  std::vector<int> places;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i] != 0) places.push_back(static_cast<int>(i));
  }
  return places;
}

TEST(MaskGit, ChoosesTheMostConfidentAndTheLowerOfEquals) {
  const std::vector<float> confidences = {0.2F, 5.0F, 0.7F, 0.2F, -1.0F, 0.7F};
  EXPECT_EQ(chosen_of(confidences, 0), (std::vector<int>{}));
  EXPECT_EQ(chosen_of(confidences, 2), (std::vector<int>{1, 2}));
  EXPECT_EQ(chosen_of(confidences, 4), (std::vector<int>{0, 1, 2, 5}));
  EXPECT_EQ(chosen_of(confidences, 6), (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(MaskGit, FramesBecomeEligibleInOrder) {
  SlotRules rules;
  rules.codebooks = 4;
  rules.frame_stacking = 2;
  rules.maskgit.steps = 4;
  EXPECT_EQ(maskgit_eligible(rules, 0), 8);
  for (const auto sampling : {MaskGitSampling::causal, MaskGitSampling::purity_causal}) {
    rules.maskgit.sampling = sampling;
    EXPECT_EQ(maskgit_eligible(rules, 0), 4);
    EXPECT_EQ(maskgit_eligible(rules, 1), 4);
    EXPECT_EQ(maskgit_eligible(rules, 2), 8);
  }
}

TEST(MaskGit, GuidanceRisesFromOneToFull) {
  SlotRules rules;
  rules.cfg_scale = 2.5F;
  rules.maskgit.steps = 4;
  EXPECT_EQ(maskgit_scale(rules, 0), 2.5F);
  rules.maskgit.dynamic_cfg_scale = true;
  EXPECT_EQ(maskgit_scale(rules, 0), 1.0F);
  EXPECT_FLOAT_EQ(maskgit_scale(rules, 1), 1.5F);
  EXPECT_EQ(maskgit_scale(rules, 3), 2.5F);
  rules.maskgit.steps = 1;
  EXPECT_EQ(maskgit_scale(rules, 0), 2.5F);
}

TEST(MaskGit, ConfidenceIsTheProbabilityOrThePurity) {
  SlotRules rules;
  DrawOutcome outcome;
  outcome.probability = 0.25F;
  outcome.max_probability = 0.75F;
  EXPECT_EQ(maskgit_confidence(rules, SlotState{}, 0, 0, outcome), 0.25F);
  rules.maskgit.sampling = MaskGitSampling::causal;
  EXPECT_EQ(maskgit_confidence(rules, SlotState{}, 0, 0, outcome), 0.25F);
  rules.maskgit.sampling = MaskGitSampling::purity;
  EXPECT_EQ(maskgit_confidence(rules, SlotState{}, 0, 0, outcome), 0.75F);
  rules.maskgit.sampling = MaskGitSampling::purity_causal;
  EXPECT_EQ(maskgit_confidence(rules, SlotState{}, 0, 0, outcome), 0.75F);
}

TEST(MaskGit, NoiseFadesAndHasItsOwnNumbers) {
  SlotRules rules;
  rules.maskgit.steps = 4;
  rules.maskgit.noise_scale = 0.5F;
  rules.sampler.seed = 3;
  SlotState state;
  state.step = 7;
  DrawOutcome outcome;
  outcome.probability = 0.25F;
  const float number = uniform(3, 7, 2, 1, DrawKind::maskgit_noise);
  EXPECT_FLOAT_EQ(maskgit_confidence(rules, state, 1, 2, outcome),
                  0.25F + (number - 0.5F) * 0.5F * 0.25F);
  EXPECT_FLOAT_EQ(maskgit_confidence(rules, state, 2, 2, outcome), 0.25F);
}

}  // namespace
}  // namespace ttsrt::rules
