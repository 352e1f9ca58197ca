// Requests that begin with the same ids compute them once: same ids as alone, no block more than
// without, and whoever ends early leaves the others what they share.
#include <gtest/gtest.h>

#include "support/speculating.h"

namespace ttsrt {
namespace {

using test::Ids;
using test::model_config;
using test::text_limits;
using test::TinyEngine;

constexpr std::int32_t kCount = 9;  // more than slots
constexpr std::int32_t kTokens = 20;
constexpr std::int32_t kShared = 2 * 16;  // of 40 ids

Ids common_ids(std::int32_t count = 40) {
  Ids ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(3 + i * 5 % 11);
  return ids;
}

std::vector<Request> same_prompts(std::int32_t shared_prefix) {
  std::vector<Request> all;
  for (std::int32_t i = 0; i < kCount; ++i) {
    Request request = test::prompt(common_ids(), 0.8F, 70U + static_cast<std::uint64_t>(i));
    request.max_frames = kTokens;
    request.min_frames = kTokens - 2;
    request.shared_prefix = shared_prefix;
    all.push_back(std::move(request));
  }
  return all;
}

class SharedPrefixes : public test::SpeculatingAt {
 protected:
  SharedPrefixes()
      : folder_(model_config(test::llama_stack_json()), text_limits(DType::float32)),
        engine_(Engine::open(folder_.path())) {}

  struct Counted {
    std::vector<Result> results;
    std::int64_t prefilled = 0;
    KvCacheStats cache;
  };

  Counted run_all(const ExecutorOptions& options, const std::vector<Request>& all) const {
    ExecutorOptions chosen = options;
    chosen.iter_stats_max_iterations = 10000;
    Executor executor(engine_, chosen);
    std::vector<Handle> handles;
    for (const Request& request : all) handles.push_back(executor.submit(request));
    Counted counted;
    for (Handle& handle : handles) counted.results.push_back(*handle.result());
    const ExecutorStats stats = executor.stats();
    for (const IterationStats& each : stats.iterations)
      counted.prefilled += each.inflight_batching_stats.num_ctx_tokens;
    counted.cache = stats.kv_cache_stats;
    test::expect_idle(executor, kShared / 16);
    return counted;
  }

  const TinyEngine folder_;
  const Engine engine_;
};

TEST_P(SharedPrefixes, AreComputedOnceAndChangeNothing) {
  for (const char* cache : {"", "int8"}) {
    for (const bool speculates : {false, true}) {
      ExecutorOptions chosen = options();
      chosen.kv_cache_dtype = cache;
      if (speculates) chosen.speculation = test::ngram();
      const Counted own = run_all(chosen, same_prompts(0));
      const Counted shared = run_all(chosen, same_prompts(40));
      for (std::size_t i = 0; i < own.results.size(); ++i)
        expect_equal_result(shared.results[i], own.results[i], "request " + std::to_string(i));
      EXPECT_EQ(own.prefilled, kCount * 39);
      EXPECT_EQ(shared.prefilled, kShared + kCount * (39 - kShared));
      EXPECT_EQ(own.cache.reused_blocks, 0U);
      EXPECT_EQ(shared.cache.reused_blocks, kCount * kShared / 16U);
      EXPECT_LT(shared.cache.alloc_new_blocks, own.cache.alloc_new_blocks);
    }
  }
}

TEST_P(SharedPrefixes, OfDraftEnginesAreTheTargets) {
  ExecutorOptions chosen = options();
  const Counted plain = run_all(chosen, same_prompts(0));
  chosen.draft_engine = folder_.path();
  const Counted drafted = run_all(chosen, same_prompts(40));
  for (std::size_t i = 0; i < plain.results.size(); ++i)
    test::expect_same(drafted.results[i], plain.results[i], "request " + std::to_string(i));
  EXPECT_EQ(drafted.cache.reused_blocks, kCount * kShared / 16U);
}

// A cache that holds one request of full length holds it with a shared prefix, too.
TEST_P(SharedPrefixes, TakeNoBlockMore) {
  ExecutorOptions chosen = options();
  chosen.max_tokens_in_paged_kv_cache = 144;  // 9 blocks, of 140 positions
  Request request = test::prompt(common_ids());
  request.max_frames = 101;
  request.min_frames = 101;
  const Counted own = run_all(chosen, {request});
  request.shared_prefix = 40;
  Request other = request;
  other.text_ids[3] = 29;  // what is kept for nobody gives way
  const Counted shared = run_all(chosen, {request, other, request});
  test::expect_same(shared.results[0], own.results[0], "alone");
  test::expect_same(shared.results[2], own.results[0], "again");
}

// Others go on where the one that brought the rows has ended.
TEST_P(SharedPrefixes, OutliveWhoBroughtThem) {
  const Counted own = run_all(options(), same_prompts(0));
  Executor executor(engine_, options());
  std::vector<Request> all = same_prompts(40);
  Handle first = executor.submit(all[0]);
  Handle second = executor.submit(all[1]);
  first.cancel();
  test::expect_same(*second.result(), own.results[1], "behind a cancelled one");
  first.result();
  test::expect_same(executor.generate(all[2]), own.results[2], "later");
  all[3].shared_prefix = 17;  // another length is another prefix
  test::expect_same(executor.generate(all[3]), own.results[3], "of another length");
}

INSTANTIATE_TEST_SUITE_P(Places, SharedPrefixes, testing::ValuesIn(test::all_places()),
                         test::place_name);

}  // namespace
}  // namespace ttsrt
