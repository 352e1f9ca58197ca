#include "executor/intake.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "support/errors.h"

namespace ttsrt::executor {
namespace {

using test::throws_naming;

class IntakeTest : public ::testing::Test {
 protected:
  // Keeps the channel, so that the test can cancel it.
  std::shared_ptr<Channel> submit(std::uint64_t id, std::int32_t priority = 0,
                                  std::optional<double> deadline = std::nullopt) {
    Pending pending;
    pending.request.priority = priority;
    pending.request.deadline = deadline;
    pending.channel = make_channel(id);
    pending.submitted = Clock::now();
    std::shared_ptr<Channel> channel = pending.channel;
    intake_.submit(std::move(pending));
    return channel;
  }

  // The id of the next one, 0: none.
  std::uint64_t take() {
    const std::optional<Pending> taken = intake_.take_next([](const auto&) { return true; });
    return taken.has_value() ? taken->channel->id() : 0;
  }

  std::vector<std::uint64_t> take_ended(Clock::time_point now = Clock::now()) {
    std::vector<std::uint64_t> ids;
    for (const Pending& pending : intake_.take_ended(now)) ids.push_back(pending.channel->id());
    return ids;
  }

  BlockPool pool_{8, 4};
  Intake intake_{3, StatsBook(2, 4, pool_)};
};

TEST_F(IntakeTest, LargerPriorityFirstThenOlder) {
  submit(1);
  submit(2, 5);
  submit(3, 5);
  EXPECT_EQ(take(), 2U);
  EXPECT_EQ(take(), 3U);
  EXPECT_EQ(take(), 1U);
  EXPECT_EQ(take(), 0U);
}

TEST_F(IntakeTest, CancelledRequestsTakeNoRoomInTheQueue) {
  std::vector<std::shared_ptr<Channel>> channels;
  for (std::uint64_t id = 1; id <= 3; ++id) channels.push_back(submit(id));
  for (const auto& channel : channels) channel->cancel();
  for (std::uint64_t id = 4; id <= 6; ++id) submit(id)->cancel();
  // Nobody has removed the six yet, and more than twice the room is never held.
  EXPECT_TRUE(throws_naming<CapacityError>("3 requests wait", [&] { submit(7); }));
  EXPECT_EQ(take_ended().size(), 6U);
  for (std::uint64_t id = 8; id <= 10; ++id) submit(id);
  EXPECT_TRUE(throws_naming<CapacityError>("3 requests wait", [&] { submit(11); }));
}

TEST_F(IntakeTest, AFullQueueRefusesByNumber) {
  for (std::uint64_t id = 1; id <= 3; ++id) submit(id);
  EXPECT_TRUE(throws_naming<CapacityError>("3 requests wait (max_queue_size)", [&] { submit(4); }));
  EXPECT_TRUE(throws_naming<CapacityError>("the queue is full", [&] { intake_.check_accepts(); }));
  const ExecutorStats stats = intake_.stats();
  EXPECT_EQ(stats.num_submitted, 3U);
  EXPECT_EQ(stats.num_refused, 2U);
  EXPECT_EQ(stats.num_queued_requests, 3);
  take();
  intake_.check_accepts();
  submit(5);
}

TEST_F(IntakeTest, WhatDoesntFitHoldsBackWhatIsBehindIt) {
  submit(1, 1);
  submit(2);
  std::int32_t asked = 0;
  const auto refuse = [&](const PreparedRequest& request) {
    ++asked;
    EXPECT_EQ(request.priority, 1);
    return false;
  };
  EXPECT_FALSE(intake_.take_next(refuse).has_value());
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(intake_.stats().num_queued_requests, 2);
  EXPECT_EQ(take(), 1U);
}

TEST_F(IntakeTest, ThoseThatEndedWhileTheyWaited) {
  const auto cancelled = submit(1, 2);
  submit(2, 0, 100.0);
  submit(3);
  EXPECT_TRUE(take_ended().empty());
  cancelled->cancel();
  EXPECT_EQ(take(), 0U);  // the first one has ended: it isn't started, and nobody overtakes it
  EXPECT_EQ(take_ended(), std::vector<std::uint64_t>{1});
  EXPECT_EQ(take_ended(Clock::now() + std::chrono::seconds(101)), std::vector<std::uint64_t>{2});
  EXPECT_EQ(intake_.stats().num_queued_requests, 1);
  EXPECT_EQ(take(), 3U);
}

TEST_F(IntakeTest, StatsNameThoseThatWaitBehindThoseThatRun) {
  submit(1);
  submit(2);
  take();
  const ExecutorStats stats = intake_.stats();
  ASSERT_EQ(stats.requests.size(), 2U);
  EXPECT_EQ(stats.requests[0].id, 1U);
  EXPECT_NE(stats.requests[0].stage, RequestStage::queued);
  EXPECT_EQ(stats.requests[1].id, 2U);
  EXPECT_EQ(stats.requests[1].stage, RequestStage::queued);
  EXPECT_EQ(stats.num_active_requests, 1);
  EXPECT_EQ(stats.num_queued_requests, 1);
}

TEST_F(IntakeTest, ChangesAreCountedUnderTheLock) {
  intake_.count([](StatsBook& stats) { stats.count_ended(1, FinishReason::cancelled, 0); });
  EXPECT_EQ(intake_.stats().num_cancelled, 1U);
}

TEST_F(IntakeTest, AClosedOneRefusesAndLetsGoOfAll) {
  submit(1);
  submit(2);
  intake_.check_open("add_voice");
  intake_.close(false);
  EXPECT_TRUE(intake_.is_closing());
  EXPECT_TRUE(throws_naming<ClosedError>("submit", [&] { submit(3); }));
  EXPECT_TRUE(throws_naming<ClosedError>("add_voice", [&] { intake_.check_open("add_voice"); }));
  EXPECT_TRUE(intake_.wait_for_work(false));  // those that wait must be told
  EXPECT_EQ(take_ended(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_FALSE(intake_.wait_for_work(false));
  EXPECT_TRUE(intake_.wait_for_work(true));
}

TEST_F(IntakeTest, ADrainingOneKeepsWhatItAccepted) {
  submit(1);
  intake_.close(true);
  EXPECT_FALSE(intake_.is_closing());
  EXPECT_THROW(submit(2), ClosedError);
  EXPECT_TRUE(take_ended().empty());
  EXPECT_TRUE(intake_.wait_for_work(false));
  EXPECT_EQ(take(), 1U);
  EXPECT_FALSE(intake_.wait_for_work(false));
  intake_.close(false);  // from draining to closing, but never back
  EXPECT_TRUE(intake_.is_closing());
  intake_.close(true);
  EXPECT_TRUE(intake_.is_closing());
}

TEST_F(IntakeTest, AFailedDeviceGivesBackWhatWaits) {
  submit(1);
  submit(2);
  const std::deque<Pending> waiting = intake_.fail_device("it fell off");
  ASSERT_EQ(waiting.size(), 2U);
  EXPECT_EQ(waiting[0].channel->id(), 1U);
  EXPECT_EQ(intake_.stats().num_queued_requests, 0);
  EXPECT_TRUE(throws_naming<DeviceError>("it fell off", [&] { submit(3); }));
  intake_.close(false);
  EXPECT_TRUE(throws_naming<DeviceError>("it fell off", [&] { submit(4); }));
}

TEST_F(IntakeTest, ASubmissionWakesTheLoop) {
  std::atomic<bool> is_awake{false};
  std::thread loop([&] {
    EXPECT_TRUE(intake_.wait_for_work(false));
    is_awake = true;
    EXPECT_EQ(take(), 1U);
    EXPECT_FALSE(intake_.wait_for_work(false));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(is_awake);
  submit(1);
  while (intake_.stats().num_queued_requests > 0) std::this_thread::yield();
  intake_.close(false);
  loop.join();
  EXPECT_TRUE(is_awake);
}

}  // namespace
}  // namespace ttsrt::executor
