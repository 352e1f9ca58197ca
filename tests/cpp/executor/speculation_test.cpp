// Requests give the same ids with and without speculation, greedy and drawn, alone and in a crowd,
// whatever the cache holds, and end as they would.
#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/speculating.h"

namespace ttsrt {
namespace {

using test::Ids;
using test::kTokens;
using test::model_config;
using test::ngram;
using test::prompt;
using test::prompts_to_speculate;
using test::text_limits;

class Speculating : public test::SpeculatingAt {};

TEST_P(Speculating, GivesTheSameIds) {
  for (const bool is_parallel : {false, true}) {
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
      const Json stack = is_parallel ? test::parallel_stack_json() : test::llama_stack_json();
      const test::TinyEngine folder(model_config(stack), text_limits(dtype));
      const Engine engine = Engine::open(folder.path());
      for (const char* cache : {"", "int8"}) {
        ExecutorOptions chosen = options();
        chosen.kv_cache_dtype = cache;
        const Outcome plain = run(engine, chosen, prompts_to_speculate(), false);
        EXPECT_EQ(plain.stats.speculation.rounds, 0U);
        for (const Speculation& how : {ngram(), ngram(8), ngram(1), ngram(3, "first")}) {
          chosen.speculation = how;
          const std::string what = name_of(dtype) + std::string(", cache ") + cache + ", drafts " +
                                   std::to_string(*how.num_draft_tokens);
          const Outcome alone = run(engine, chosen, prompts_to_speculate(), false);
          expect_equal(alone, plain, what + ", alone");
          EXPECT_GT(alone.stats.speculation.accepted, 0U) << what;
          EXPECT_GT(alone.stats.speculation.drafted, alone.stats.speculation.accepted) << what;
          expect_equal(run(engine, chosen, prompts_to_speculate(), true), plain, what + ", crowd");
        }
      }
    }
  }
}

TEST_P(Speculating, TokenRulesSeeTheDraftsBefore) {
  const test::TinyEngine folder(model_config(test::llama_stack_json()),
                                text_limits(DType::float32));
  const Engine engine = Engine::open(folder.path());
  const std::vector<Request> all = test::ruled_prompts();
  const Outcome plain = run(engine, options(), all, false);
  ExecutorOptions chosen = options();
  for (const Speculation& how : {ngram(), ngram(8)}) {
    chosen.speculation = how;
    const Outcome alone = run(engine, chosen, all, false);
    expect_equal(alone, plain, "alone");
    expect_equal(run(engine, chosen, all, true), plain, "crowd");
    for (std::size_t i = 0; i < all.size(); ++i) {
      const SpeculationStats& of = alone.results[i].metrics.speculation;
      EXPECT_GT(of.rounds, 0U) << i;
      EXPECT_EQ(of.tokens, alone.results[i].logprobs.drawn.size()) << i;
    }
    EXPECT_GT(alone.stats.speculation.accepted, 0U);
    EXPECT_GT(alone.stats.speculation.drafted, alone.stats.speculation.accepted);
  }
}

TEST_P(Speculating, CountsWhatItDid) {
  const test::TinyEngine folder(model_config(test::llama_stack_json()),
                                text_limits(DType::float32));
  const Engine engine = Engine::open(folder.path());
  ExecutorOptions chosen = options();
  chosen.speculation = ngram();
  const Outcome outcome = run(engine, chosen, prompts_to_speculate(), false);
  SpeculationStats sum;
  for (const Result& result : outcome.results) {
    const SpeculationStats& of = result.metrics.speculation;
    EXPECT_EQ(of.tokens, static_cast<std::uint64_t>(result.metrics.steps));
    EXPECT_EQ(of.tokens, of.rounds + of.accepted);
    std::uint64_t drafted = 0;
    std::uint64_t accepted = 0;
    for (std::size_t i = 0; i < of.drafted_at.size(); ++i) {
      drafted += of.drafted_at[i];
      accepted += of.accepted_at[i];
    }
    EXPECT_EQ(drafted, of.drafted);
    EXPECT_EQ(accepted, of.accepted);
    sum.rounds += of.rounds;
    sum.accepted += of.accepted;
    sum.drafted += of.drafted;
  }
  EXPECT_EQ(outcome.stats.speculation.rounds, sum.rounds);
  EXPECT_EQ(outcome.stats.speculation.drafted, sum.drafted);
  EXPECT_EQ(outcome.stats.speculation.accepted, sum.accepted);
  EXPECT_EQ(outcome.stats.num_iterations < sum.rounds + 2 * prompts_to_speculate().size() + 60,
            true);
}

// A text that repeats one id: all drafts come true, and one step gives all that it may.
TEST_P(Speculating, StepsGiveSeveralIdsWhereDraftsComeTrue) {
  const test::TinyEngine folder(model_config(test::llama_stack_json()),
                                text_limits(DType::float32));
  const Engine engine = Engine::open(folder.path());
  ExecutorOptions chosen = options();
  chosen.speculation = ngram(8);
  Request request = prompt({7, 7, 7});
  request.min_frames = kTokens;
  const auto first = Executor(engine, chosen).generate(request);
  // The last ids of a greedy text of this model go round; a prompt of them is continued by them.
  const Ids& made = first.codes.values;
  EXPECT_GT(first.metrics.speculation.tokens_per_round(), 1.5)
      << first.metrics.speculation.rounds << " rounds, last id " << made.back();
}

TEST_P(Speculating, EndsInsideARound) {
  const test::TinyEngine folder(model_config(test::llama_stack_json()),
                                text_limits(DType::float32));
  const Engine engine = Engine::open(folder.path());
  ExecutorOptions plain = options();
  ExecutorOptions chosen = options();
  chosen.speculation = ngram(8);
  Executor without(engine, plain);
  Executor with(engine, chosen);
  std::int32_t stops = 0;
  for (std::int32_t length = 1; length <= 40; ++length) {  // by the length, at any place of a round
    for (Request request :
         {prompts_to_speculate()[1], prompts_to_speculate()[4], prompt({5}, 1.2F, 40U + length)}) {
      request.min_frames = 0;
      request.max_frames = length;
      const Result expected = without.generate(request);
      const Result got = with.generate(request);
      test::expect_same(got, expected, "length " + std::to_string(length));
      stops += got.finish_reason == FinishReason::stop ? 1 : 0;
    }
  }
  EXPECT_GT(stops, 10);  // by the id that ends a text
  test::expect_idle(with, 0);
}

TEST_P(Speculating, IsOffWhereManyRequestsRun) {
  const test::TinyEngine folder(model_config(test::llama_stack_json()),
                                text_limits(DType::float32));
  const Engine engine = Engine::open(folder.path());
  const Outcome plain = run(engine, options(), prompts_to_speculate(), false);
  ExecutorOptions chosen = options();
  chosen.speculation = ngram();
  chosen.speculation.speculate_below = 1;  // one is many
  const Outcome outcome = run(engine, chosen, prompts_to_speculate(), true);
  expect_equal(outcome, plain, "below 1");
  EXPECT_EQ(outcome.stats.speculation.drafted, 0U);
  EXPECT_GT(outcome.stats.speculation.rounds, 0U);
}

TEST_P(Speculating, EachRequestMayDecide) {
  const test::TinyEngine folder(model_config(test::llama_stack_json()),
                                text_limits(DType::float32));
  const Engine engine = Engine::open(folder.path());
  Executor executor(engine, options());
  Request request = prompts_to_speculate()[1];
  const Result off = executor.generate(request);
  EXPECT_EQ(off.metrics.speculation.rounds, 0U);
  request.speculation = ngram();
  const Result on = executor.generate(request);
  test::expect_same(on, off, "on by the request");
  EXPECT_GT(on.metrics.speculation.accepted, 0U);
  request.speculation->num_draft_tokens = 9;
  EXPECT_TRUE(test::throws_naming<ConfigError>("speculation.num_draft_tokens",
                                               [&] { executor.generate(request); }));
}

TEST_P(Speculating, CancelledRequestsLeaveNothing) {
  const test::TinyEngine folder(model_config(test::llama_stack_json()),
                                text_limits(DType::float32));
  const Engine engine = Engine::open(folder.path());
  ExecutorOptions chosen = options();
  chosen.speculation = ngram();
  const Result whole = Executor(engine, options()).generate(prompts_to_speculate()[1]);
  Executor executor(engine, chosen);
  Handle handle = executor.submit(prompts_to_speculate()[1]);
  EXPECT_TRUE(handle.next().has_value());
  handle.cancel();
  const Result cut = *handle.result();
  ASSERT_LE(cut.codes.values.size(), whole.codes.values.size());
  EXPECT_TRUE(
      std::equal(cut.codes.values.begin(), cut.codes.values.end(), whole.codes.values.begin()));
  Request late = prompts_to_speculate()[4];
  late.deadline = 1e-9;
  EXPECT_EQ(executor.submit(late).result()->finish_reason, FinishReason::deadline);
  test::expect_same(executor.generate(prompts_to_speculate()[1]), whole, "after others were cut");
  test::expect_idle(executor, 0);
}

TEST_P(Speculating, EventsAreTheWhole) {
  const test::TinyEngine folder(model_config(test::llama_stack_json()),
                                text_limits(DType::float32));
  const Engine engine = Engine::open(folder.path());
  ExecutorOptions chosen = options();
  chosen.speculation = ngram();
  Executor executor(engine, chosen);
  Handle handle = executor.submit(prompts_to_speculate()[1]);
  Ids streamed;
  std::size_t events = 0;
  while (const std::optional<Event> event = handle.next()) {
    EXPECT_EQ(static_cast<std::size_t>(event->first_frame), streamed.size());
    streamed.insert(streamed.end(), event->codes.values.begin(), event->codes.values.end());
    ++events;
  }
  EXPECT_EQ(streamed, handle.result()->codes.values);
  EXPECT_LT(events, streamed.size());  // some have several ids
}

INSTANTIATE_TEST_SUITE_P(Places, Speculating, testing::ValuesIn(test::speculating_places()),
                         test::place_name);

TEST(SpeculationRefused, WhereModelsOrTracesForbidIt) {
  ExecutorOptions chosen;
  chosen.device = "reference";
  chosen.speculation = ngram();
  const test::TinyEngine speech(test::t3_config());
  const Engine t3 = Engine::open(speech.path());
  EXPECT_TRUE(test::throws_naming<ConfigError>("speculation.mode: expected \"none\", as the steps",
                                               [&] { Executor(t3, chosen); }));
  const test::TinyEngine text(model_config(test::llama_stack_json()), text_limits(DType::float32));
  const Engine llm = Engine::open(text.path());
  chosen.trace = true;
  EXPECT_TRUE(test::throws_naming<ConfigError>("as trace", [&] { Executor(llm, chosen); }));
  chosen.speculation.mode.reset();
  Executor traced(llm, chosen);
  Request request = prompt({5});
  request.speculation = ngram();
  EXPECT_TRUE(test::throws_naming<ConfigError>("as trace", [&] { traced.generate(request); }));
  chosen.trace = false;
  chosen.speculation.match = "best";
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("speculation.match", [&] { Executor(llm, chosen); }));
}

}  // namespace
}  // namespace ttsrt
