#include "cuda/bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "decode/compile_rules.h"
#include "rules/slot_rules.h"

namespace ttsrt::cuda {
namespace {

bool has(const std::vector<Bounds>& all, const Bounds& bounds) {
  return std::find(all.begin(), all.end(), bounds) != all.end();
}

std::vector<std::int32_t> rows_of(const std::vector<Bounds>& all) {
  std::vector<std::int32_t> rows;
  for (const Bounds& of : all) rows.push_back(of.rows);
  return rows;
}

TEST(Bounds, ArePowersOfTwoWithinTheLimits) {
  BoundsLimits limits;
  limits.max_rows = 100;
  limits.max_draws = 6;
  limits.uses_cache = true;
  EXPECT_EQ(bounds_of({1, 0, 0, 0, false}, limits).rows, 1);
  EXPECT_EQ(bounds_of({33, 0, 0, 0, false}, limits).rows, 64);
  EXPECT_EQ(bounds_of({64, 0, 0, 0, false}, limits).rows, 64);
  EXPECT_EQ(bounds_of({65, 0, 0, 0, false}, limits).rows, 100);
  const Bounds few = bounds_of({3, 2, 0, 0, true}, limits);
  EXPECT_EQ(few.draws, 4);
  EXPECT_EQ(few.picks, 0);
  EXPECT_TRUE(few.has_single_rows);
  const Bounds many = bounds_of({20, 5, 2, 7, false}, limits);
  EXPECT_EQ(many.draws, 6);
  EXPECT_EQ(many.picks, 6);
  EXPECT_EQ(many.passes, 7);
  EXPECT_FALSE(many.has_single_rows);
  limits.uses_cache = false;
  EXPECT_FALSE(bounds_of({3, 2, 0, 0, true}, limits).has_single_rows);
}

TEST(Bounds, TheUsualOnesAreFew) {
  BoundsLimits limits;
  limits.max_rows = 512;
  EXPECT_EQ(rows_of(usual_bounds(limits)),
            (std::vector<std::int32_t>{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}));
  limits.max_rows = 20;
  EXPECT_EQ(rows_of(usual_bounds(limits)), (std::vector<std::int32_t>{1, 2, 4, 8, 16, 20}));
  limits.max_rows = 1;
  EXPECT_EQ(rows_of(usual_bounds(limits)), std::vector<std::int32_t>{1});
  limits.max_rows = 4;
  limits.uses_cache = true;  // with single rows and with others
  EXPECT_EQ(rows_of(usual_bounds(limits)), (std::vector<std::int32_t>{1, 2, 2, 4, 4}));
  limits.uses_cache = false;
  limits.max_rows = 2 * 3 * 16;
  limits.max_draws = 3;
  limits.rows_per_draw = 16;
  EXPECT_EQ(rows_of(usual_bounds(limits)), (std::vector<std::int32_t>{16, 32, 64, 96}));
  limits.rows_per_draw = 1;
  limits.has_picks = true;  // with and without them
  EXPECT_EQ(usual_bounds(limits).size(), 2U * 8U);
}

TEST(Bounds, ThoseOfManyRowsAreFine) {
  BoundsLimits limits;
  limits.max_rows = 6000;
  limits.has_many_rows = true;
  EXPECT_EQ(bounds_of({1, 0, 0, 0, false}, limits).rows, 128);
  EXPECT_EQ(bounds_of({129, 0, 0, 0, false}, limits).rows, 256);
  EXPECT_EQ(bounds_of({2400, 0, 0, 0, false}, limits).rows, 2560);
  EXPECT_EQ(bounds_of({4097, 0, 0, 0, false}, limits).rows, 4608);
  EXPECT_EQ(bounds_of({5999, 0, 0, 0, false}, limits).rows, 6000);
  const std::vector<Bounds> usual = usual_bounds(limits);
  EXPECT_LT(usual.size(), 40U);
  for (std::int32_t rows = 1; rows <= limits.max_rows; ++rows)
    ASSERT_TRUE(has(usual, bounds_of({rows, 0, 0, 0, false}, limits))) << rows;
}

// Whatever a decoder of so many requests launches, with one branch of each or two.
TEST(Bounds, TheUsualOnesAreAllOfADecoder) {
  for (const std::int32_t requests : {1, 2, 3, 7, 8, 64}) {
    for (const std::int32_t width : {1, 5, 16}) {
      for (const bool has_picks : {false, true}) {
        BoundsLimits limits;
        limits.max_rows = 2 * requests * width;
        limits.max_draws = requests;
        limits.rows_per_draw = width;
        limits.uses_cache = true;
        limits.has_picks = has_picks;
        const std::vector<Bounds> usual = usual_bounds(limits);
        for (std::int32_t draws = 1; draws <= requests; ++draws) {
          for (std::int32_t guided = 0; guided <= draws; ++guided) {
            LaunchCounts counts;
            counts.rows = (draws + guided) * width;
            counts.draws = draws;
            counts.has_single_rows = width == 1;
            EXPECT_TRUE(has(usual, bounds_of(counts, limits))) << counts.rows << " rows";
            if (!has_picks) continue;
            counts.picks = draws;
            counts.passes = rules::MaskGitRules{}.steps;
            EXPECT_TRUE(has(usual, bounds_of(counts, limits))) << counts.rows << " rows, picks";
          }
        }
      }
    }
  }
}

// Some requests have drafts, one has a row for each.
TEST(Bounds, TheUsualOnesAreAllOfADecoderThatChecksDrafts) {
  BoundsLimits limits;
  limits.max_rows = 3 + 2 * 4;
  limits.max_draws = limits.max_rows;
  limits.uses_cache = true;
  limits.has_drafts = true;
  const std::vector<Bounds> usual = usual_bounds(limits);
  EXPECT_EQ(rows_of(usual), (std::vector<std::int32_t>{1, 2, 2, 4, 4, 8, 8, 11, 11}));
  for (std::int32_t rows = 1; rows <= limits.max_rows; ++rows) {
    EXPECT_TRUE(has(usual, bounds_of({rows, rows, 0, 0, true}, limits))) << rows;
    EXPECT_TRUE(rows == 1 || has(usual, bounds_of({rows, rows, 0, 0, false}, limits))) << rows;
    // Two rows of one draw, of a model that guesses.
    EXPECT_TRUE(rows == 1 || has(usual, bounds_of({rows, 1, 0, 0, false}, limits))) << rows;
  }
}

// Whatever prefill and encoders launch: segments of any length, or of one row each.
TEST(Bounds, TheUsualOnesAreAllOfRows) {
  for (const std::int32_t most : {1, 2, 12, 64, 100}) {
    for (const bool uses_cache : {false, true}) {
      BoundsLimits limits;
      limits.max_rows = most;
      limits.uses_cache = uses_cache;
      const std::vector<Bounds> usual = usual_bounds(limits);
      for (std::int32_t rows = 1; rows <= most; ++rows) {
        EXPECT_TRUE(has(usual, bounds_of({rows, 0, 0, 0, true}, limits))) << rows;
        EXPECT_TRUE(rows == 1 || has(usual, bounds_of({rows, 0, 0, 0, false}, limits))) << rows;
      }
    }
  }
}

TEST(Bounds, TheUsualPassesAreThoseOfARequestThatSaysNone) {
  decode::RuleFacts facts;
  facts.codebooks = 4;
  facts.vocab = 30;
  facts.has_local_transformer = true;
  facts.is_maskgit = true;
  facts.use_local_transformer = true;
  const rules::SlotRules rules = decode::compile_rules(Request{}, facts, 1, 0).slot;
  EXPECT_EQ(rules.maskgit.steps, rules::MaskGitRules{}.steps);
}

}  // namespace
}  // namespace ttsrt::cuda
