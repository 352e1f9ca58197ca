// A second engine guesses: requests give the same ids with and without, greedy and drawn, alone and
// in a crowd, whatever it guesses, and end as they would.
#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/sanitizers.h"
#include "support/speculating.h"
#include "ttsrt/memory.h"

namespace ttsrt {
namespace {

using test::Ids;
using test::kTokens;
using test::model_config;
using test::prompt;
using test::prompts_to_speculate;
using test::text_limits;
using test::TinyEngine;

Speculation draft(std::int32_t num_draft_tokens = 4, float min_confidence = 0.0F) {
  Speculation of;
  of.mode = "draft";
  of.num_draft_tokens = num_draft_tokens;
  of.min_confidence = min_confidence;
  return of;
}

// A model of other sizes and weights with the same ids.
Json small_config() {
  Json stack = test::parallel_stack_json();
  stack["layers"] = 1;
  stack["dim"] = 8;
  return model_config(stack);
}

BuildOptions small_limits(DType dtype = DType::float32) {
  BuildOptions options = text_limits(dtype);
  options.max_batch_size = 1;  // its own limits do not count
  options.max_seq_len = 60;
  options.max_input_len = 10;
  return options;
}

class DraftEngines : public test::SpeculatingAt {
 protected:
  DraftEngines()
      : own_(model_config(test::llama_stack_json()), text_limits(DType::float32)),
        other_(small_config(), small_limits()),
        engine_(Engine::open(own_.path())) {}

  ExecutorOptions with(const std::string& path, const Speculation& how = draft()) const {
    ExecutorOptions chosen = options();
    chosen.draft_engine = path;
    chosen.speculation = how;
    return chosen;
  }

  const TinyEngine own_;
  const TinyEngine other_;
  const Engine engine_;
};

TEST_P(DraftEngines, GiveTheSameIds) {
  BuildOptions rounded_limits = text_limits(DType::bfloat16);
  rounded_limits.quantization = "w8a16";
  const TinyEngine rounded(model_config(test::llama_stack_json()), rounded_limits);
  for (const char* cache : {"", "int8"}) {
    ExecutorOptions off = options();
    off.kv_cache_dtype = cache;
    std::vector<Request> all = prompts_to_speculate();
    for (Request& request : test::ruled_prompts()) all.push_back(std::move(request));
    const Outcome plain = run(engine_, off, all, false);
    for (const std::string& path : {own_.path(), rounded.path(), other_.path()}) {
      for (const std::int32_t drafts : {1, 4, 8}) {
        if (test::kSanitized && drafts != 4) continue;
        ExecutorOptions on = with(path, draft(drafts));
        on.kv_cache_dtype = cache;
        const std::string what = path + ", cache " + cache + ", drafts " + std::to_string(drafts);
        const Outcome alone = run(engine_, on, all, false);
        expect_equal(alone, plain, what + ", alone");
        EXPECT_GT(alone.stats.speculation.drafted, 0U) << what;
        EXPECT_GT(alone.stats.speculation.draft_seconds, 0.0) << what;
        expect_equal(run(engine_, on, all, true), plain, what + ", crowd");
      }
    }
  }
}

// By the same rules and random numbers, so do draws.
TEST_P(DraftEngines, EqualModelsGuessRight) {
  for (const std::vector<Request>& all : {prompts_to_speculate(), test::ruled_prompts()}) {
    const Outcome outcome = run(engine_, with(own_.path()), all, false);
    const SpeculationStats& of = outcome.stats.speculation;
    EXPECT_EQ(of.accepted, of.drafted);
    EXPECT_GT(of.tokens_per_round(), 4.0);
    EXPECT_EQ(of.faults, 0U);
    const Outcome crowd = run(engine_, with(own_.path()), all, true);
    // Rows that it makes up for are prefill, whose last bits may differ.
    EXPECT_GT(10 * crowd.stats.speculation.accepted, 9 * crowd.stats.speculation.drafted);
    EXPECT_GT(crowd.stats.speculation.tokens_per_round(), 1.5);
  }
}

TEST_P(DraftEngines, WrongGuessesAreFewerAndFewer) {
  std::vector<Request> all = {prompt({21, 22, 23}), prompt({5}), prompt({11, 12, 13, 14})};
  for (Request& request : all) request.min_frames = kTokens;
  const SpeculationStats of =
      run(engine_, with(other_.path(), draft(8)), all, false).stats.speculation;
  EXPECT_LT(of.accepted, of.drafted / 3);
  EXPECT_LT(of.drafted, 2 * of.rounds);  // of 8 each
}

TEST_P(DraftEngines, UnsureGuessesAreLeftOut) {
  const Outcome plain = run(engine_, options(), prompts_to_speculate(), false);
  const Outcome unsure =
      run(engine_, with(own_.path(), draft(4, 1.0F)), prompts_to_speculate(), false);
  expect_equal(unsure, plain, "sure of nothing");
  EXPECT_EQ(unsure.stats.speculation.drafted, 0U);
  const Outcome some =
      run(engine_, with(own_.path(), draft(4, 0.05F)), prompts_to_speculate(), false);
  expect_equal(some, plain, "sure of some");
  EXPECT_GT(some.stats.speculation.drafted, 0U);
  EXPECT_EQ(some.stats.speculation.accepted, some.stats.speculation.drafted);
}

TEST_P(DraftEngines, EndInsideARound) {
  Executor without(engine_, options());
  Executor with_draft(engine_, with(own_.path(), draft(8)));
  std::int32_t stops = 0;
  for (std::int32_t length = 1; length <= 40; ++length) {
    for (Request request :
         {prompts_to_speculate()[1], prompts_to_speculate()[4], prompt({5}, 1.2F, 40U + length)}) {
      request.min_frames = 0;
      request.max_frames = length;
      const Result expected = without.generate(request);
      const Result got = with_draft.generate(request);
      expect_equal_result(got, expected, "length " + std::to_string(length));
      stops += got.finish_reason == FinishReason::stop ? 1 : 0;
      const bool is_long = length > 20 && got.finish_reason == FinishReason::length;
      EXPECT_TRUE(!is_long || got.metrics.speculation.tokens_per_round() > 3.0);
    }
  }
  EXPECT_GT(stops, 10);  // by the id that ends a text
  test::expect_idle(with_draft, 0);
}

TEST_P(DraftEngines, CancelledRequestsLeaveNothing) {
  const Result whole = Executor(engine_, options()).generate(prompts_to_speculate()[1]);
  Executor executor(engine_, with(own_.path()));
  for (std::int32_t i = 0; i < 12; ++i) {  // more than there are slots
    Handle handle = executor.submit(prompts_to_speculate()[1]);
    EXPECT_TRUE(handle.next().has_value());
    handle.cancel();
    const Ids cut = handle.result()->codes.values;
    ASSERT_LE(cut.size(), whole.codes.values.size());
    EXPECT_TRUE(std::equal(cut.begin(), cut.end(), whole.codes.values.begin()));
  }
  Request late = prompts_to_speculate()[4];
  late.deadline = 1e-9;
  EXPECT_EQ(executor.submit(late).result()->finish_reason, FinishReason::deadline);
  const Result again = executor.generate(prompts_to_speculate()[1]);
  test::expect_same(again, whole, "after others were cut");
  EXPECT_EQ(again.metrics.speculation.accepted, again.metrics.speculation.drafted);
  test::expect_idle(executor, 0);
}

TEST_P(DraftEngines, RequestsDecide) {
  const Result plain = Executor(engine_, options()).generate(prompts_to_speculate()[1]);
  Speculation usual = draft();
  usual.mode.reset();  // an executor with a draft engine uses it
  Executor executor(engine_, with(own_.path(), usual));
  Request request = prompts_to_speculate()[1];
  const Result drafted = executor.generate(request);
  expect_equal_result(drafted, plain, "by the draft engine");
  EXPECT_GT(drafted.metrics.speculation.accepted, 0U);
  request.speculation = test::ngram();
  const Result looked_up = executor.generate(request);
  expect_equal_result(looked_up, plain, "by lookup");
  EXPECT_GT(looked_up.metrics.speculation.accepted, 0U);
  request.speculation->mode = "none";
  EXPECT_EQ(executor.generate(request).metrics.speculation.rounds, 0U);
  request.speculation = draft(1);
  EXPECT_EQ(executor.generate(request).metrics.speculation.drafted_at[1], 0U);
  Executor without(engine_, options());
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("has no draft_engine", [&] { without.generate(request); }));
}

TEST_P(DraftEngines, AreNotAskedWhereManyRequestsRun) {
  const Outcome plain = run(engine_, options(), prompts_to_speculate(), false);
  Speculation few = draft();
  few.speculate_below = 3;
  const Outcome outcome = run(engine_, with(own_.path(), few), prompts_to_speculate(), true);
  expect_equal(outcome, plain, "below 3");
  few.speculate_below = 1;
  const Outcome none = run(engine_, with(own_.path(), few), prompts_to_speculate(), false);
  expect_equal(none, plain, "below 1");
  EXPECT_EQ(none.stats.speculation.drafted, 0U);
}

// What the draft engine lacks after a pause is made up for in slices.
TEST_P(DraftEngines, CatchUpInSlices) {
  const Outcome plain = run(engine_, options(), prompts_to_speculate(), false);
  ExecutorOptions chosen = with(own_.path());
  chosen.prefill_slice_seconds = 1e-9;
  expect_equal(run(engine_, chosen, prompts_to_speculate(), true), plain, "slices");
  chosen.max_num_tokens = 45;
  chosen.max_tokens_in_paged_kv_cache = 160;  // of a request, and some of a second one
  expect_equal(run(engine_, chosen, prompts_to_speculate(), true), plain, "small caches");
}

TEST_P(DraftEngines, OfFewerPositionsAndIds) {
  const Outcome plain = run(engine_, options(), prompts_to_speculate(), false);
  Json config = small_config();
  config["model"]["decoder"]["max_positions"] = 40;
  const TinyEngine brief(config, [] {
    BuildOptions limits = small_limits();
    limits.max_seq_len = 40;
    return limits;
  }());
  const Outcome outcome = run(engine_, with(brief.path()), prompts_to_speculate(), false);
  expect_equal(outcome, plain, "40 positions");
  EXPECT_GT(outcome.stats.speculation.drafted, 0U);

  Json own = model_config(test::llama_stack_json());
  own["model"]["tokens"] = 20;
  const TinyEngine padded(own, text_limits(DType::float32));
  const Engine target = Engine::open(padded.path());
  const Outcome expected = run(target, options(), test::ruled_prompts(), false);
  for (const std::int32_t vocab : {20, 24, 40}) {
    Json fewer = small_config();
    fewer["model"]["tokens"] = 20;
    fewer["model"]["vocab"] = vocab;
    const TinyEngine drafts(fewer, small_limits());
    const Outcome got = run(target, with(drafts.path()), test::ruled_prompts(), false);
    expect_equal(got, expected, std::to_string(vocab) + " ids");
    EXPECT_GT(got.stats.speculation.drafted, 0U);
  }
}

TEST_P(DraftEngines, WhoseNumbersAreNotFiniteCostNoRequest) {
  const Outcome plain = run(engine_, options(), prompts_to_speculate(), false);
  std::vector<test::TinyTensor> tensors = test::tiny_tensors(small_config());
  for (test::TinyTensor& tensor : tensors) {
    if (tensor.entry.name != "head") continue;
    for (std::size_t i = 0; i < tensor.values.size(); ++i)
      tensor.values[i] = (i * 2654435761U >> 20U) % 2 == 0 ? 3e38F : -3e38F;
  }
  const test::TempDir folder;
  test::write_checkpoint(folder.file("checkpoint"), small_config(), tensors);
  build(folder.file("checkpoint"), folder.file("engine"), small_limits());
  for (const bool is_crowd : {false, true}) {
    const Outcome outcome =
        run(engine_, with(folder.file("engine")), prompts_to_speculate(), is_crowd);
    expect_equal(outcome, plain, "a damaged draft engine");
    EXPECT_EQ(outcome.stats.speculation.faults, prompts_to_speculate().size());
    EXPECT_EQ(outcome.stats.speculation.drafted, 0U);
  }
}

TEST_P(DraftEngines, MemoryIsPlanned) {
  for (const Speculation& how : {draft(), draft(8), test::ngram(1)}) {
    for (const char* cache : {"", "int8"}) {
      ExecutorOptions chosen = with(other_.path(), how);
      chosen.num_threads = std::max(chosen.num_threads, 1);
      chosen.kv_cache_dtype = cache;
      MemoryOptions asked;
      asked.device = chosen.device;
      asked.num_threads = chosen.num_threads;
      asked.kv_cache_dtype = cache;
      asked.speculation = how;
      asked.draft_engine = chosen.draft_engine;
      const MemoryPlan plan = plan_memory(engine_, asked);
      const ExecutorInfo info = Executor(engine_, chosen).info();
      EXPECT_EQ(plan.weights, info.weight_bytes);
      EXPECT_EQ(plan.kv_cache + plan.cross_memory + plan.slots, info.state_bytes);
      EXPECT_EQ(plan.activations, info.activation_bytes);
      EXPECT_EQ(plan.scratch, info.scratch_bytes);
      EXPECT_EQ(plan.cache_tokens, info.cache_tokens);
      asked.draft_engine.clear();
      asked.speculation.mode = "ngram";
      const MemoryPlan alone = plan_memory(engine_, asked);
      EXPECT_GT(plan.kv_cache, alone.kv_cache);
      const std::uint64_t more = Engine::open(other_.path()).info().weight_bytes;
      if (chosen.device == test::kCuda) {  // its copies are padded
        EXPECT_GE(plan.weights, alone.weights + more);
      } else {
        EXPECT_EQ(plan.weights, alone.weights + more);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Places, DraftEngines, testing::ValuesIn(test::speculating_places()),
                         test::place_name);

class DraftEnginesRefused : public testing::Test {
 protected:
  static bool refuses(const char* why, const Engine& engine, const std::string& draft_engine,
                      bool trace = false) {
    ExecutorOptions options;
    options.device = "reference";
    options.draft_engine = draft_engine;
    options.trace = trace;
    return test::throws_naming<ConfigError>(why, [&] { Executor(engine, options); });
  }
};

TEST_F(DraftEnginesRefused, ByName) {
  const TinyEngine text(model_config(test::llama_stack_json()), text_limits(DType::float32));
  const TinyEngine speech(test::t3_config());
  Json other = small_config();
  other["model"]["tokens"] = 29;
  const TinyEngine words(other, small_limits());
  const Engine llm = Engine::open(text.path());
  EXPECT_TRUE(refuses("expected a model of the family \"llm\", got \"t3\"", llm, speech.path()));
  EXPECT_TRUE(refuses("30 tokens, got 29", llm, words.path()));
  EXPECT_TRUE(refuses("draft_engine: expected none, as the steps of a \"t3\"",
                      Engine::open(speech.path()), text.path()));
  EXPECT_TRUE(refuses("draft_engine: expected none, as trace", llm, text.path(), true));
  ExecutorOptions missing;
  missing.device = "reference";
  missing.draft_engine = text.path() + "/nothing";
  EXPECT_THROW(Executor(llm, missing), Error);
  missing.draft_engine = text.checkpoint();  // no engine
  EXPECT_THROW(Executor(llm, missing), Error);
  ExecutorOptions alone;
  alone.device = "reference";
  alone.speculation = draft();
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("without draft_engine", [&] { Executor(llm, alone); }));
}

}  // namespace
}  // namespace ttsrt
