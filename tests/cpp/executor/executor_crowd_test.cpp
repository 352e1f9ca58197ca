// A request gives the same result alone and in a crowd, bit for bit, on every device: whatever is
// in flight beside it, however its rows are cut into launches, however many threads there are.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/crowd.h"

namespace ttsrt {
namespace {

using test::CrowdModel;
using test::expect_same;

class ExecutorCrowd : public test::ExecutorAt {
 protected:
  // Each request by an executor of its own, on the CPU by a single thread.
  static std::vector<Result> alone(const Engine& engine, const CrowdModel& model,
                                   ExecutorOptions options) {
    if (options.device == "cpu") options.num_threads = 1;
    std::vector<Result> results;
    for (const Request& request : model.requests)
      results.push_back(Executor(engine, options).generate(request));
    return results;
  }

  // All at once, waiting ones taken newest first where `is_reversed`, so that neighbours and slots
  // differ.
  static void expect_crowd(const Engine& engine, const CrowdModel& model,
                           const ExecutorOptions& options, bool is_reversed,
                           const std::vector<Result>& expected) {
    Executor executor(engine, options);
    std::vector<Handle> handles;
    for (const Request& wish : model.requests) {
      Request request = wish;
      request.priority = is_reversed ? static_cast<std::int32_t>(handles.size()) : 0;
      handles.push_back(executor.submit(std::move(request)));
    }
    for (std::size_t i = 0; i < handles.size(); ++i) {
      const std::string what = model.name + ", request " + std::to_string(i) + ", batches of " +
                               std::to_string(options.max_batch_size) + ", launches of " +
                               std::to_string(options.max_num_tokens);
      expect_same(*handles[i].result(), expected[i], what);
    }
    EXPECT_EQ(executor.stats().num_completed, handles.size());
    test::expect_idle(executor, test::kCrowdPrefixes);
  }
};

TEST_P(ExecutorCrowd, EqualsEachAlone) {
  struct Limits {
    std::int32_t max_batch_size;
    std::int32_t max_num_tokens;
    bool is_reversed;
    double slice_seconds;  // next to none: encoders stop at every layer, prefill at every block
    const char* preempt = "none";  // "priority": those that are taken pause for those that come
  };
  for (const CrowdModel& model : test::crowd_models()) {
    const test::TinyEngine folder(model.config, model.build);
    const Engine engine = Engine::open(folder.path());
    ExecutorOptions chosen = options();
    const std::vector<Result> expected = alone(engine, model, chosen);
    for (const Limits& limits : {Limits{0, 0, true, 0.0},
                                 {0, 12, false, 1.0},
                                 {2, 12, true, 1e-9, "priority"},
                                 {2, 0, true, 0.0, "priority"},
                                 {0, 0, false, 1e-9}}) {
      chosen.max_batch_size = limits.max_batch_size;
      chosen.max_num_tokens = limits.max_num_tokens;
      chosen.prefill_slice_seconds = limits.slice_seconds;
      chosen.preempt = limits.preempt;
      expect_crowd(engine, model, chosen, limits.is_reversed, expected);
    }
  }
}

// Codes can hide a bit that differs; the values of every stage can't.
TEST_P(ExecutorCrowd, EqualsEachAloneStageByStage) {
  for (const CrowdModel& model : test::crowd_models()) {
    const test::TinyEngine folder(model.config, model.build);
    const Engine engine = Engine::open(folder.path());
    ExecutorOptions chosen = options();
    chosen.trace = true;
    const std::vector<Result> expected = alone(engine, model, chosen);
    EXPECT_FALSE(expected[0].trace.empty());
    expect_crowd(engine, model, chosen, false, expected);
  }
}

TEST_P(ExecutorCrowd, EqualsEachAloneWithANarrowCache) {
  const CrowdModel model = test::crowd_models().front();
  const test::TinyEngine folder(model.config, model.build);
  const Engine engine = Engine::open(folder.path());
  for (const char* dtype : {"bfloat16", "float16", "int8"}) {
    ExecutorOptions chosen = options();
    chosen.kv_cache_dtype = dtype;
    const std::vector<Result> expected = alone(engine, model, chosen);
    chosen.max_num_tokens = 12;
    expect_crowd(engine, model, chosen, true, expected);
  }
}

// What the crowd is made of does what it is there for.
TEST_P(ExecutorCrowd, IsMixed) {
  const CrowdModel model = test::crowd_models().front();
  const test::TinyEngine folder(model.config, model.build);
  Executor executor(Engine::open(folder.path()), options());
  std::vector<std::int64_t> frames;
  std::int32_t aligned = 0;
  for (const Request& request : model.requests) {
    const Result result = executor.generate(request);
    frames.push_back(result.codes.rows);
    aligned += result.alignment.rows > 0 ? 1 : 0;
    EXPECT_EQ(result.alignment.rows, request.return_alignment ? result.metrics.steps : 0);
    const bool has_prior = request.prior.has_value();
    EXPECT_EQ(result.focus.empty(), !has_prior);
  }
  EXPECT_EQ(aligned, 4);
  std::sort(frames.begin(), frames.end());
  EXPECT_GE(std::unique(frames.begin(), frames.end()) - frames.begin(), 4);
}

INSTANTIATE_TEST_SUITE_P(Places, ExecutorCrowd, testing::ValuesIn(test::all_places()),
                         test::place_name);

}  // namespace
}  // namespace ttsrt
