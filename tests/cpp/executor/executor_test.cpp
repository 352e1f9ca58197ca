// The public face, end to end on a tiny engine: streaming, ends before their time, handles, voices,
// counters.
#include "ttsrt/executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "support/crowd.h"
#include "support/errors.h"

namespace ttsrt {
namespace {

using test::expect_idle;
using test::expect_same;
using test::spoken;
using test::throws_naming;

class ExecutorFace : public test::ExecutorAt {
 protected:
  const test::TinyEngine folder_{test::tiny_config(), test::crowd_limits()};
  const Engine engine_ = Engine::open(folder_.path());
};

// One slot, requests that don't end by themselves.
class ExecutorEnds : public test::ExecutorAt {
 protected:
  // A request that is running when this returns.
  static Handle start(Executor& executor, std::uint64_t seed = 1) {
    Handle handle = executor.submit(spoken({1, 2, 3}, seed));
    EXPECT_TRUE(handle.next().has_value());
    return handle;
  }

  static Request short_one() {
    Request request = spoken({3, 2, 1}, 5);
    request.max_frames = 3;
    return request;
  }

  const test::TinyEngine folder_{test::long_config(), test::long_limits()};
  const Engine engine_ = Engine::open(folder_.path());
};

TEST_P(ExecutorFace, SaysWhatItTook) {
  ExecutorOptions chosen = options();
  chosen.kv_cache_dtype = "bfloat16";
  const Executor executor(engine_, chosen);
  EXPECT_EQ(executor.info().device, chosen.device.substr(0, chosen.device.find(':')));
  EXPECT_EQ(executor.info().kv_cache_dtype, "bfloat16");
  const std::uint64_t own = executor.info().replicas.at(0).weight_bytes;
  EXPECT_EQ(executor.info().weight_bytes, own > 0 ? own : engine_.info().weight_bytes);
  EXPECT_GT(executor.info().state_bytes, 0U);
  EXPECT_GT(executor.info().activation_bytes, 0U);
  EXPECT_EQ(executor.engine().path(), folder_.path());
  EXPECT_EQ(executor.stats().max_num_active_requests, 5);
}

// Every event in order, joined, is the result; all but the last carry at least chunk_frames.
TEST_P(ExecutorFace, EventsJoinedEqualTheResult) {
  Executor executor(engine_, options());
  const std::vector<Request> requests = test::crowd_with_rows(2);
  std::vector<Handle> handles;
  for (const Request& request : requests) handles.push_back(executor.submit(request));
  for (std::size_t i = 0; i < handles.size(); ++i) {
    Matrix<std::int32_t> joined{0, 2, {}};
    FinishReason last = FinishReason::error;
    std::int32_t ends = 0;
    while (const std::optional<Event> event = handles[i].next()) {
      EXPECT_EQ(event->first_frame, joined.rows);
      EXPECT_EQ(ends, 0) << "an event after the last";
      EXPECT_TRUE(event->is_last || event->codes.rows >= requests[i].chunk_frames);
      joined.rows += event->codes.rows;
      joined.values.insert(joined.values.end(), event->codes.values.begin(),
                           event->codes.values.end());
      ends += event->is_last ? 1 : 0;
      last = event->finish_reason;
    }
    const Result result = *handles[i].result();
    EXPECT_EQ(ends, 1);
    EXPECT_EQ(last, result.finish_reason);
    EXPECT_EQ(joined.rows, result.codes.rows);
    EXPECT_EQ(joined.values, result.codes.values);
    EXPECT_FALSE(handles[i].next().has_value());  // nothing after the last, again and again
  }
}

TEST_P(ExecutorFace, OneSeedOneResult) {
  Executor executor(engine_, options());
  Request request = spoken({1, 2, 3, 4}, 77);
  request.min_frames = request.max_frames = 20;
  const Result first = executor.generate(request);
  expect_same(executor.generate(request), first, "the same seed");
  request.seed = 78;
  EXPECT_NE(executor.generate(request).codes.values, first.codes.values);
  Executor another(engine_, options());
  request.seed = 77;
  expect_same(another.generate(request), first, "another executor");
}

TEST_P(ExecutorFace, VoicesComeAndGo) {
  Executor executor(engine_, options());
  EXPECT_EQ(executor.voices(), (std::vector<std::string>{"ann", "bob"}));
  const Matrix<float> rows = test::random_rows(8, 8, 3);
  Request request = spoken({1, 2, 3, 4}, 7);
  request.voice.reset();
  request.context_embeddings = rows;
  request.return_alignment = true;
  const Result expected = executor.generate(request);

  executor.add_voice("carl", rows);
  EXPECT_EQ(executor.voices(), (std::vector<std::string>{"ann", "bob", "carl"}));
  EXPECT_TRUE(throws_naming<ConfigError>("in use", [&] { executor.add_voice("carl", rows); }));
  request.context_embeddings = {};
  request.voice = "carl";
  Handle handle = executor.submit(request);
  executor.remove_voice("carl");  // those in flight keep it
  expect_same(*handle.result(), expected, "a voice in flight");
  EXPECT_TRUE(throws_naming<ConfigError>("ann, bob", [&] { executor.submit(request); }));
  EXPECT_TRUE(throws_naming<ConfigError>("carl", [&] { executor.remove_voice("carl"); }));
  executor.add_voice("carl", rows);
  expect_same(executor.generate(request), expected, "added again");
}

TEST_P(ExecutorFace, CountersAddUp) {
  Executor executor(engine_, options());
  std::vector<Handle> handles;
  for (const Request& request : test::crowd_with_rows(2))
    handles.push_back(executor.submit(request));
  std::uint64_t frames = 0;
  std::int32_t steps = 0;
  for (Handle& handle : handles) {
    const Result result = *handle.result();
    frames += static_cast<std::uint64_t>(result.codes.rows);
    steps = std::max(steps, result.metrics.steps);
    EXPECT_GE(result.metrics.queue_seconds, 0.0);
    EXPECT_GE(result.metrics.first_frame_seconds, result.metrics.queue_seconds);
    EXPECT_GE(result.metrics.total_seconds, result.metrics.first_frame_seconds);
  }
  const ExecutorStats stats = executor.stats();
  EXPECT_EQ(stats.num_submitted, handles.size());
  EXPECT_EQ(stats.num_completed, handles.size());
  EXPECT_EQ(stats.num_frames, frames);
  EXPECT_GE(stats.num_iterations, static_cast<std::uint64_t>(steps));
  EXPECT_GT(stats.iteration_seconds, 0.0);
  EXPECT_EQ(stats.kv_cache_stats.tokens_per_block, 16);
  expect_idle(executor, test::kCrowdPrefixes);
}

TEST_P(ExecutorEnds, CancelWhileItRuns) {
  Executor executor(engine_, options());
  Handle handle = start(executor);
  handle.cancel();
  handle.cancel();
  const Result result = *handle.result();
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_GE(result.codes.rows, 1);
  EXPECT_EQ(executor.generate(short_one()).codes.rows, 3);
  EXPECT_EQ(executor.stats().num_cancelled, 1U);
  expect_idle(executor, 1);
}

TEST_P(ExecutorEnds, CancelWhileItWaits) {
  Executor executor(engine_, options());
  Handle running = start(executor);
  Handle waiting = executor.submit(spoken({1}, 2));
  waiting.cancel();
  const Result result = *waiting.result();
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(result.codes.rows, 0);
  EXPECT_EQ(result.codes.cols, 2);
  EXPECT_FALSE(running.is_done());
}

TEST_P(ExecutorEnds, DeadlinesWhileItRunsAndWaits) {
  Executor executor(engine_, options());
  Request request = spoken({1, 2, 3}, 3);
  request.deadline = 0.02;
  const Result late = executor.generate(request);
  EXPECT_EQ(late.finish_reason, FinishReason::deadline);
  EXPECT_GE(late.metrics.total_seconds, 0.02);
  Handle running = start(executor);
  const Result never_ran = executor.generate(request);
  EXPECT_EQ(never_ran.finish_reason, FinishReason::deadline);
  EXPECT_EQ(never_ran.codes.rows, 0);
  EXPECT_FALSE(running.is_done());
}

TEST_P(ExecutorEnds, DroppedHandlesCancel) {
  Executor executor(engine_, options());
  {
    Handle handle = start(executor);
    const Handle copy = handle;
    handle = {};
    EXPECT_FALSE(copy.is_done());  // the copy keeps it
    executor.submit(spoken({1}, 2));
  }
  EXPECT_EQ(executor.generate(short_one()).codes.rows, 3);  // in the slot they left
  EXPECT_EQ(executor.stats().num_cancelled, 2U);
  expect_idle(executor, 1);
}

TEST_P(ExecutorEnds, AFullQueueRefuses) {
  ExecutorOptions chosen = options();
  chosen.max_queue_size = 1;
  Executor executor(engine_, chosen);
  Handle running = start(executor);
  Handle waiting = executor.submit(short_one());
  EXPECT_TRUE(throws_naming<CapacityError>("queue is full", [&] { executor.submit(short_one()); }));
  running.cancel();
  EXPECT_EQ(waiting.result()->codes.rows, 3);
  EXPECT_EQ(executor.stats().num_submitted, 2U);
}

TEST_P(ExecutorEnds, AfterCloseEverythingSaysSo) {
  Executor executor(engine_, options());
  Handle running = start(executor);
  Handle waiting = executor.submit(short_one());
  executor.close();
  executor.close(true);
  EXPECT_EQ(running.result()->finish_reason, FinishReason::cancelled);
  EXPECT_EQ(waiting.result()->finish_reason, FinishReason::cancelled);
  EXPECT_TRUE(throws_naming<ClosedError>("closed", [&] { executor.submit(short_one()); }));
  EXPECT_TRUE(throws_naming<ClosedError>("closed", [&] { executor.generate(short_one()); }));
  Request bad = short_one();
  bad.text_ids.clear();
  EXPECT_THROW(executor.submit(bad), ClosedError);  // nobody looks at it any more
  EXPECT_EQ(executor.stats().num_cancelled, 2U);
  expect_idle(executor, 1);
}

TEST_P(ExecutorEnds, DrainFinishesWhatWasAccepted) {
  Executor executor(engine_, options());
  Handle first = executor.submit(short_one());
  Handle second = executor.submit(short_one());
  executor.close(true);
  ASSERT_TRUE(first.is_done() && second.is_done());
  EXPECT_EQ(first.result()->finish_reason, FinishReason::length);
  expect_same(*second.result(), *first.result(), "the same wish");
}

TEST_P(ExecutorEnds, AHandleOutlivesTheExecutor) {
  Handle running;
  Handle waiting;
  {
    Executor executor(engine_, options());
    running = start(executor);
    waiting = executor.submit(short_one());
  }
  ASSERT_TRUE(running.is_done());
  const Result result = *running.result();
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  std::int64_t frames = 1;  // start() took the first event, of one frame
  while (const std::optional<Event> event = running.next()) frames += event->codes.rows;
  EXPECT_EQ(frames, result.codes.rows);
  EXPECT_EQ(waiting.result()->finish_reason, FinishReason::cancelled);
  running.cancel();  // into nothing
}

TEST_P(ExecutorEnds, WaitingForAResultCanTimeOut) {
  Executor executor(engine_, options());
  Handle handle = start(executor);
  EXPECT_FALSE(handle.result(0.0).has_value());
  EXPECT_FALSE(handle.result(0.01).has_value());
  EXPECT_TRUE(throws_naming<ConfigError>("timeout", [&] { handle.result(-1.0); }));
  Handle waiting = executor.submit(short_one());
  bool timed_out = false;
  EXPECT_FALSE(waiting.next_for(std::chrono::duration<double>(0.0), timed_out).has_value());
  EXPECT_TRUE(timed_out);
  handle.cancel();
  EXPECT_TRUE(waiting.next_for(std::chrono::duration<double>(60.0), timed_out).has_value());
  EXPECT_FALSE(timed_out);
}

INSTANTIATE_TEST_SUITE_P(Places, ExecutorFace, testing::ValuesIn(test::all_places()),
                         test::place_name);
INSTANTIATE_TEST_SUITE_P(Places, ExecutorEnds, testing::ValuesIn(test::all_places()),
                         test::place_name);

}  // namespace
}  // namespace ttsrt
