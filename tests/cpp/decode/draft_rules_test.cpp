#include "decode/draft_rules.h"

#include <gtest/gtest.h>

namespace ttsrt::decode {
namespace {

rules::SlotRules slot_rules() {
  rules::SlotRules rules;
  rules.eos_id = 7;
  rules.min_frames = 3;
  rules.sampler.seed = 11;
  rules.sampler.temperature = 0.5F;
  rules.num_stop_ids = 3;
  rules.num_forbidden = 2;
  for (std::int32_t i = 0; i < 3; ++i) rules.stop_ids[i] = 8 - i;  // 8, 7, 6
  rules.forbidden[0] = 9;
  rules.forbidden[1] = 2;
  return rules;
}

TEST(DraftRules, AreTheRequestsOwn) {
  const DraftRules of = draft_rules(slot_rules(), nullptr, 10, false);
  EXPECT_EQ(of.tokens, nullptr);
  EXPECT_EQ(of.slot.eos_id, 7);
  EXPECT_EQ(of.slot.min_frames, 3);
  EXPECT_EQ(of.slot.sampler.seed, 11U);
  EXPECT_EQ(of.slot.sampler.temperature, 0.5F);
  EXPECT_EQ(of.slot.num_stop_ids, 3);
  EXPECT_EQ(of.slot.num_forbidden, 2);
}

TEST(DraftRules, LeaveOutWhatASmallerTableDoesNotHave) {
  step::TokenRules tokens;
  tokens.presence_penalty = 0.5F;
  tokens.seen = {1, 6, 7, 3};
  tokens.biases = {{9, 1.0F}, {2, -1.0F}};
  tokens.num_logprobs = 5;
  const DraftRules of = draft_rules(slot_rules(), &tokens, 7, false);
  EXPECT_EQ(of.slot.eos_id, 6);
  ASSERT_EQ(of.slot.num_stop_ids, 1);
  EXPECT_EQ(of.slot.stop_ids[0], 6);
  ASSERT_EQ(of.slot.num_forbidden, 1);
  EXPECT_EQ(of.slot.forbidden[0], 2);
  ASSERT_NE(of.tokens, nullptr);
  EXPECT_EQ(of.tokens->presence_penalty, 0.5F);
  EXPECT_EQ(of.tokens->seen, (std::vector<std::int32_t>{1, 6, 3}));
  ASSERT_EQ(of.tokens->biases.size(), 1U);
  EXPECT_EQ(of.tokens->biases[0].id, 2);
  EXPECT_EQ(of.tokens->num_logprobs, -1);  // nobody asks a draft
}

TEST(DraftRules, TellHowSureTheyAre) {
  const DraftRules of = draft_rules(slot_rules(), nullptr, 10, true);
  ASSERT_NE(of.tokens, nullptr);
  EXPECT_EQ(of.tokens->num_logprobs, 1);
  EXPECT_EQ(of.tokens->repetition_penalty, 1.0F);
}

}  // namespace
}  // namespace ttsrt::decode
