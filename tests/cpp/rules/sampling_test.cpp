#include "rules/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

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
  const auto form = Guidance::weighted_sum;
  EXPECT_FLOAT_EQ(guide(form, 2.0F, -1.0F, 2.5F), 2.5F * 2.0F - 1.5F * -1.0F);
  EXPECT_EQ(guide(form, 2.0F, -1.0F, 1.0F), 2.0F);
}

TEST(Guidance, EachFormRoundsAsItsOriginal) {
  const float c = 1.1F;
  const float u = 0.7F;
  EXPECT_EQ(guide(Guidance::weighted_sum, c, u, 1.3F), 1.3F * c + (1.0F - 1.3F) * u);
  EXPECT_EQ(guide(Guidance::extrapolate, c, u, 0.3F), c + 0.3F * (c - u));
}

TEST(Masks, InvalidIdsReachToTheEndOfTheVocabulary) {
  SlotRules rules;
  rules.first_invalid = 30;
  std::vector<float> logits = logits_of(1);
  const std::vector<float> before = logits;
  mask_logits(rules, SlotState{}, logits.data(), kVocab);
  for (std::size_t v = 0; v < logits.size(); ++v)
    EXPECT_EQ(logits[v], v >= 30 ? kNever : before[v]) << v;
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

// NeMo 3.0.0 with a forced end: K is 32, so 33 is forbidden before the minimum, whichever id ends
// speech.
TEST(Masks, AMinimumMayForbidAnotherIdThanTheEnd) {
  SlotRules rules = rules_with_specials();
  rules.eos_id = 39;
  rules.minimum_id = 33;
  rules.min_frames = 4;
  SlotState state;
  state.step = 3;
  std::vector<float> logits = logits_of(1);
  mask_logits(rules, state, logits.data(), kVocab);
  EXPECT_EQ(logits[33], kNever);
  EXPECT_NE(logits[39], kNever);
  rules.minimum_id = -1;  // strictly
  logits = logits_of(1);
  mask_logits(rules, state, logits.data(), kVocab);
  EXPECT_NE(logits[33], kNever);
  EXPECT_EQ(logits[39], kNever);
  state.step = 4;
  rules.minimum_id = 33;
  logits = logits_of(1);
  mask_logits(rules, state, logits.data(), kVocab);
  EXPECT_NE(logits[33], kNever);
}

TEST(Masks, AForcedEndHoldsBelowAMinimumThatDoesNotForbidIt) {
  SlotRules rules = rules_with_specials();
  rules.eos_id = 35;  // also a forbidden id
  rules.minimum_id = 33;
  rules.min_frames = 100;
  rules.prior.track_finish = true;
  SlotState state;
  state.finish_count = 20;
  std::vector<float> logits = logits_of(1);
  mask_logits(rules, state, logits.data(), kVocab);
  for (std::int32_t v = 0; v < kVocab; ++v)
    EXPECT_EQ(logits[static_cast<std::size_t>(v)], v == 35 ? 0.0F : kNever);
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

TEST(Masks, EveryStopIdIsMaskedWhereTheEndIsForbidden) {
  SlotRules rules = rules_with_specials();
  rules.min_frames = 1;
  rules.num_stop_ids = 2;
  rules.stop_ids[0] = 7;
  rules.stop_ids[1] = 0;
  std::vector<float> logits = logits_of(1);
  mask_logits(rules, SlotState{}, logits.data(), kVocab);
  for (const std::size_t id : {0U, 7U, 33U}) EXPECT_EQ(logits[id], kNever) << id;
  EXPECT_NE(logits[8], kNever);
}

TEST(Nucleus, IsTheLargestThresholdThatHoldsTheMass) {
  const std::vector<float> weights = {0.25F, 1.0F, 0.5F, 0.25F};
  EXPECT_EQ(nucleus_threshold(weights.data(), 4, 1.0F), 1.0F);
  EXPECT_EQ(nucleus_threshold(weights.data(), 4, 1.25F), 0.5F);
  EXPECT_EQ(nucleus_threshold(weights.data(), 4, 1.75F), 0.25F);
}

}  // namespace
}  // namespace ttsrt::rules
