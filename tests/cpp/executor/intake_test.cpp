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
                                  std::optional<double> deadline = std::nullopt,
                                  std::int32_t blocks = 0) {
    Pending pending;
    pending.blocks = blocks;
    pending.request.priority = priority;
    pending.request.deadline = deadline;
    pending.channel = make_channel(id);
    pending.submitted = Clock::now();
    std::shared_ptr<Channel> channel = pending.channel;
    intake_.submit(std::move(pending));
    return channel;
  }

  // The id of the next one, 0: none.
  std::uint64_t take(const Load& load = kIdle, std::int32_t replica = 0) {
    const std::optional<Pending> taken = intake_.take_next(replica, load);
    return taken.has_value() ? taken->channel->id() : 0;
  }

  std::vector<std::uint64_t> take_ended(Clock::time_point now = Clock::now()) {
    std::vector<std::uint64_t> ids;
    reasons_.clear();
    for (const Intake::Ended& ended : intake_.take_ended(now)) {
      ids.push_back(ended.pending.channel->id());
      reasons_.push_back(ended.reason);
    }
    return ids;
  }

  static constexpr Load kIdle = {.slots = 2, .free_places = 2, .blocks = 8};

  void SetUp() override { EXPECT_EQ(intake_.add_replica("first", "a fake", kIdle, pool_), 0); }

  BlockPool pool_{8, 4};
  Intake intake_{3, 4};
  std::vector<FinishReason> reasons_;  // of those that take_ended() returned
};

// Two replicas of two places each.
class IntakeOfTwo : public IntakeTest {
 protected:
  void SetUp() override {
    IntakeTest::SetUp();
    EXPECT_EQ(intake_.add_replica("second", "another fake", kIdle, second_pool_), 1);
  }

  static Load busy(std::int32_t used) {
    Load load = kIdle;
    load.used_slots = used;
    load.free_places -= used;
    return load;
  }

  BlockPool second_pool_{8, 4};
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
  submit(1, 1, std::nullopt, 6);
  submit(2, 0, std::nullopt, 1);
  Load load = kIdle;
  load.promised_blocks = 3;
  EXPECT_EQ(take(load), 0U);
  EXPECT_EQ(intake_.stats().num_queued_requests, 2);
  load.promised_blocks = 2;
  EXPECT_EQ(take(load), 1U);
}

TEST_F(IntakeTest, WhatCouldNeverFitIsRefused) {
  EXPECT_TRUE(throws_naming<NeverFitsError>("may need 9 cache blocks, there are 8",
                                            [&] { submit(1, 0, std::nullopt, 9); }));
  EXPECT_EQ(intake_.stats().num_submitted, 0U);
  submit(2, 0, std::nullopt, 8);
  EXPECT_EQ(take(), 2U);
}

TEST_F(IntakeTest, OnlyALargerPriorityPassesARival) {
  submit(1, 1);
  Load load = kIdle;
  load.rival = 1;
  EXPECT_EQ(take(load), 0U);
  load.rival = 0;
  EXPECT_EQ(take(load), 1U);
}

TEST_F(IntakeTest, ThoseThatEndedWhileTheyWaited) {
  const auto cancelled = submit(1, 2);
  submit(2, 0, 100.0);
  submit(3);
  EXPECT_TRUE(take_ended().empty());
  cancelled->cancel();
  EXPECT_EQ(take_ended(), std::vector<std::uint64_t>{1});
  EXPECT_EQ(reasons_, std::vector{FinishReason::cancelled});
  EXPECT_EQ(take_ended(Clock::now() + std::chrono::seconds(101)), std::vector<std::uint64_t>{2});
  EXPECT_EQ(reasons_, std::vector{FinishReason::deadline});
  EXPECT_EQ(intake_.stats().num_queued_requests, 1);
  EXPECT_EQ(take(), 3U);
}

TEST_F(IntakeTest, ThoseThatWaitWhenItClosesAreCancelled) {
  submit(1, 0, 100.0);
  submit(2, 0, 0.0);
  submit(3);
  intake_.close(false);
  EXPECT_EQ(take_ended(), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(reasons_, std::vector(3, FinishReason::cancelled));
}

// A loop that gets nothing resumes a paused request, here of priority 1.
TEST_F(IntakeTest, ThoseThatEndedHoldBackNobody) {
  submit(1, 3)->cancel();
  submit(2, 3, 0.0);
  submit(3, 2);
  Load load = kIdle;
  load.rival = 1;
  EXPECT_EQ(take(load), 3U);
  EXPECT_EQ(take(load), 0U);                     // those that have ended are never started
  EXPECT_TRUE(intake_.wait_for_work(0, false));  // but someone must remove them
  EXPECT_EQ(take_ended(), (std::vector<std::uint64_t>{1, 2}));
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
  intake_.count([](StatsBook& stats) { stats.count_ended(0, 1, FinishReason::cancelled, 0); });
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
  EXPECT_TRUE(intake_.wait_for_work(0, false));  // those that wait must be told
  EXPECT_EQ(take_ended(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_FALSE(intake_.wait_for_work(0, false));
  EXPECT_TRUE(intake_.wait_for_work(0, true));
}

TEST_F(IntakeTest, ADrainingOneKeepsWhatItAccepted) {
  submit(1);
  intake_.close(true);
  EXPECT_FALSE(intake_.is_closing());
  EXPECT_THROW(submit(2), ClosedError);
  EXPECT_TRUE(take_ended().empty());
  EXPECT_TRUE(intake_.wait_for_work(0, false));
  EXPECT_EQ(take(), 1U);
  EXPECT_FALSE(intake_.wait_for_work(0, false));
  intake_.close(false);  // from draining to closing, but never back
  EXPECT_TRUE(intake_.is_closing());
  intake_.close(true);
  EXPECT_TRUE(intake_.is_closing());
}

TEST_F(IntakeTest, AFailedDeviceGivesBackWhatWaits) {
  submit(1);
  submit(2);
  const Intake::Loss loss = intake_.fail_device(0, "it fell off");
  ASSERT_EQ(loss.waiting.size(), 2U);
  EXPECT_EQ(loss.waiting[0].channel->id(), 1U);
  EXPECT_EQ(loss.of_running, "it fell off");
  EXPECT_EQ(loss.of_waiting, "it fell off");
  EXPECT_EQ(intake_.stats().num_queued_requests, 0);
  EXPECT_EQ(intake_.stats().replicas.at(0).failure, "it fell off");
  EXPECT_FALSE(intake_.wait_for_work(0, false));
  EXPECT_TRUE(throws_naming<DeviceError>("it fell off", [&] { submit(3); }));
  intake_.close(false);
  EXPECT_TRUE(throws_naming<DeviceError>("it fell off", [&] { submit(4); }));
}

TEST_F(IntakeTest, StatsListThoseThatWaitInOrderOfArrival) {
  submit(1);
  submit(2, 5);
  submit(3, 1);
  const ExecutorStats stats = intake_.stats();
  ASSERT_EQ(stats.requests.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(stats.requests[i].id, i + 1);
    EXPECT_EQ(stats.requests[i].replica, -1);
  }
}

TEST_F(IntakeOfTwo, TheLeastLoadedTakesTheNext) {
  intake_.count(1, busy(1), [](StatsBook&) {});
  submit(1);
  submit(2);
  EXPECT_EQ(take(busy(0), 1), 2U);  // the first falls to the first replica, which hasn't come yet
  EXPECT_EQ(take(busy(1), 1), 0U);
  EXPECT_EQ(take(busy(0), 0), 1U);
  EXPECT_EQ(take(busy(1), 0), 0U);
}

// Each gets its share although the other takes none meanwhile.
TEST_F(IntakeOfTwo, OneDoesNotWaitForTheOther) {
  for (std::uint64_t id = 1; id <= 3; ++id) submit(id);
  EXPECT_EQ(take(busy(0), 0), 1U);
  EXPECT_EQ(take(busy(1), 0), 3U);
  EXPECT_EQ(take(busy(2), 0), 0U);
  EXPECT_EQ(take(busy(0), 1), 2U);
}

TEST_F(IntakeOfTwo, AFreePlaceComesBeforeAPause) {
  submit(1, 5);
  Load full = busy(1);
  full.free_places = 0;
  full.rival = 0;
  EXPECT_EQ(take(full, 0), 0U);
  EXPECT_EQ(take(busy(1), 1), 1U);
  submit(2, 5);
  Load other = full;
  other.rival = 3;
  EXPECT_EQ(take(other, 1), 0U);  // the lowest priority of all pauses
  EXPECT_EQ(take(full, 0), 2U);
}

TEST_F(IntakeOfTwo, AFailedDeviceLeavesWhatWaitsToTheOther) {
  intake_.count(1, {.slots = 2, .free_places = 2, .blocks = 4}, [](StatsBook&) {});
  submit(1, 0, std::nullopt, 5);
  submit(2, 0, std::nullopt, 4);
  const Intake::Loss loss = intake_.fail_device(0, "it fell off");
  EXPECT_EQ(loss.of_running, "replica 0 (first): it fell off");
  ASSERT_EQ(loss.waiting.size(), 1U);  // too large for the other
  EXPECT_EQ(loss.waiting[0].channel->id(), 1U);
  EXPECT_FALSE(intake_.wait_for_work(0, false));
  EXPECT_TRUE(intake_.wait_for_work(1, false));
  EXPECT_EQ(take({.slots = 2, .free_places = 2, .blocks = 4}, 1), 2U);
  EXPECT_TRUE(throws_naming<CapacityError>("there are 4", [&] { submit(3, 0, std::nullopt, 5); }));
  submit(4);
  const Intake::Loss last = intake_.fail_device(1, "it burns");
  ASSERT_EQ(last.waiting.size(), 1U);
  EXPECT_EQ(last.of_running, "replica 1 (second): it burns");
  EXPECT_EQ(last.of_waiting, "replica 0 (first): it fell off; replica 1 (second): it burns");
  EXPECT_TRUE(throws_naming<DeviceError>(last.of_waiting, [&] { submit(5); }));
  const ExecutorStats stats = intake_.stats();
  EXPECT_EQ(stats.replicas.at(0).failure, "it fell off");
  EXPECT_EQ(stats.replicas.at(1).failure, "it burns");
}

// What waits may fall to it once the other has failed.
TEST_F(IntakeOfTwo, AnIdleOneStaysWhileOthersDrain) {
  intake_.count(1, {.slots = 2, .free_places = 2, .blocks = 1}, [](StatsBook&) {});
  submit(1, 0, std::nullopt, 2);
  intake_.close(true);
  std::atomic<bool> has_ended{false};
  std::thread idle([&] {
    EXPECT_FALSE(intake_.wait_for_work(1, false));
    has_ended = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(has_ended);
  EXPECT_EQ(take(), 1U);
  idle.join();
}

// Each replica sleeps until something is for it.
TEST_F(IntakeOfTwo, ASubmissionWakesTheReplicaThatTakesIt) {
  intake_.count(0, busy(1), [](StatsBook&) {});
  std::atomic<std::uint64_t> taken{0};
  std::thread first([&] { EXPECT_FALSE(intake_.wait_for_work(0, false)); });
  std::thread second([&] {
    EXPECT_TRUE(intake_.wait_for_work(1, false));
    taken = take(kIdle, 1);
    EXPECT_FALSE(intake_.wait_for_work(1, false));
  });
  submit(1);
  while (intake_.stats().num_queued_requests > 0) std::this_thread::yield();
  intake_.close(true);
  first.join();
  second.join();
  EXPECT_EQ(taken, 1U);
}

TEST_F(IntakeTest, ASubmissionWakesTheLoop) {
  std::atomic<bool> is_awake{false};
  std::thread loop([&] {
    EXPECT_TRUE(intake_.wait_for_work(0, false));
    is_awake = true;
    EXPECT_EQ(take(), 1U);
    EXPECT_FALSE(intake_.wait_for_work(0, false));
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
