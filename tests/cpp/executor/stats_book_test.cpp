#include "executor/stats_book.h"

#include <gtest/gtest.h>

#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

class StatsBookTest : public ::testing::Test {
 protected:
  void publish(std::int64_t frames = 1) { book_.publish({}, 0, {}, 2, frames, 0.5); }

  BlockPool pool_{8, 4};
  StatsBook book_{3, 4, pool_};
};

TEST_F(StatsBookTest, ANewOneKnowsThePool) {
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.max_num_active_requests, 3);
  EXPECT_EQ(stats.kv_cache_stats.max_num_blocks, 8);
  EXPECT_EQ(stats.kv_cache_stats.free_num_blocks, 8);
  EXPECT_TRUE(stats.iterations.empty() && stats.requests.empty());
}

TEST_F(StatsBookTest, TheRingKeepsTheLatest) {
  for (int i = 0; i < 6; ++i) publish(i);
  const ExecutorStats stats = book_.snapshot();
  ASSERT_EQ(stats.iterations.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(stats.iterations[i].iter, i + 3);
    EXPECT_EQ(stats.iterations[i].num_frames, static_cast<std::int32_t>(i) + 2);
    EXPECT_DOUBLE_EQ(stats.iterations[i].iter_latency_ms, 500.0);
  }
  EXPECT_EQ(stats.num_frames, 15U);
  EXPECT_DOUBLE_EQ(stats.iteration_seconds, 3.0);
}

TEST_F(StatsBookTest, LatenciesOfTheQueueAddUpOverOneIteration) {
  book_.count_started(7, 0.25);
  book_.count_started(8, 0.5);
  EXPECT_EQ(book_.snapshot().requests.size(), 2U);
  publish();
  publish();
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.iterations[0].num_new_active_requests, 2);
  EXPECT_DOUBLE_EQ(stats.iterations[0].new_active_requests_queue_latency_ms, 750.0);
  EXPECT_EQ(stats.iterations[1].num_new_active_requests, 0);
}

TEST_F(StatsBookTest, EndsAreCountedByTheirReason) {
  book_.count_started(7, 0.0);
  book_.count_started(8, 0.0);
  book_.count_ended(7, FinishReason::cancelled, 1);
  EXPECT_EQ(book_.snapshot().requests[0].id, 8U);
  book_.count_ended(8, FinishReason::error, 0);
  publish();
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.num_cancelled, 1U);
  EXPECT_EQ(stats.num_failed, 1U);
  EXPECT_EQ(stats.iterations[0].num_completed_requests, 2);
}

// What ends by itself is counted by the iteration that brought it there, though it is ended behind.
TEST_F(StatsBookTest, AnOwnEndBelongsToItsIteration) {
  test::Sequencer sequences;
  sequences.add(test::small_request()).end = FinishReason::stop;
  book_.publish({}, 1, sequences.running, 2, 1, 0.5);
  book_.count_ended(1, FinishReason::stop, 0);
  publish();
  const ExecutorStats stats = book_.snapshot();
  EXPECT_EQ(stats.iterations[0].num_completed_requests, 1);
  EXPECT_EQ(stats.iterations[1].num_completed_requests, 0);
  EXPECT_EQ(stats.num_completed, 1U);
}

}  // namespace
}  // namespace ttsrt::executor
