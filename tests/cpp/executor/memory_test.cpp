// Planned memory is what an executor that is opened reports.
#include "ttsrt/memory.h"

#include <gtest/gtest.h>

#include "cuda/cuda_backend.h"
#include "support/errors.h"
#include "support/tiny_engine.h"
#include "ttsrt/executor.h"

namespace ttsrt {
namespace {

class Memory : public ::testing::TestWithParam<const char*> {};

void expect_same(const MemoryPlan& plan, const ExecutorInfo& info) {
  EXPECT_EQ(plan.weights, info.weight_bytes);
  EXPECT_EQ(plan.kv_cache + plan.cross_memory + plan.slots, info.state_bytes);
  EXPECT_EQ(plan.activations, info.activation_bytes);
  EXPECT_EQ(plan.scratch, info.scratch_bytes);
  EXPECT_EQ(plan.cache_tokens, info.cache_tokens);
  EXPECT_EQ(plan.kv_cache_dtype, info.kv_cache_dtype);
}

TEST_P(Memory, OfAnOpenedExecutor) {
  for (const bool is_multi : {false, true}) {
    const test::TinyEngine engine(is_multi ? test::multi_encoder_config() : test::tiny_config());
    const Engine opened = Engine::open(engine.path());
    for (const std::int32_t batch : {0, 1, 5}) {
      for (const char* dtype : {"", "bfloat16", "int8"}) {
        ExecutorOptions asked;
        asked.device = GetParam();
        asked.num_threads = 2;
        asked.max_batch_size = batch;
        asked.kv_cache_dtype = dtype;
        const Executor executor(opened, asked);
        const MemoryPlan plan = plan_memory(opened, {asked.device, 2, batch, 0, dtype});
        EXPECT_TRUE(plan.is_served);
        EXPECT_EQ(plan.max_batch_size, batch == 0 ? 8 : batch);
        expect_same(plan, executor.info());
      }
    }
  }
}

TEST_P(Memory, OfASmallerCacheAndSmallerLaunches) {
  const test::TinyEngine engine;
  const Engine opened = Engine::open(engine.path());
  ExecutorOptions asked;
  asked.device = GetParam();
  asked.num_threads = 2;
  asked.max_tokens_in_paged_kv_cache = 33;
  asked.max_num_tokens = opened.info().max_num_tokens - 1;
  const Executor executor(opened, asked);
  MemoryOptions options;
  options.device = GetParam();
  options.num_threads = 2;
  options.max_tokens_in_paged_kv_cache = 33;
  options.max_num_tokens = asked.max_num_tokens;
  const MemoryPlan plan = plan_memory(opened, options);
  EXPECT_TRUE(plan.is_served);
  EXPECT_EQ(plan.cache_tokens, 48U);  // three blocks
  EXPECT_EQ(plan.max_num_tokens, asked.max_num_tokens);
  expect_same(plan, executor.info());
}

TEST_P(Memory, OfPausedRequests) {
  const test::TinyEngine engine;
  const Engine opened = Engine::open(engine.path());
  for (const std::int32_t paused : {0, 1, 7}) {
    ExecutorOptions asked;
    asked.device = GetParam();
    asked.num_threads = 2;
    asked.max_batch_size = 3;
    asked.preempt = "priority";
    asked.max_paused_requests = paused;
    const Executor executor(opened, asked);
    const MemoryPlan plan = plan_memory(opened, {asked.device, 2, 3, 0, "", "priority", paused});
    EXPECT_TRUE(plan.is_served);
    EXPECT_EQ(plan.max_paused_requests, paused == 0 ? 3 : paused);
    EXPECT_EQ(executor.info().max_paused_requests, plan.max_paused_requests);
    EXPECT_EQ(executor.info().max_batch_size, 3);
    expect_same(plan, executor.info());
  }
}

TEST_P(Memory, OfAnEngineBuiltForOtherLimits) {
  BuildOptions options;
  options.max_batch_size = 2;
  options.max_seq_len = 30;
  options.max_encoder_input_len = 20;
  options.max_input_len = 20;
  options.max_num_tokens = 20;
  const test::TinyEngine small(test::tiny_config(), options);
  options.max_batch_size = 20;
  options.max_seq_len = 38;
  options.max_num_tokens = 40;  // two rows of each request
  const test::TinyEngine large(test::tiny_config(), options);
  MemoryOptions asked;
  asked.device = GetParam();
  asked.num_threads = 1;
  asked.max_batch_size = 20;
  asked.max_seq_len = 38;
  const MemoryPlan plan = plan_memory(Engine::open(small.path()), asked);
  EXPECT_FALSE(plan.is_served);
  EXPECT_EQ(plan.max_seq_len, 38);
  ExecutorOptions executor_options;
  executor_options.device = GetParam();
  executor_options.num_threads = 1;
  const Executor executor(Engine::open(large.path()), executor_options);
  expect_same(plan, executor.info());
}

std::vector<const char*> devices() {
  std::vector<const char*> names = {"cpu", "reference"};
  if (num_cuda_devices() > 0) names.push_back("cuda");
  return names;
}

INSTANTIATE_TEST_SUITE_P(Devices, Memory, ::testing::ValuesIn(devices()),
                         [](const auto& of) { return std::string(of.param); });

TEST(MemoryErrors, LimitsThatNoEngineHas) {
  const test::TinyEngine engine;
  const Engine opened = Engine::open(engine.path());
  const auto plan = [&](const MemoryOptions& options) { plan_memory(opened, options); };
  using test::throws_naming;
  EXPECT_TRUE(throws_naming<ConfigError>("max_batch_size: expected 1 to 4096",
                                         [&] { plan({"cpu", 1, 4097, 0, ""}); }));
  EXPECT_TRUE(throws_naming<ConfigError>("max_seq_len: expected 1 to 40",
                                         [&] { plan({"cpu", 1, 0, 41, ""}); }));
  EXPECT_TRUE(
      throws_naming<ConfigError>("kv_cache_dtype", [&] { plan({"cpu", 1, 0, 0, "int3"}); }));
  EXPECT_TRUE(throws_naming<ConfigError>("preempt: expected \"none\" or \"priority\"",
                                         [&] { plan({"cpu", 1, 0, 0, "", "age"}); }));
  EXPECT_TRUE(throws_naming<ConfigError>("because preempt is \"none\"",
                                         [&] { plan({"cpu", 1, 0, 0, "", "none", 1}); }));
  EXPECT_TRUE(throws_naming<ConfigError>("device", [&] { plan({"abacus", 1, 0, 0, ""}); }));
  MemoryOptions options;
  options.device = "cpu";
  options.max_tokens_in_paged_kv_cache = -1;
  EXPECT_TRUE(throws_naming<ConfigError>("max_tokens_in_paged_kv_cache", [&] { plan(options); }));
  options.max_tokens_in_paged_kv_cache = 0;
  options.max_num_tokens = 1;
  EXPECT_TRUE(throws_naming<ConfigError>("max_num_tokens: expected", [&] { plan(options); }));
  options.max_num_tokens = 0;
  options.kv_cache_free_gpu_mem_fraction = 0.5;
  EXPECT_TRUE(throws_naming<ConfigError>("kv_cache_free_gpu_mem_fraction", [&] { plan(options); }));
}

}  // namespace
}  // namespace ttsrt
