#include "rules/stop.h"

#include <gtest/gtest.h>

#include <vector>

namespace ttsrt::rules {
namespace {

constexpr std::int32_t kEos = 9;

// Three codebooks, two frames.
SlotRules stacked(EosStreams streams, EosCodebooks codebooks) {
  SlotRules rules;
  rules.eos_id = kEos;
  rules.codebooks = 3;
  rules.frame_stacking = 2;
  rules.eos_streams = streams;
  rules.eos_codebooks = codebooks;
  return rules;
}

using Stack = std::vector<std::int32_t>;  // frame 0's codebooks, then frame 1's

const Stack kSpeech = {1, 2, 3, 4, 5, 6};
const Stack kAnyInFrame1 = {1, 2, 3, 4, 5, kEos};
const Stack kZeroInFrame0 = {kEos, 2, 3, 4, 5, 6};
const Stack kAllInFrame1 = {1, 2, 3, kEos, kEos, kEos};

std::int32_t end_of(EosStreams streams, EosCodebooks codebooks, const Stack& sampled,
                    const Stack& likeliest) {
  return end_frame(stacked(streams, codebooks), SlotState{}, sampled.data(), likeliest.data());
}

TEST(Stop, SpeechGoesOn) {
  for (const auto streams : {EosStreams::argmax, EosStreams::either, EosStreams::sampled}) {
    for (const auto codebooks : {EosCodebooks::any, EosCodebooks::all, EosCodebooks::zero}) {
      EXPECT_EQ(end_of(streams, codebooks, kSpeech, kSpeech), -1);
    }
  }
}

TEST(Stop, TheCodebooksThatCount) {
  const auto sampled = EosStreams::sampled;
  EXPECT_EQ(end_of(sampled, EosCodebooks::any, kAnyInFrame1, kSpeech), 1);
  EXPECT_EQ(end_of(sampled, EosCodebooks::all, kAnyInFrame1, kSpeech), -1);
  EXPECT_EQ(end_of(sampled, EosCodebooks::zero, kAnyInFrame1, kSpeech), -1);
  EXPECT_EQ(end_of(sampled, EosCodebooks::any, kZeroInFrame0, kSpeech), 0);
  EXPECT_EQ(end_of(sampled, EosCodebooks::zero, kZeroInFrame0, kSpeech), 0);
  EXPECT_EQ(end_of(sampled, EosCodebooks::all, kAllInFrame1, kSpeech), 1);
}

TEST(Stop, BeforeTheFirstEndStepNothingEnds) {
  SlotRules rules = stacked(EosStreams::sampled, EosCodebooks::any);
  rules.first_end_step = 1;
  SlotState state;
  EXPECT_EQ(end_frame(rules, state, kZeroInFrame0.data(), kSpeech.data()), -1);
  state.step = 1;
  EXPECT_EQ(end_frame(rules, state, kZeroInFrame0.data(), kSpeech.data()), 0);
}

TEST(Stop, TheStreamsThatCount) {
  EXPECT_EQ(end_of(EosStreams::argmax, EosCodebooks::any, kZeroInFrame0, kSpeech), -1);
  EXPECT_EQ(end_of(EosStreams::argmax, EosCodebooks::any, kSpeech, kAnyInFrame1), 1);
  EXPECT_EQ(end_of(EosStreams::sampled, EosCodebooks::any, kSpeech, kAnyInFrame1), -1);
  EXPECT_EQ(end_of(EosStreams::either, EosCodebooks::any, kSpeech, kAnyInFrame1), 1);
  EXPECT_EQ(end_of(EosStreams::either, EosCodebooks::any, kAnyInFrame1, kSpeech), 1);
}

TEST(Stop, TheEarlierOfTwoEndsWins) {
  EXPECT_EQ(end_of(EosStreams::either, EosCodebooks::any, kZeroInFrame0, kAnyInFrame1), 0);
  EXPECT_EQ(end_of(EosStreams::either, EosCodebooks::any, kAnyInFrame1, kZeroInFrame0), 0);
}

TEST(Stop, TheFrameThatEndsMayBeKept) {
  SlotRules rules = stacked(EosStreams::either, EosCodebooks::any);
  rules.keeps_end = true;
  EXPECT_EQ(end_frame(rules, SlotState{}, kSpeech.data(), kSpeech.data()), -1);
  EXPECT_EQ(end_frame(rules, SlotState{}, kZeroInFrame0.data(), kAnyInFrame1.data()), 1);
  EXPECT_EQ(end_frame(rules, SlotState{}, kAnyInFrame1.data(), kSpeech.data()), 2);
}

TEST(Stop, FurtherIdsEndToo) {
  SlotRules rules = stacked(EosStreams::sampled, EosCodebooks::any);
  rules.num_stop_ids = 2;
  rules.stop_ids[0] = 77;
  rules.stop_ids[1] = 6;
  EXPECT_EQ(end_frame(rules, SlotState{}, kSpeech.data(), kSpeech.data()), 1);
  EXPECT_EQ(end_frame(rules, SlotState{}, kZeroInFrame0.data(), kSpeech.data()), 0);
  rules.num_stop_ids = 1;
  EXPECT_EQ(end_frame(rules, SlotState{}, kSpeech.data(), kSpeech.data()), -1);
}

TEST(Stop, EqualStacksAreCounted) {
  SlotState state;
  const Stack other = {1, 2, 3, 4, 5, 7};
  count_equal(SlotRules{}, state, kSpeech.data(), kSpeech.data(), 6);
  EXPECT_EQ(state.equal_stacks, 1);  // nothing came before the first step
  state.step = 1;
  count_equal(SlotRules{}, state, kSpeech.data(), kSpeech.data(), 6);
  EXPECT_EQ(state.equal_stacks, 2);
  count_equal(SlotRules{}, state, kSpeech.data(), other.data(), 6);
  EXPECT_EQ(state.equal_stacks, 1);
}

TEST(Stop, EnoughEqualStacksEndAfterTheLast) {
  SlotRules rules = stacked(EosStreams::either, EosCodebooks::any);
  SlotState state;
  state.step = 4;
  state.equal_stacks = 3;
  EXPECT_EQ(end_frame(rules, state, kSpeech.data(), kSpeech.data()), -1);
  rules.stop_after_equal = 4;
  EXPECT_EQ(end_frame(rules, state, kSpeech.data(), kSpeech.data()), -1);
  rules.stop_after_equal = 3;
  EXPECT_EQ(end_frame(rules, state, kSpeech.data(), kSpeech.data()), 2);
  rules.min_frames = 9;  // of 2 a step, so the steps up to the fourth can't end it
  EXPECT_EQ(end_frame(rules, state, kSpeech.data(), kSpeech.data()), -1);
}

TEST(Stop, LingeringAtTheEndOfTheTextEndsAfterTheStack) {
  SlotRules rules = stacked(EosStreams::either, EosCodebooks::any);
  rules.prior.end_after = 20;
  SlotState state;
  state.near_end = 19;
  EXPECT_EQ(end_frame(rules, state, kSpeech.data(), kSpeech.data()), -1);
  state.near_end = 20;
  EXPECT_EQ(end_frame(rules, state, kSpeech.data(), kSpeech.data()), 2);
  EXPECT_EQ(end_frame(rules, state, kAnyInFrame1.data(), kSpeech.data()), 1);
  rules.prior.end_after = 0;
  EXPECT_EQ(end_frame(rules, state, kSpeech.data(), kSpeech.data()), -1);
}

}  // namespace
}  // namespace ttsrt::rules
