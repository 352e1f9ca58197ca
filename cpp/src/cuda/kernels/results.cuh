// What the threads of the last kernel of a launch copy. Threads need nothing from each other, so
// the host can run the same code, one thread after the other.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace ttsrt::cuda {

constexpr auto kResultWords = static_cast<std::int64_t>(sizeof(DrawResult) / sizeof(std::int32_t));
static_assert(sizeof(DrawResult) % sizeof(std::int32_t) == 0);
constexpr auto kLogprobWords = static_cast<std::int64_t>(sizeof(DrawLogprobs) / sizeof(float));
static_assert(sizeof(DrawLogprobs) % sizeof(float) == 0);

// A thread of so many.
struct Share {
  std::int64_t rank = 0;
  std::int64_t size = 1;
};

// Words that each launch gives: faults, results and codes.
TTSRT_RULE std::int64_t given_words(const GiveArgs& args) {
  return args.max_rows + args.max_draws * (kResultWords + args.codebooks);
}

TTSRT_RULE void give_logprobs(const GiveArgs& args, const ResultsView& to, const Share& share) {
  const auto* source = reinterpret_cast<const std::uint32_t*>(args.outcome.logprobs);
  auto* target = reinterpret_cast<std::uint32_t*>(to.logprobs);
  for (std::int64_t i = share.rank; i < args.max_draws * kLogprobWords; i += share.size)
    target[i] = source[i];
}

// Copies a thread's share of what came of the launch. Most threads have one word or none.
TTSRT_RULE void give_share(const GiveArgs& args, const ResultsView& to, const Share& share) {
  const bool keeps_scores = args.counts[static_cast<std::int32_t>(Count::keeps_scores)] != 0;
  const std::int64_t rows = args.max_rows;
  const std::int64_t results = args.max_draws * kResultWords;
#ifdef __CUDACC__
#pragma unroll 1
#endif
  for (std::int64_t i = share.rank; i < given_words(args); i += share.size) {
    const auto* source = reinterpret_cast<const std::int32_t*>(args.faults) + i;
    auto* target = reinterpret_cast<std::int32_t*>(to.faults) + i;
    if (i >= rows + results) {
      source = args.outcome.sampled + (i - rows - results);
      target = to.codes + (i - rows - results);
    } else if (i >= rows) {
      source = reinterpret_cast<const std::int32_t*>(args.outcome.results) + (i - rows);
      target = reinterpret_cast<std::int32_t*>(to.draws) + (i - rows);
    }
    *target = *source;
  }
  if (args.counts[static_cast<std::int32_t>(Count::tells_logprobs)] != 0)
    give_logprobs(args, to, share);
  if (!keeps_scores) return;
  const std::int64_t scores = std::int64_t{args.max_draws} * args.max_text_len;
  for (std::int64_t i = share.rank; i < scores; i += share.size)
    to.scores[i] = args.outcome.scores[i];
}

}  // namespace ttsrt::cuda
