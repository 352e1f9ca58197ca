// Long texts in chunks on real networks: the same alone and in a crowd, on every device, whatever
// is in flight beside them; what they hold; how they end.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "support/crowd.h"
#include "support/errors.h"

namespace ttsrt {
namespace {

using test::expect_same;
using test::throws_naming;

Json chunk_config(bool is_multi = false) {
  Json config = is_multi ? test::multi_encoder_config() : test::tiny_config();
  config["model"]["text_encoder"]["max_positions"] = 48;
  config["defaults"]["max_frames"] = 9;
  return config;
}

BuildOptions limits() {
  BuildOptions options = test::crowd_limits();
  options.max_encoder_input_len = 48;
  return options;
}

Request chunked(std::vector<std::int32_t> chunks, std::uint64_t seed) {
  Request request = test::spoken({}, seed);
  for (const std::int32_t count : chunks) {
    for (std::int32_t i = 0; i + 1 < count; ++i)
      request.text_ids.push_back(static_cast<std::int32_t>((seed + request.text_ids.size()) % 7));
    request.text_ids.push_back(8);
  }
  request.text_chunks = std::move(chunks);
  return request;
}

// Guided and unguided, with each prior that chunks may have, greedy and sampled; windows of more
// and of fewer than 35 rows.
std::vector<Request> chunked_wishes() {
  std::vector<Request> all;
  all.push_back(test::with_prior(chunked({22, 25, 24}, 1), test::prior_of("nemo")));
  all.back().return_alignment = true;
  all.push_back(test::with_prior(chunked({4, 3, 5, 1, 2}, 2), test::prior_of("nemo")));
  all.back().cfg_scale = 1.0F;
  all.back().return_positions = true;
  all.push_back(test::with_prior(chunked({23, 21}, 3), test::prior_of("nemo", true)));
  all.back().temperature = 0.0F;
  all.push_back(test::with_prior(chunked({6, 20, 7, 28}, 4), std::nullopt));
  all.back().return_positions = true;
  all.back().min_frames = 4;
  all.push_back(test::with_prior(chunked({3, 9, 2}, 5), test::prior_of("nemo", true)));
  all.back().cfg_scale = 1.0F;
  all.back().max_frames = 20;
  AttentionPrior tracked = test::prior_of("nemo");
  tracked.track_finish = true;
  all.push_back(test::with_prior(chunked({21, 27, 20}, 6), tracked));
  return all;
}

void expect_same_places(const Result& got, const Result& expected, const std::string& what) {
  expect_same(got, expected, what);
  EXPECT_EQ(got.text_positions, expected.text_positions) << what;
  EXPECT_EQ(got.chunk_steps, expected.chunk_steps) << what;
  EXPECT_EQ(got.chunk_offsets, expected.chunk_offsets) << what;
}

class ExecutorChunks : public test::ExecutorAt {};

// A request with context codes, which multi-encoder models need.
Request fitted(Request request, bool is_multi) {
  if (!is_multi) return request;
  request.voice.reset();
  request.context_codes = test::context_of(5, 2);
  return request;
}

TEST_P(ExecutorChunks, AreTheSameInACrowd) {
  for (const bool is_multi : {false, true}) {
    const test::TinyEngine folder(chunk_config(is_multi), limits());
    const Engine engine = Engine::open(folder.path());
    ExecutorOptions chosen = options();
    std::vector<Result> expected;
    for (const Request& request : chunked_wishes()) {
      ExecutorOptions single = chosen;
      if (single.device == "cpu") single.num_threads = 1;
      expected.push_back(Executor(engine, single).generate(fitted(request, is_multi)));
      ASSERT_NE(expected.back().finish_reason, FinishReason::error) << expected.back().error;
    }
    struct Crowd {
      std::int32_t max_batch_size;
      std::int32_t max_num_tokens;
      double slice_seconds;
      const char* preempt = "none";
    };
    for (const Crowd& crowd :
         {Crowd{0, 0, 0.0}, {0, 48, 1e-9}, {2, 48, 1e-9, "priority"}, {1, 0, 1.0}}) {
      chosen.max_batch_size = crowd.max_batch_size;
      chosen.max_num_tokens = crowd.max_num_tokens;
      chosen.prefill_slice_seconds = crowd.slice_seconds;
      chosen.preempt = crowd.preempt;
      Executor executor(engine, chosen);
      std::vector<Handle> handles;
      std::int32_t priority = 0;
      for (Request& request : chunked_wishes()) {
        request.priority = priority++;
        handles.push_back(executor.submit(fitted(std::move(request), is_multi)));
        handles.push_back(executor.submit(fitted(test::spoken({1, 2, 3}, 50), is_multi)));
      }
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expect_same_places(
            *handles[2 * i].result(), expected[i],
            std::to_string(i) + " in batches of " + std::to_string(crowd.max_batch_size));
      }
      for (Handle& handle : handles) handle.result();
      test::expect_idle(executor, test::kCrowdPrefixes);
    }
  }
}

TEST_P(ExecutorChunks, AddUp) {
  const test::TinyEngine folder(chunk_config(), limits());
  Executor executor(Engine::open(folder.path()), options());
  std::int32_t later_steps = 0;
  for (const Request& request : chunked_wishes()) {
    const Result result = executor.generate(request);
    const auto chunks = static_cast<std::size_t>(request.text_chunks.size());
    ASSERT_LE(result.chunk_steps.size(), chunks);
    EXPECT_TRUE(result.chunk_steps.size() == chunks || request.max_frames.has_value());
    EXPECT_EQ(result.chunk_offsets.size(), result.chunk_steps.size());
    const std::int32_t steps =
        std::accumulate(result.chunk_steps.begin(), result.chunk_steps.end(), 0);
    EXPECT_EQ(result.metrics.steps, steps);
    EXPECT_LE(result.codes.rows, steps);
    EXPECT_EQ(result.chunk_frames.size(), result.chunk_steps.size());
    EXPECT_EQ(std::accumulate(result.chunk_frames.begin(), result.chunk_frames.end(), 0),
              result.codes.rows);
    later_steps += steps - result.chunk_steps[0];
    for (const std::int32_t of : result.chunk_steps) EXPECT_LE(of, 9);
    if (request.return_alignment) {
      EXPECT_EQ(result.alignment.rows, steps);
      EXPECT_EQ(result.alignment.cols, 45);
    }
    if (!request.return_positions) continue;
    ASSERT_EQ(result.text_positions.size(), static_cast<std::size_t>(steps));
    std::size_t step = 0;
    std::int32_t end = 0;
    for (std::size_t c = 0; c < result.chunk_steps.size(); ++c) {
      end += request.text_chunks[c];
      for (std::int32_t i = 0; i < result.chunk_steps[c]; ++i, ++step) {
        EXPECT_GE(result.text_positions[step], result.chunk_offsets[c]);
        EXPECT_LT(result.text_positions[step], end);
      }
    }
  }
  EXPECT_GT(later_steps, 20);
}

// One chunk is today's text.
TEST_P(ExecutorChunks, OneIsAText) {
  const test::TinyEngine folder(chunk_config(), limits());
  Executor executor(Engine::open(folder.path()), options());
  Request whole = test::with_prior(test::spoken({1, 2, 3, 4, 8}, 9), test::prior_of("nemo"));
  whole.return_alignment = true;
  Request one = whole;
  one.text_chunks = {5};
  expect_same_places(executor.generate(one), executor.generate(whole), "one chunk");
}

// The first chunk is spoken as a text of its own would be, up to where only it may be cut short.
TEST_P(ExecutorChunks, TheFirstIsSpokenAsAText) {
  const test::TinyEngine folder(chunk_config(), limits());
  Executor executor(Engine::open(folder.path()), options());
  const Result whole =
      executor.generate(test::with_prior(chunked({12, 20}, 7), test::prior_of("nemo")));
  Request alone = test::with_prior(chunked({12}, 7), test::prior_of("nemo"));
  alone.text_chunks.clear();
  const Result first = executor.generate(alone);
  const std::int32_t steps = whole.chunk_steps[0];
  EXPECT_TRUE(std::equal(whole.focus.begin(), whole.focus.begin() + steps, first.focus.begin()));
  // What a later one says depends on the ones before.
  Request second = test::with_prior(chunked({20}, 7), test::prior_of("nemo"));
  second.text_chunks.clear();
  EXPECT_NE(whole.codes.rows, first.codes.rows);
}

TEST_P(ExecutorChunks, StreamInOrder) {
  const test::TinyEngine folder(chunk_config(), limits());
  Executor executor(Engine::open(folder.path()), options());
  Request request = chunked_wishes()[1];
  const Result whole = executor.generate(request);
  Handle handle = executor.submit(request);
  std::vector<std::int32_t> codes;
  std::vector<std::int32_t> positions;
  while (const std::optional<Event> event = handle.next()) {
    EXPECT_EQ(event->first_frame * whole.codes.cols, static_cast<std::int64_t>(codes.size()));
    codes.insert(codes.end(), event->codes.values.begin(), event->codes.values.end());
    positions.insert(positions.end(), event->text_positions.begin(), event->text_positions.end());
  }
  EXPECT_EQ(codes, whole.codes.values);
  EXPECT_EQ(positions, whole.text_positions);
}

// Two branches of one chunk and its shared context are all the blocks that there are.
TEST_P(ExecutorChunks, TakeNoMoreBlocksWhereThereAreMore) {
  const test::TinyEngine folder(chunk_config(), limits());
  ExecutorOptions small = options();
  small.max_tokens_in_paged_kv_cache = 48;
  Executor executor(Engine::open(folder.path()), small);
  EXPECT_EQ(executor.stats().kv_cache_stats.max_num_blocks, 3);
  for (const std::size_t count : {1U, 2U, 60U}) {
    const Result result = executor.generate(chunked(std::vector<std::int32_t>(count, 20), 5));
    EXPECT_EQ(result.chunk_steps.size(), count);
    EXPECT_GE(result.metrics.steps, static_cast<std::int32_t>(count));
  }
}

// Chunks that come while those before are spoken, early, late or empty, change nothing.
TEST_P(ExecutorChunks, MayComeLater) {
  const test::TinyEngine folder(chunk_config(), limits());
  Executor executor(Engine::open(folder.path()), options());
  for (const Request& whole : chunked_wishes()) {
    const Result expected = executor.generate(whole);
    for (const bool is_late : {false, true}) {
      Request first = whole;
      first.return_alignment = false;
      first.text_chunks = {whole.text_chunks[0]};
      first.text_ids.resize(static_cast<std::size_t>(whole.text_chunks[0]));
      first.later_chunks = static_cast<std::int32_t>(whole.text_chunks.size()) - 1;
      Handle handle = executor.submit(first);
      auto from = whole.text_ids.begin() + whole.text_chunks[0];
      for (std::size_t i = 1; i < whole.text_chunks.size(); ++i) {
        if (is_late) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        handle.add_text({from, from + whole.text_chunks[i]});
        from += whole.text_chunks[i];
      }
      EXPECT_TRUE(throws_naming<ConfigError>("add_text: expected no more chunks",
                                             [&] { handle.add_text({1}); }));
      const Result got = *handle.result();
      EXPECT_EQ(got.codes.values, expected.codes.values);
      EXPECT_EQ(got.focus, expected.focus);
      EXPECT_EQ(got.chunk_steps, expected.chunk_steps);
      EXPECT_EQ(got.chunk_offsets, expected.chunk_offsets);
      EXPECT_EQ(got.finish_reason, expected.finish_reason);
    }
  }
}

TEST_P(ExecutorChunks, ThatAreEmptyAreLeftOut) {
  const test::TinyEngine folder(chunk_config(), limits());
  Executor executor(Engine::open(folder.path()), options());
  Request first = chunked({6}, 3);
  first.later_chunks = 3;
  std::vector<std::vector<std::int32_t>> codes;
  for (const bool is_late : {false, true}) {
    Handle handle = executor.submit(first);
    for (const std::vector<std::int32_t>& ids :
         {std::vector<std::int32_t>{}, {1, 2, 3, 8}, std::vector<std::int32_t>{}}) {
      if (is_late) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      handle.add_text(ids);
    }
    const Result got = *handle.result();
    EXPECT_EQ(got.chunk_steps.size(), 2U);
    codes.push_back(got.codes.values);
  }
  EXPECT_EQ(codes[0], codes[1]);
}

// A request that waits for its text ends as any other does, and keeps nobody waiting.
TEST_P(ExecutorChunks, ThatNeverComeEndNothingElse) {
  const test::TinyEngine folder(chunk_config(), limits());
  Executor executor(Engine::open(folder.path()), options());
  Request first = chunked({6}, 3);
  first.later_chunks = 2;
  Handle cancelled = executor.submit(first);
  Handle failed = executor.submit(first);
  Request late = first;
  late.deadline = 0.2;
  Handle expired = executor.submit(late);
  const Request other = chunked({6, 4}, 9);
  const Result expected = Executor(Engine::open(folder.path()), options()).generate(other);
  EXPECT_EQ(executor.generate(other).codes.values, expected.codes.values);
  EXPECT_FALSE(cancelled.is_done());
  EXPECT_TRUE(throws_naming<ConfigError>("add_text: text_ids[1]: expected 0 to 8",
                                         [&] { cancelled.add_text({1, 9}); }));
  EXPECT_TRUE(throws_naming<ConfigError>("add_text: text_ids: expected at most", [&] {
    cancelled.add_text(std::vector<std::int32_t>(48));
  }));
  cancelled.cancel();
  EXPECT_EQ(cancelled.result()->finish_reason, FinishReason::cancelled);
  failed.fail_text("nothing reads it");
  EXPECT_EQ(failed.result()->finish_reason, FinishReason::error);
  EXPECT_EQ(failed.result()->error, "nothing reads it");
  EXPECT_EQ(expired.result()->finish_reason, FinishReason::deadline);
  EXPECT_GT(expired.result()->codes.rows, 0);
  EXPECT_TRUE(throws_naming<ConfigError>("add_text: expected a request with later_chunks",
                                         [&] { executor.submit(other).add_text({1}); }));
  Handle left = executor.submit(first);  // close() ends it
}

// An end in a later chunk keeps what was made, which is the begin of the whole.
TEST_P(ExecutorChunks, EndInALaterOne) {
  const test::TinyEngine folder(chunk_config(), limits());
  Executor executor(Engine::open(folder.path()), options());
  const Request longer = chunked(std::vector<std::int32_t>(4000, 20), 5);
  Handle handle = executor.submit(longer);
  std::int32_t frames = 0;
  std::size_t chunks = 0;
  while (const std::optional<Event> event = handle.next()) {
    frames += static_cast<std::int32_t>(event->codes.rows);
    chunks += event->chunk_steps.size();
    if (chunks >= 2) handle.cancel();
  }
  const Result cancelled = *handle.result();
  EXPECT_EQ(cancelled.finish_reason, FinishReason::cancelled);
  EXPECT_GE(cancelled.chunk_steps.size(), 3U);
  EXPECT_EQ(cancelled.codes.rows, frames);
  Request timed = longer;
  timed.deadline = 0.5;
  const Result late = executor.generate(timed);
  EXPECT_EQ(late.finish_reason, FinishReason::deadline);
  EXPECT_GE(late.chunk_steps.size(), 2U);
  EXPECT_EQ(late.chunk_steps.size(), late.chunk_frames.size());
  EXPECT_EQ(std::accumulate(late.chunk_frames.begin(), late.chunk_frames.end(), 0),
            late.codes.rows);
  const std::size_t same = std::min(late.codes.values.size(), cancelled.codes.values.size());
  EXPECT_TRUE(std::equal(late.codes.values.begin(),
                         late.codes.values.begin() + static_cast<std::ptrdiff_t>(same),
                         cancelled.codes.values.begin()));
}

TEST_P(ExecutorChunks, AreRefusedByName) {
  const test::TinyEngine folder(chunk_config(), limits());
  Executor executor(Engine::open(folder.path()), options());
  const auto refuses = [&executor](const char* what, const Request& request) {
    return throws_naming<ConfigError>(what, [&] { executor.submit(request); });
  };
  EXPECT_TRUE(refuses("text_chunks[1]: expected at most 28 ids", chunked({22, 29}, 1)));
  Request request = chunked({3, 4}, 1);
  request.text_chunks = {3, 3};
  EXPECT_TRUE(refuses("text_chunks: expected 7 ids in all", request));
  request = chunked({3, 4}, 1);
  request.text_ids[5] = 9;
  EXPECT_TRUE(refuses("text_ids[5]", request));
  request.text_ids.clear();
  request.text_features = test::random_rows(7, 8, 1);
  EXPECT_TRUE(refuses("text_chunks: expected text_ids with it", request));
  request = chunked({3, 4}, 1);
  request.forced_codes = {1, 2, {1, 1}};
  EXPECT_TRUE(refuses("forced_codes: expected none with text_chunks", request));
}

INSTANTIATE_TEST_SUITE_P(Places, ExecutorChunks, testing::ValuesIn(test::all_places()),
                         test::place_name);

}  // namespace
}  // namespace ttsrt
