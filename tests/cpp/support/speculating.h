// Small language models, requests to them, and what comes of them with and without speculation.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "support/causal_models.h"
#include "support/native_backends.h"
#include "support/tiny_executor.h"

namespace ttsrt::test {

using Ids = std::vector<std::int32_t>;

constexpr std::int32_t kTokens = 90;

inline Json model_config(const Json& stack) {
  Json config = llm_config(stack);
  config["model"]["decoder"]["max_positions"] = 160;
  config["defaults"]["max_frames"] = kTokens;
  return config;
}

inline BuildOptions text_limits(DType dtype) {
  BuildOptions options;
  options.dtype = dtype;
  options.max_batch_size = 6;
  options.max_seq_len = 140;
  options.max_input_len = 45;
  return options;
}

inline Speculation ngram(std::int32_t num_draft_tokens = 4, const char* match = "last") {
  Speculation of;
  of.mode = "ngram";
  of.num_draft_tokens = num_draft_tokens;
  of.match = match;
  return of;
}

inline Request prompt(Ids ids, float temperature = 0.0F, std::uint64_t seed = 0) {
  Request request;
  request.text_ids = std::move(ids);
  request.temperature = temperature;
  request.seed = seed;
  return request;
}

// Prompts of several lengths, greedy and drawn. Drawn ones at a small temperature repeat
// themselves.
inline std::vector<Request> prompts_to_speculate() {
  Ids copied;
  for (std::int32_t i = 0; i < 42; ++i) copied.push_back(3 + i % 7);
  std::vector<Request> all;
  all.push_back(prompt({5}));
  all.push_back(prompt(copied));
  all.push_back(prompt({4, 9, 17, 4, 9}, 0.3F, 3));
  all.back().top_k = 5;
  all.push_back(prompt({11, 12, 13, 14, 11, 12, 13}, 1.0F, 4));
  all.back().top_p = 0.7F;
  all.push_back(prompt(copied, 0.6F, 5));
  all.back().min_p = 0.2F;
  all.push_back(prompt({21, 22, 23}, 4.0F, 6));  // hardly a draft comes true
  for (Request& request : all) request.min_frames = 60;
  return all;
}

// The same with rules that count the ids before, each with its own, and with logarithms of
// probabilities.
inline std::vector<Request> ruled_prompts() {
  std::vector<Request> all = prompts_to_speculate();
  for (std::size_t i = 0; i < all.size(); ++i) {
    TokenOptions tokens;
    tokens.logprobs = static_cast<std::int32_t>(i % 3);
    tokens.ignore_eos = i % 2 == 0;
    if (i == 1 || i == 2) tokens.presence_penalty = 0.02F;
    if (i == 2 || i == 4) tokens.frequency_penalty = 0.03F;
    if (i == 3) tokens.repetition_scope = "generated";
    if (i >= 3) all[i].repetition_penalty = 1.05F;
    if (i == 0 || i == 5) tokens.logit_bias = {{4, 0.5F}, {9, -1.5F}};
    if (i == 5) {
      for (std::int32_t id = 10; id < 28; ++id) tokens.bad_ids.push_back(id);
    }
    all[i].tokens = tokens;
  }
  return all;
}

// Where executors may speculate: every place, and a GPU where there is one.
inline std::vector<Place> speculating_places() {
  std::vector<Place> places = all_places();
  if (num_cuda_devices() > 0) places.push_back({kCuda, 0});
  return places;
}

class SpeculatingAt : public ExecutorAt {
 protected:
  struct Outcome {
    std::vector<Result> results;
    ExecutorStats stats;
  };

  static Outcome run(const Engine& engine, const ExecutorOptions& options,
                     const std::vector<Request>& requests, bool is_crowd) {
    Executor executor(engine, options);
    Outcome outcome;
    std::vector<Handle> handles;
    for (const Request& request : requests) {
      if (!is_crowd) outcome.results.push_back(executor.generate(request));
      if (is_crowd) handles.push_back(executor.submit(request));
    }
    for (Handle& handle : handles) outcome.results.push_back(*handle.result());
    outcome.stats = executor.stats();
    expect_idle(executor, 0);
    return outcome;
  }

  static void expect_equal_result(const Result& got, const Result& expected,
                                  const std::string& what) {
    expect_same(got, expected, what);
    EXPECT_EQ(got.stop_id, expected.stop_id) << what;
    EXPECT_EQ(got.logprobs.drawn, expected.logprobs.drawn) << what;
    EXPECT_EQ(got.logprobs.top_ids.values, expected.logprobs.top_ids.values) << what;
    EXPECT_EQ(got.logprobs.top.values, expected.logprobs.top.values) << what;
  }

  static void expect_equal(const Outcome& got, const Outcome& expected, const std::string& what) {
    ASSERT_EQ(got.results.size(), expected.results.size());
    for (std::size_t i = 0; i < got.results.size(); ++i)
      expect_equal_result(got.results[i], expected.results[i],
                          what + ", request " + std::to_string(i));
  }
};

}  // namespace ttsrt::test
