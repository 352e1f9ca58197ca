// A block of threads changes a row of scores and tells logarithms of probabilities as the rules do
// one after the other.
#include "cuda/kernels/token_row.cuh"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "host_block.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

constexpr std::int32_t kVocab = 70;

using Ids = std::vector<std::int32_t>;

struct Row {
  std::vector<float> scores;
  bool is_sound = true;
};

bool counts_ids(const rules::TokenScores& of) {
  return of.repetition_penalty != 1.0F || of.presence_penalty != 0.0F ||
         of.frequency_penalty != 0.0F;
}

Row changed_by_block(std::int32_t threads, const rules::TokenScores& of,
                     std::vector<float> scores) {
  std::vector<std::uint32_t> counts(scores.size(), 77);  // of any contents
  std::vector<std::uint16_t> marks(scores.size(), 88);
  const cuda::TokenRow row{scores.data(), counts.data(), marks.data(),
                           static_cast<std::int32_t>(scores.size())};
  bool is_sound = true;
  for (const int each : test::run_block(threads, [&](test::HostBlock& block) {
         return static_cast<int>(cuda::change_scores(block, of, counts_ids(of), row));
       }))
    is_sound = is_sound && each != 0;
  return {std::move(scores), is_sound};
}

Row changed_plainly(const rules::TokenScores& of, std::vector<float> scores) {
  Ids marks(scores.size(), 99);
  const bool is_sound = rules::change_scores(of, scores.data(), marks.data());
  return {std::move(scores), is_sound};
}

Ids random_ids(std::size_t count, std::uint64_t seed) {
  Ids ids;
  for (const float number : test::random_vector(count, seed, 1.0F))
    ids.push_back(static_cast<std::int32_t>(std::abs(number) * 0.999F * kVocab));
  return ids;
}

TEST(CudaTokenRow, ChangesScoresAsTheRulesDo) {
  const Ids seen = {0, 3, 5, 8, 21, 69};
  const Ids drawn = random_ids(60, 4);
  const Ids ahead = random_ids(8, 5);
  const std::vector<rules::TokenBias> biases = {{3, 1.75F}, {8, -0.3F}, {11, rules::kNever}};
  for (std::uint64_t bits = 0; bits < 64; ++bits) {
    rules::TokenScores of;
    of.repetition_penalty = (bits & 1U) != 0 ? 1.3F : 1.0F;
    of.presence_penalty = (bits & 2U) != 0 ? 0.7F : 0.0F;
    of.frequency_penalty = (bits & 4U) != 0 ? 0.1F : 0.0F;
    of.seen = seen.data();
    of.num_seen = (bits & 8U) != 0 ? static_cast<std::int32_t>(seen.size()) : 0;
    of.drawn = drawn.data();
    of.num_drawn = static_cast<std::int32_t>(drawn.size());
    of.ahead = ahead.data();
    of.num_ahead = (bits & 16U) != 0 ? static_cast<std::int32_t>(ahead.size()) : 0;
    of.biases = biases.data();
    of.num_biases = (bits & 32U) != 0 ? static_cast<std::int32_t>(biases.size()) : 0;
    std::vector<float> scores = test::random_vector(kVocab, bits, 6.0F);
    scores[5] = rules::kNever;
    const Row expected = changed_plainly(of, scores);
    for (const std::int32_t threads : {1, 3}) {
      const Row got = changed_by_block(threads, of, scores);
      EXPECT_EQ(got.scores, expected.scores) << bits;
      EXPECT_TRUE(got.is_sound);
    }
  }
}

TEST(CudaTokenRow, SaysWhichPenaltyMakesAScoreInfinite) {
  std::vector<float> scores(kVocab, 1.0F);
  scores[9] = -std::numeric_limits<float>::max();
  const Ids seen = {9};
  rules::TokenScores of;
  of.repetition_penalty = 50.0F;
  of.seen = seen.data();
  of.num_seen = 1;
  EXPECT_FALSE(changed_by_block(2, of, scores).is_sound);
}

struct Told {
  float drawn = 0.0F;
  Ids ids = Ids(rules::kMaxLogprobs, -1);
  std::vector<float> likeliest = std::vector<float>(rules::kMaxLogprobs, 1.0F);

  bool operator==(const Told&) const = default;
};

Told told_by_block(std::int32_t threads, const std::vector<float>& raw, std::int32_t count,
                   std::int32_t code) {
  Told told;
  test::run_block(threads, [&](test::HostBlock& block) {
    cuda::tell_logprobs(block, raw.data(), static_cast<std::int32_t>(raw.size()), count, code,
                        &told.drawn, told.ids.data(), told.likeliest.data());
    return 0;
  });
  return told;
}

TEST(CudaTokenRow, TellsProbabilitiesAsTheRulesDo) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    std::vector<float> raw = test::random_vector(kVocab, seed, 9.0F);
    for (std::size_t i = 0; seed % 2 == 0 && i < raw.size(); ++i)
      raw[i] = std::round(raw[i]);  // with ties
    for (const std::int32_t count : {0, 1, 5, rules::kMaxLogprobs}) {
      Told expected;
      rules::find_largest(raw.data(), kVocab, count, expected.ids.data(),
                          expected.likeliest.data());
      const float largest = *std::max_element(raw.begin(), raw.end());
      const double sum = rules::log_of_sum(raw.data(), kVocab, largest);
      const Told got = told_by_block(1, raw, count, 17);
      EXPECT_EQ(told_by_block(3, raw, count, 17), got) << seed;
      EXPECT_EQ(got.ids, expected.ids) << seed;
      EXPECT_NEAR(got.drawn, static_cast<double>(raw[17]) - sum, 2e-6);
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
        EXPECT_NEAR(got.likeliest[i], static_cast<double>(expected.likeliest[i]) - sum, 2e-6);
    }
  }
}

TEST(CudaTokenRow, TellsAsManyIdsAsThereAre) {
  const std::vector<float> raw = {1.0F, 3.0F, 2.0F};
  const Told got = told_by_block(2, raw, 5, 0);
  EXPECT_EQ(Ids(got.ids.begin(), got.ids.begin() + 4), (Ids{1, 2, 0, -1}));
}

}  // namespace
}  // namespace ttsrt
