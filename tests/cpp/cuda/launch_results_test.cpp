// What the threads of the last kernel of a launch copy, run one after the other on the host.
#include "cuda/launch_results.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cuda/kernels/results.cuh"

namespace ttsrt::cuda {
namespace {

// Arrays for 5 rows and 4 draws; the launch has 3 rows and 2 draws.
struct Outcome {
  static constexpr std::int32_t kCodebooks = 3;
  static constexpr std::int32_t kTextLen = 6;
  std::vector<std::uint32_t> faults = std::vector<std::uint32_t>(5, 17);
  std::vector<DrawResult> results = std::vector<DrawResult>(4);
  std::vector<std::int32_t> sampled = std::vector<std::int32_t>(12, 5);
  std::vector<std::int32_t> likeliest = std::vector<std::int32_t>(12, 6);
  std::vector<float> scores = std::vector<float>(24, 0.5F);
  std::vector<DrawLogprobs> logprobs = std::vector<DrawLogprobs>(4);

  OutcomeView view() {
    return {sampled.data(), likeliest.data(), scores.data(), results.data(), logprobs.data()};
  }
};

TEST(CudaLaunchResults, AreCopiedWithinTheBounds) {
  for (const bool keeps_scores : {false, true}) {
    for (const std::int64_t threads : {1, 4, 100}) {
      Outcome from;
      from.results[0] = {3, 2, 9, 0, 1};
      from.results[1] = {-1, 4, 5, 6, 7};
      from.logprobs[1].drawn = -2.5F;
      from.logprobs[1].ids[rules::kMaxLogprobs - 1] = 8;
      from.logprobs[1].likeliest[rules::kMaxLogprobs - 1] = -3.5F;
      Outcome to;
      to.faults.assign(5, 0);
      to.sampled.assign(12, 0);
      to.scores.assign(24, 0.0F);
      std::vector<std::int32_t> counts(static_cast<std::size_t>(Count::num_counts));
      counts[static_cast<std::size_t>(Count::keeps_scores)] = keeps_scores ? 1 : 0;
      counts[static_cast<std::size_t>(Count::tells_logprobs)] = keeps_scores ? 0 : 1;
      GiveArgs args;
      args.counts = counts.data();
      args.faults = from.faults.data();
      args.outcome = from.view();
      args.codebooks = Outcome::kCodebooks;
      args.max_text_len = Outcome::kTextLen;
      args.max_rows = 3;
      args.max_draws = 2;
      const ResultsView view{nullptr,           to.faults.data(), to.results.data(),
                             to.sampled.data(), to.scores.data(), to.logprobs.data()};
      for (std::int64_t rank = 0; rank < threads; ++rank) give_share(args, view, {rank, threads});
      EXPECT_EQ(to.faults, (std::vector<std::uint32_t>{17, 17, 17, 0, 0}));
      EXPECT_EQ(std::count(to.sampled.begin(), to.sampled.end(), 5), 6);
      EXPECT_EQ(std::count(to.scores.begin(), to.scores.end(), 0.5F), keeps_scores ? 12 : 0);
      EXPECT_EQ(to.results[0].focus, 9);
      EXPECT_EQ(to.results[0].has_codes, 0);
      EXPECT_EQ(to.results[1].slot, -1);
      EXPECT_EQ(to.results[1].final_rows, 7);
      EXPECT_EQ(to.results[2].slot, 0);
      const DrawLogprobs& told = to.logprobs[1];
      EXPECT_EQ(told.drawn, keeps_scores ? 0.0F : -2.5F);
      EXPECT_EQ(told.ids[rules::kMaxLogprobs - 1], keeps_scores ? 0 : 8);
      EXPECT_EQ(told.likeliest[rules::kMaxLogprobs - 1], keeps_scores ? 0.0F : -3.5F);
    }
  }
}

}  // namespace
}  // namespace ttsrt::cuda
