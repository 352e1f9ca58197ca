#include "rules/token_scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace ttsrt::rules {
namespace {

struct Changed {
  std::vector<float> scores;
  bool is_sound = true;
};

Changed changed(TokenScores of, std::vector<float> scores) {
  std::vector<std::int32_t> marks(scores.size(), 12345);  // of any contents
  const bool is_sound = change_scores(of, scores.data(), marks.data());
  return {std::move(scores), is_sound};
}

TEST(TokenScores, TheRepetitionPenaltyActsOncePerIdOfPromptAndDrawn) {
  const std::vector<std::int32_t> seen = {0, 1, 1};
  const std::vector<std::int32_t> drawn = {1, 3, 3};
  TokenScores of{.repetition_penalty = 2.0F};
  of.seen = seen.data();
  of.num_seen = 3;
  of.drawn = drawn.data();
  of.num_drawn = 3;
  EXPECT_EQ(changed(of, {4.0F, -4.0F, 4.0F, 0.0F, kNever}).scores,
            (std::vector<float>{2.0F, -8.0F, 4.0F, 0.0F, kNever}));
}

TEST(TokenScores, PresenceCountsOnceAndFrequencyEachTime) {
  const std::vector<std::int32_t> seen = {0};
  const std::vector<std::int32_t> drawn = {1, 3, 3, 1, 3};
  TokenScores of{.presence_penalty = 0.5F, .frequency_penalty = 0.25F};
  of.seen = seen.data();
  of.num_seen = 1;
  of.drawn = drawn.data();
  of.num_drawn = 5;
  EXPECT_EQ(changed(of, {1.0F, 1.0F, 1.0F, 1.0F}).scores,
            (std::vector<float>{1.0F, 0.0F, 1.0F, -0.25F}));
  of.num_drawn = 0;
  EXPECT_EQ(changed(of, {1.0F, 1.0F}).scores, (std::vector<float>{1.0F, 1.0F}));
}

TEST(TokenScores, DraftsCountAsDrawnIds) {
  const std::int32_t seen[] = {0, 4};
  const std::int32_t ids[] = {1, 2, 2, 4, 1};
  const std::vector<float> scores = {1.0F, -2.0F, 3.0F, -0.5F, 2.5F};
  TokenScores of{.repetition_penalty = 1.3F, .presence_penalty = 0.5F, .frequency_penalty = 0.25F};
  of.seen = seen;
  of.num_seen = 2;
  of.drawn = ids;
  of.num_drawn = 5;
  const Changed expected = changed(of, scores);
  for (std::int32_t drafts = 0; drafts <= 5; ++drafts) {
    of.num_drawn = 5 - drafts;
    of.ahead = ids + of.num_drawn;
    of.num_ahead = drafts;
    EXPECT_EQ(changed(of, scores).scores, expected.scores) << drafts;
  }
}

TEST(TokenScores, BiasesComeBehindPenaltiesAndForbiddenIdsStayForbidden) {
  const std::vector<std::int32_t> drawn = {0, 1};
  const std::vector<TokenBias> biases = {{0, 1.0F}, {1, 5.0F}, {2, kNever}};
  TokenScores of{.repetition_penalty = 2.0F, .presence_penalty = 1.0F};
  of.drawn = drawn.data();
  of.num_drawn = 2;
  of.biases = biases.data();
  of.num_biases = 3;
  const Changed made = changed(of, {4.0F, kNever, 3.0F});
  EXPECT_EQ(made.scores, (std::vector<float>{2.0F, kNever, kNever}));
  EXPECT_TRUE(made.is_sound);
}

TEST(TokenScores, APenaltyThatMakesAScoreInfiniteIsTold) {
  const std::vector<std::int32_t> drawn = {0};
  TokenScores of{.repetition_penalty = 100.0F};
  of.drawn = drawn.data();
  of.num_drawn = 1;
  EXPECT_FALSE(changed(of, {-std::numeric_limits<float>::max()}).is_sound);
}

TEST(TokenScores, TheLargestValuesComeInOrderWithTheLowestIdsFirst) {
  const std::vector<float> values = {1.0F, 3.0F, -2.0F, 3.0F, 2.0F, 3.0F};
  std::vector<std::int32_t> ids(4, -1);
  std::vector<float> largest(4);
  find_largest(values.data(), 6, 4, ids.data(), largest.data());
  EXPECT_EQ(ids, (std::vector<std::int32_t>{1, 3, 5, 4}));
  EXPECT_EQ(largest, (std::vector<float>{3.0F, 3.0F, 3.0F, 2.0F}));
  find_largest(values.data(), 6, 2, ids.data(), largest.data());
  EXPECT_EQ(ids[0], 1);
  EXPECT_EQ(ids[1], 3);
  find_largest(values.data(), 6, 0, nullptr, nullptr);
}

TEST(TokenScores, TheLogarithmOfTheSumNeedsNoLargeNumbers) {
  const std::vector<float> scores = {1000.0F, 1000.0F + std::log(3.0F)};
  EXPECT_NEAR(log_of_sum(scores.data(), 2, scores[1]), 1000.0 + std::log(4.0), 1e-4);
}

}  // namespace
}  // namespace ttsrt::rules
