#include "executor/stats_book.h"

#include <gtest/gtest.h>

#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

class StatsBookTest : public ::testing::Test {
 protected:
  void publish(std::int64_t frames = 1) { publish(step::StepPlan{}, frames); }
  void publish(const step::StepPlan& plan, std::int64_t frames = 1) {
    book_.publish(0, {plan, at_.site, at_.slots, at_.order, frames, 0.5, 0.25});
  }

  test::Sequencer at_;
  void SetUp() override { EXPECT_EQ(book_.add_replica("cpu", "a fake", 3, pool_), 0); }

  BlockPool pool_{8, 4};
  StatsBook book_{4};
};

TEST_F(StatsBookTest, ANewOneKnowsThePool) {
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.max_num_active_requests, 3);
  EXPECT_EQ(stats.kv_cache_stats.max_num_blocks, 8);
  EXPECT_EQ(stats.kv_cache_stats.free_num_blocks, 8);
  EXPECT_TRUE(stats.iterations.empty() && stats.requests.empty());
  ASSERT_EQ(stats.replicas.size(), 1U);
  EXPECT_EQ(stats.replicas[0].device, "cpu");
  EXPECT_EQ(stats.replicas[0].description, "a fake");
  EXPECT_EQ(stats.replicas[0].max_num_active_requests, 3);
}

TEST_F(StatsBookTest, ReplicasAreCountedEachAndTogether) {
  BlockPool other_pool(16, 4);
  EXPECT_EQ(book_.add_replica("cuda:0", "another", 5, other_pool), 1);
  book_.count_started(0, 7, 0.0);
  book_.count_started(1, 8, 0.0);
  book_.count_started(1, 9, 0.0);
  book_.count_paused(1, 1);
  book_.count_failed(0, "it fell off");
  other_pool.take();
  book_.count_ended(1, 9, FinishReason::cancelled, 1);
  book_.publish(1, {{}, at_.site, at_.slots, at_.order, 6, 0.5});
  publish(2);
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.max_num_active_requests, 8);
  EXPECT_EQ(stats.num_preempted_requests, 1);
  EXPECT_EQ(stats.kv_cache_stats.max_num_blocks, 24);
  EXPECT_EQ(stats.kv_cache_stats.used_num_blocks, 1);
  EXPECT_EQ(stats.kv_cache_stats.tokens_per_block, 4);
  EXPECT_EQ(stats.num_iterations, 2U);
  EXPECT_EQ(stats.num_frames, 8U);
  ASSERT_EQ(stats.iterations.size(), 2U);
  EXPECT_EQ(stats.iterations[0].replica, 1);
  EXPECT_EQ(stats.iterations[0].num_new_active_requests, 2);
  EXPECT_EQ(stats.iterations[0].num_completed_requests, 1);
  EXPECT_EQ(stats.iterations[0].kv_cache_stats.max_num_blocks, 16);
  EXPECT_EQ(stats.iterations[1].replica, 0);
  EXPECT_EQ(stats.iterations[1].iter, 2U);
  ASSERT_EQ(stats.replicas.size(), 2U);
  EXPECT_EQ(stats.replicas[0].failure, "it fell off");
  EXPECT_EQ(stats.replicas[1].failure, "");
  EXPECT_EQ(stats.replicas[1].device, "cuda:0");
  EXPECT_EQ(stats.replicas[1].num_preempted_requests, 1);
  EXPECT_EQ(stats.replicas[1].num_frames, 6U);
  EXPECT_EQ(stats.replicas[0].num_iterations, 1U);
}

TEST_F(StatsBookTest, ThreadsAreThoseOfTheLatestIteration) {
  for (const std::int32_t threads : {2, 4, 3})
    book_.publish(0, {{}, at_.site, at_.slots, at_.order, 1, 0.5, 0.25, threads});
  const ExecutorStats stats = book_.snapshot();
  ASSERT_EQ(stats.iterations.size(), 3U);
  EXPECT_EQ(stats.iterations[1].num_threads, 4);
  EXPECT_EQ(stats.replicas[0].num_threads, 3);
}

TEST_F(StatsBookTest, TheRingKeepsTheLatest) {
  for (int i = 0; i < 6; ++i) publish(i);
  const ExecutorStats stats = book_.snapshot();
  ASSERT_EQ(stats.iterations.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(stats.iterations[i].iter, i + 3);
    EXPECT_EQ(stats.iterations[i].num_frames, static_cast<std::int32_t>(i) + 2);
    EXPECT_DOUBLE_EQ(stats.iterations[i].iter_latency_ms, 500.0);
    EXPECT_DOUBLE_EQ(stats.iterations[i].device_latency_ms, 250.0);
  }
  EXPECT_EQ(stats.num_frames, 15U);
  EXPECT_DOUBLE_EQ(stats.iteration_seconds, 3.0);
}

TEST_F(StatsBookTest, LatenciesOfTheQueueAddUpOverOneIteration) {
  book_.count_started(0, 7, 0.25);
  book_.count_started(0, 8, 0.5);
  EXPECT_EQ(book_.snapshot().requests.size(), 2U);
  publish();
  publish();
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.iterations[0].num_new_active_requests, 2);
  EXPECT_DOUBLE_EQ(stats.iterations[0].new_active_requests_queue_latency_ms, 750.0);
  EXPECT_EQ(stats.iterations[1].num_new_active_requests, 0);
}

TEST_F(StatsBookTest, EndsAreCountedByTheirReason) {
  book_.count_started(0, 7, 0.0);
  book_.count_started(0, 8, 0.0);
  book_.count_ended(0, 7, FinishReason::cancelled, 1);
  EXPECT_EQ(book_.snapshot().requests[0].id, 8U);
  book_.count_ended(0, 8, FinishReason::error, 0);
  publish();
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.num_cancelled, 1U);
  EXPECT_EQ(stats.num_failed, 1U);
  EXPECT_EQ(stats.iterations[0].num_completed_requests, 2);
}

// What ends by itself is counted by the iteration that brought it there, though it is ended behind.
TEST_F(StatsBookTest, AnOwnEndBelongsToItsIteration) {
  at_.add(test::small_request()).end = FinishReason::stop;
  publish();
  at_.order.clear();
  book_.count_ended(0, 1, FinishReason::stop, 0);
  publish();
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.iterations[0].num_completed_requests, 1);
  EXPECT_EQ(stats.iterations[1].num_completed_requests, 0);
  EXPECT_EQ(stats.num_completed, 1U);
}

// It keeps its slot while a launch names it, and is counted once, with the last of them.
TEST_F(StatsBookTest, AnOwnEndWithLaunchesInFlightIsCountedOnce) {
  Sequence& sequence = at_.add(test::small_request());
  sequence.end = FinishReason::length;
  sequence.flights = 1;
  publish();
  sequence.flights = 0;
  publish();
  at_.order.clear();
  book_.count_ended(0, 1, FinishReason::length, 0);
  publish();
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.iterations[0].num_completed_requests, 0);
  EXPECT_EQ(stats.iterations[1].num_completed_requests, 1);
  EXPECT_EQ(stats.iterations[2].num_completed_requests, 0);
  EXPECT_EQ(stats.num_completed, 1U);
}

TEST_F(StatsBookTest, ALaunchIsCountedByWhatItCarried) {
  at_.facts.max_rows = 4;
  at_.add(test::small_request());
  at_.step();  // all the way to a step
  at_.add(test::small_request());
  at_.add(test::small_request());
  const test::Launch launched = at_.launch();
  at_.commit(launched);
  publish(launched.plan);
  const InflightBatchingStats carried = book_.snapshot().iterations.back().inflight_batching_stats;
  EXPECT_EQ(carried.num_scheduled_requests, 2);
  EXPECT_EQ(carried.num_paused_requests, 1);
  EXPECT_EQ(carried.num_gen_requests, 2);
  EXPECT_EQ(carried.num_context_requests, 0);
  EXPECT_EQ(carried.num_ctx_tokens, 6);  // the second one's text and context
}

// With two launches in flight a later launch carries others: what is published is the one that was
// collected.
TEST_F(StatsBookTest, ALaunchIsCountedWhateverIsInFlightBehindIt) {
  Request request = test::small_request();
  request.max_frames = 1;
  at_.add(request);
  at_.add(request);
  const test::Launch first = at_.launch();
  at_.add(test::small_request());
  const test::Launch second = at_.launch();  // the new one alone
  ASSERT_EQ(second.plan.items.front().slot, 2);
  at_.commit(first);
  publish(first.plan);
  InflightBatchingStats carried = book_.snapshot().iterations.back().inflight_batching_stats;
  EXPECT_EQ(carried.num_scheduled_requests, 2);
  EXPECT_EQ(carried.num_gen_requests, 2);
  EXPECT_EQ(carried.num_paused_requests, 1);
  at_.order = {2};
  at_.commit(second);
  publish(second.plan);
  carried = book_.snapshot().iterations.back().inflight_batching_stats;
  EXPECT_EQ(carried.num_scheduled_requests, 1);
  EXPECT_EQ(carried.num_paused_requests, 0);
}

TEST_F(StatsBookTest, RequestsTellWhereTheyStand) {
  at_.facts.max_rows = 3;
  Request request = test::small_request();
  request.voice.emplace(1);
  at_.add(request);
  publish();
  RequestStats stats = book_.snapshot().requests.at(0);
  EXPECT_EQ(stats.id, 1U);
  EXPECT_EQ(stats.stage, RequestStage::encoder_in_progress);
  EXPECT_TRUE(stats.paused && !stats.scheduled);
  publish(at_.launch().plan);
  EXPECT_TRUE(book_.snapshot().requests.at(0).scheduled);
  EXPECT_EQ(book_.snapshot().num_active_requests, 1);
}

}  // namespace
}  // namespace ttsrt::executor
