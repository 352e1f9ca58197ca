// Several replicas behind one queue, on networks that compute nothing: who runs what, and what
// becomes of the requests when a device fails.
#include "executor/replicas.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "support/errors.h"
#include "support/loop_rig.h"

namespace ttsrt::executor {
namespace {

using test::Fail;
using test::fake_codes;
using test::FakeHandle;
using test::FakeOptions;
using test::LoopRig;
using test::ReplicaRig;
using test::request_of;
using test::throws_naming;

FakeOptions replica(const std::string& device, std::int32_t slots = 2, std::int32_t depth = 1) {
  FakeOptions options;
  options.device = device;
  options.slots = slots;
  options.depth = depth;
  return options;
}

std::vector<FakeOptions> pair(std::int32_t slots = 2, std::int32_t depth = 1) {
  return {replica("fake:0", slots, depth), replica("fake:1", slots, depth)};
}

void hold(const LoopRig& rig) {
  for (const auto& control : rig.controls) control->hold();
}
void release(const LoopRig& rig) {
  for (const auto& control : rig.controls) control->release();
}
void await_launches(const LoopRig& rig, std::int64_t count) {
  for (const auto& control : rig.controls) control->await_launches(count);
}

std::vector<FakeHandle> submit_all(LoopRig& rig, std::uint64_t count, std::int32_t frames) {
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < count; ++seed)
    handles.push_back(rig.submit(request_of(seed, frames)));
  return handles;
}

class ReplicasAt : public ::testing::TestWithParam<std::int32_t> {
 protected:
  static std::vector<FakeOptions> two(std::int32_t slots = 2) { return pair(slots, GetParam()); }
};

TEST_P(ReplicasAt, RequestsAreSharedOut) {
  ReplicaRig rig(two());
  hold(rig);
  const std::vector<FakeHandle> handles = submit_all(rig, 2, 5);
  await_launches(rig, 1);  // one for each, although either could run both
  ExecutorStats stats = rig.loop.stats();
  ASSERT_EQ(stats.replicas.size(), 2U);
  EXPECT_EQ(stats.replicas[0].device, "fake:0");
  EXPECT_EQ(stats.replicas[1].device, "fake:1");
  EXPECT_EQ(stats.replicas[0].num_active_requests, 1);
  EXPECT_EQ(stats.replicas[1].num_active_requests, 1);
  EXPECT_EQ(stats.num_active_requests, 2);
  EXPECT_EQ(stats.max_num_active_requests, 4);
  ASSERT_EQ(stats.requests.size(), 2U);
  EXPECT_EQ(stats.requests[0].replica, 0);
  EXPECT_EQ(stats.requests[1].replica, 1);
  release(rig);
  for (std::uint64_t seed = 0; seed < 2; ++seed)
    EXPECT_EQ(handles[seed].result().codes.values, fake_codes(seed, 5));
  stats = rig.loop.stats();
  EXPECT_EQ(stats.num_frames, 10U);
  EXPECT_EQ(stats.replicas[0].num_frames, 5U);
  EXPECT_EQ(stats.replicas[1].num_frames, 5U);
  EXPECT_EQ(stats.replicas[0].num_iterations + stats.replicas[1].num_iterations,
            stats.num_iterations);
  EXPECT_TRUE(stats.replicas[0].failure.empty() && stats.replicas[1].failure.empty());
}

// Each takes its share at its next pass, whether the other has come by or not.
TEST_P(ReplicasAt, ABurstFillsAllSlots) {
  ReplicaRig rig(two());
  hold(rig);
  const FakeHandle first = rig.submit(request_of(100, 9));
  const FakeHandle second = rig.submit(request_of(101, 9));
  await_launches(rig, 1);
  const std::vector<FakeHandle> handles = submit_all(rig, 6, 9);
  for (const auto& control : rig.controls) {
    control->permit(GetParam());  // those of the first pass
    control->await_launches(GetParam() + 1);
  }
  const ExecutorStats stats = rig.loop.stats();
  for (const ReplicaStats& of : stats.replicas) EXPECT_EQ(of.num_active_requests, 2);
  EXPECT_EQ(stats.num_queued_requests, 4);
  release(rig);
  for (std::uint64_t seed = 0; seed < handles.size(); ++seed)
    EXPECT_EQ(handles[seed].result().codes.values, fake_codes(seed, 9));
  EXPECT_EQ(first.result().codes.values, fake_codes(100, 9));
  EXPECT_EQ(second.result().codes.values, fake_codes(101, 9));
  for (const auto& control : rig.controls) EXPECT_EQ(control->most_draws(), 2);
}

TEST_P(ReplicasAt, AFailedDeviceLeavesWhatWaitsToTheOther) {
  ReplicaRig rig(two(1));
  hold(rig);
  const FakeHandle lost = rig.submit(request_of(1, 10));
  const FakeHandle kept = rig.submit(request_of(2, 10));
  await_launches(rig, 1);
  const std::vector<FakeHandle> waiting = submit_all(rig, 3, 4);
  rig.controls[0]->fail_next(Fail::device);
  release(rig);
  const Result failed = lost.result();
  EXPECT_EQ(failed.finish_reason, FinishReason::error);
  EXPECT_EQ(failed.error, "replica 0 (fake:0): the device fell off");
  EXPECT_EQ(kept.result().codes.values, fake_codes(2, 10));
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    const Result result = waiting[seed].result();
    EXPECT_EQ(result.finish_reason, FinishReason::length) << result.error;
    EXPECT_EQ(result.codes.values, fake_codes(seed, 4));
  }
  EXPECT_EQ(rig.submit(request_of(7, 3)).result().codes.values, fake_codes(7, 3));
  const ExecutorStats stats = rig.loop.stats();
  EXPECT_EQ(stats.num_failed, 1U);
  EXPECT_EQ(stats.num_completed, 5U);
  EXPECT_EQ(stats.replicas[0].failure, "the device fell off");
  EXPECT_EQ(stats.replicas[0].num_active_requests, 0);
  EXPECT_EQ(stats.replicas[1].failure, "");
  EXPECT_EQ(rig.controls[1]->admitted(), (std::vector<std::uint64_t>{2, 0, 1, 2, 7}));
  EXPECT_TRUE(rig.loop.close(true));
}

TEST_P(ReplicasAt, TheLastFailureEndsItAll) {
  ReplicaRig rig(two(1));
  hold(rig);
  const FakeHandle first = rig.submit(request_of(1, 10));
  const FakeHandle second = rig.submit(request_of(2, 10));
  await_launches(rig, 1);
  const FakeHandle waiting = rig.submit(request_of(3, 10));
  rig.controls[1]->fail_next(Fail::device);
  rig.controls[1]->release();
  EXPECT_EQ(second.result().error, "replica 1 (fake:1): the device fell off");
  EXPECT_FALSE(waiting.is_done());
  rig.controls[0]->fail_next(Fail::device);
  rig.controls[0]->release();
  EXPECT_EQ(first.result().error, "replica 0 (fake:0): the device fell off");
  const Result last = waiting.result();
  EXPECT_EQ(last.finish_reason, FinishReason::error);
  const std::string both =
      "replica 0 (fake:0): the device fell off; replica 1 (fake:1): the device fell off";
  EXPECT_EQ(last.error, both);
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(throws_naming<DeviceError>(both, [&] { rig.submit(request_of(3, 1)); }));
  EXPECT_EQ(rig.loop.stats().num_failed, 3U);
  EXPECT_TRUE(rig.loop.close(true));
}

TEST_P(ReplicasAt, CancelsReachEachOfThem) {
  ReplicaRig rig(two(1));
  hold(rig);
  const std::vector<FakeHandle> running = submit_all(rig, 2, 20);
  await_launches(rig, 1);
  const FakeHandle waiting = rig.submit(request_of(5, 3));
  const FakeHandle next = rig.submit(request_of(6, 3));
  waiting.cancel();
  for (const FakeHandle& handle : running) handle.cancel();
  release(rig);
  EXPECT_EQ(waiting.result().finish_reason, FinishReason::cancelled);
  EXPECT_EQ(waiting.result().codes.rows, 0);
  for (std::uint64_t seed = 0; seed < 2; ++seed) {
    const Result result = running[seed].result();
    EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
    EXPECT_LE(result.codes.rows, 2);
    EXPECT_EQ(result.codes.values, fake_codes(seed, static_cast<std::int32_t>(result.codes.rows)));
  }
  EXPECT_EQ(next.result().codes.values, fake_codes(6, 3));
}

TEST_P(ReplicasAt, ADeadlineEndsWhatWaits) {
  ReplicaRig rig(two(1));
  hold(rig);
  const std::vector<FakeHandle> running = submit_all(rig, 2, 20);
  await_launches(rig, 1);
  Request late = request_of(5, 3);
  late.deadline = 1e-6;
  const FakeHandle waiting = rig.submit(std::move(late));
  release(rig);
  EXPECT_EQ(waiting.result().finish_reason, FinishReason::deadline);
  for (const FakeHandle& handle : running) EXPECT_EQ(handle.result().codes.rows, 20);
}

TEST_P(ReplicasAt, DrainFinishesWhatWasAccepted) {
  ReplicaRig rig(two(1));
  hold(rig);
  const std::vector<FakeHandle> handles = submit_all(rig, 7, 6);
  EXPECT_FALSE(rig.loop.close(true, 0.0));
  EXPECT_TRUE(throws_naming<ClosedError>("closed", [&] { rig.submit(request_of(9, 1)); }));
  release(rig);
  EXPECT_TRUE(rig.loop.close(true));
  for (std::uint64_t seed = 0; seed < handles.size(); ++seed) {
    ASSERT_TRUE(handles[seed].is_done());
    EXPECT_EQ(handles[seed].result().codes.values, fake_codes(seed, 6));
  }
}

TEST_P(ReplicasAt, WithoutDrainAllAreCancelled) {
  ReplicaRig rig(two(1));
  hold(rig);
  const std::vector<FakeHandle> handles = submit_all(rig, 5, 20);
  await_launches(rig, 1);
  EXPECT_FALSE(rig.loop.close(false, 0.0));
  release(rig);
  EXPECT_TRUE(rig.loop.close(false));
  for (const FakeHandle& handle : handles)
    EXPECT_EQ(handle.result().finish_reason, FinishReason::cancelled);
}

// The one that has nothing to do while the executor drains is still there for what falls to it.
TEST_P(ReplicasAt, ADrainOutlivesAFailure) {
  ReplicaRig rig(two(1));
  hold(rig);
  const FakeHandle lost = rig.submit(request_of(1, 10));
  const FakeHandle brief = rig.submit(request_of(2, 1));
  await_launches(rig, 1);
  const std::vector<FakeHandle> waiting = submit_all(rig, 3, 4);
  EXPECT_FALSE(rig.loop.close(true, 0.0));
  rig.controls[0]->fail_next(Fail::device);
  release(rig);
  EXPECT_TRUE(rig.loop.close(true));
  EXPECT_EQ(lost.result().finish_reason, FinishReason::error);
  EXPECT_EQ(brief.result().codes.values, fake_codes(2, 1));
  for (std::uint64_t seed = 0; seed < 3; ++seed)
    EXPECT_EQ(waiting[seed].result().codes.values, fake_codes(seed, 4));
}

Request urgent(std::uint64_t seed, std::int32_t frames, std::int32_t priority) {
  Request request = request_of(seed, frames);
  request.priority = priority;
  return request;
}

// A request pauses only where no replica has a free place, and then the lowest priority of all.
TEST_P(ReplicasAt, APauseIsTheLastResort) {
  std::vector<FakeOptions> options = two(2);
  for (FakeOptions& each : options) each.paused_slots = 1;
  ReplicaRig rig(options);
  hold(rig);
  const FakeHandle low = rig.submit(urgent(1, 12, 1));
  rig.controls[0]->await_launches(1);
  const FakeHandle high = rig.submit(urgent(2, 12, 2));
  rig.controls[1]->await_launches(1);
  EXPECT_EQ(rig.loop.stats().num_preemptions, 0U);
  const FakeHandle higher = rig.submit(urgent(3, 4, 3));
  rig.controls[0]->release();
  EXPECT_EQ(higher.result().codes.values, fake_codes(3, 4));
  EXPECT_EQ(rig.loop.stats().num_preemptions, 1U);
  release(rig);
  EXPECT_EQ(high.result().codes.values, fake_codes(2, 12));
  EXPECT_EQ(low.result().codes.values, fake_codes(1, 12));
}

// What only one of them has the cache for waits for that one; what comes behind it, too, until it
// has its place.
TEST_P(ReplicasAt, CachesMayDiffer) {
  std::vector<FakeOptions> options = two(1);
  options[0].num_blocks = 4;
  options[1].num_blocks = 8;
  ReplicaRig rig(options);
  EXPECT_TRUE(throws_naming<CapacityError>("there are 8", [&] {
    Request request = request_of(1, 20);
    request.cfg_scale = 2.0F;
    rig.submit(std::move(request));
  }));
  EXPECT_EQ(rig.submit(request_of(2, 18)).result().codes.values, fake_codes(2, 18));
  EXPECT_EQ(rig.controls[0]->num_launches(), 0);
  rig.controls[1]->hold();
  const FakeHandle lost = rig.submit(request_of(3, 18));
  rig.controls[1]->await_launches(19);
  const FakeHandle large = rig.submit(request_of(4, 18));
  const FakeHandle small = rig.submit(request_of(5, 3));
  rig.controls[1]->fail_next(Fail::device);
  rig.controls[1]->release();
  EXPECT_EQ(lost.result().error, "replica 1 (fake:1): the device fell off");
  EXPECT_EQ(large.result().error, "replica 1 (fake:1): the device fell off");
  EXPECT_EQ(small.result().codes.values, fake_codes(5, 3));
  EXPECT_TRUE(throws_naming<CapacityError>("there are 4", [&] { rig.submit(request_of(6, 18)); }));
}

INSTANTIATE_TEST_SUITE_P(Depths, ReplicasAt, ::testing::Values(1, 2));

TEST(Replicas, OneQueueForAll) {
  ReplicaRig rig(pair(1), {.max_queue_size = 2});
  hold(rig);
  const std::vector<FakeHandle> running = submit_all(rig, 2, 3);
  await_launches(rig, 1);
  const std::vector<FakeHandle> waiting = submit_all(rig, 2, 3);
  EXPECT_TRUE(
      throws_naming<CapacityError>("2 requests wait", [&] { rig.submit(request_of(9, 1)); }));
  EXPECT_EQ(rig.loop.stats().num_queued_requests, 2);
  release(rig);
  for (const FakeHandle& handle : waiting)
    EXPECT_EQ(handle.result().finish_reason, FinishReason::length);
}

// A launch that fails costs its own requests, and no replica.
TEST(Replicas, AFailedLaunchIsNoFailedDevice) {
  ReplicaRig rig(pair(1));
  hold(rig);
  const std::vector<FakeHandle> handles = submit_all(rig, 2, 3);
  await_launches(rig, 1);
  rig.controls[0]->fail_next(Fail::launch);
  release(rig);
  EXPECT_EQ(handles[0].result().error, "the launch failed");
  EXPECT_EQ(handles[1].result().codes.values, fake_codes(1, 3));
  const std::vector<FakeHandle> later = submit_all(rig, 2, 3);
  for (std::uint64_t seed = 0; seed < 2; ++seed)
    EXPECT_EQ(later[seed].result().codes.values, fake_codes(seed, 3));
  EXPECT_EQ(rig.loop.stats().replicas[0].failure, "");
}

// Random mixes of requests, cancels, priorities and speeds on three replicas, of which one fails in
// the middle: whatever ends by itself gives what it gives alone, and only what ran there is lost.
TEST(Replicas, MixesWithAFailure) {
  for (std::uint64_t round = 0; round < 30; ++round) {
    std::mt19937_64 random(round);
    const auto pick = [&random](std::uint64_t below) {
      return static_cast<std::int32_t>(random() % below);
    };
    std::vector<FakeOptions> options;
    for (const char* device : {"fake:0", "fake:1", "fake:2"}) {
      options.push_back(replica(device, 2 + pick(3), 1 + pick(2)));
      options.back().paused_slots = pick(2);
    }
    ReplicaRig rig(options, {.max_queue_size = 1000});
    for (const auto& control : rig.controls)
      control->delay_up_to(static_cast<std::uint32_t>(pick(3)) * 60);
    const std::int32_t failing = 10 + pick(30);
    rig.controls[1]->fail_by(
        [failing](std::int64_t launch) { return launch >= failing ? Fail::device : Fail::none; });
    std::vector<FakeHandle> handles;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      Request request = request_of(seed, 1 + pick(20));
      request.priority = pick(3);
      if (pick(2) == 0) request.cfg_scale = 2.0F;
      handles.push_back(rig.submit(std::move(request)));
      if (pick(6) == 0) handles[static_cast<std::size_t>(pick(seed + 1))].cancel();
    }
    std::uint64_t num_failed = 0;
    for (std::uint64_t seed = 0; seed < handles.size(); ++seed) {
      const Result result = handles[seed].result();
      EXPECT_EQ(result.codes.values,
                fake_codes(seed, static_cast<std::int32_t>(result.codes.rows)));
      if (result.finish_reason != FinishReason::error) continue;
      EXPECT_EQ(result.error, "replica 1 (fake:1): the device fell off");
      ++num_failed;
    }
    const ExecutorStats stats = rig.loop.stats();
    EXPECT_LE(num_failed, static_cast<std::uint64_t>(options[1].slots));
    EXPECT_EQ(stats.num_failed, num_failed);
    EXPECT_EQ(stats.num_completed + stats.num_cancelled + stats.num_failed, 60U);
    EXPECT_EQ(stats.num_active_requests, 0);
    EXPECT_EQ(stats.num_preempted_requests, 0);
  }
}

}  // namespace
}  // namespace ttsrt::executor
