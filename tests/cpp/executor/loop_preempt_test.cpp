// Requests that pause for one of a larger priority: who runs, who waits, and that each gives what
// it gives alone and ends as it should, with one and with two launches in flight.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "executor/loop.h"
#include "support/loop_rig.h"

namespace ttsrt::executor {
namespace {

using test::Fail;
using test::fake_codes;
using test::FakeHandle;
using test::FakeOptions;
using test::LoopRig;
using test::request_of;

bool is_open(const Replicas& loop) {
  try {
    loop.check_open("is_open");
  } catch (const ClosedError&) {
    return false;
  }
  return true;
}

class LoopPreempt : public ::testing::TestWithParam<std::int32_t> {
 protected:
  // One running place, one paused one.
  static FakeOptions single(std::int32_t running = 1, std::int32_t paused = 1) {
    FakeOptions options;
    options.depth = GetParam();
    options.slots = running + paused;
    options.paused_slots = paused;
    return options;
  }
};

Request with_priority(std::uint64_t seed, std::int32_t frames, std::int32_t priority) {
  Request request = request_of(seed, frames);
  request.priority = priority;
  return request;
}

// A request of seed 1 with two launches behind it, the third of which waits.
FakeHandle start_low(LoopRig& rig, Request request) {
  rig.control->permit(2);
  const FakeHandle low = rig.submit(std::move(request));
  EXPECT_EQ(low.next()->codes.values, fake_codes(1, 1));
  rig.control->await_launches(3);
  return low;
}

TEST_P(LoopPreempt, ALargerPriorityRunsFirstAndThePausedOneGoesOn) {
  LoopRig rig(single());
  const FakeHandle low = start_low(rig, request_of(1, 20));
  const FakeHandle high = rig.submit(with_priority(2, 4, 1));
  rig.control->release();
  const Result first = high.result();
  const Result second = low.result();
  EXPECT_EQ(first.codes.values, fake_codes(2, 4));
  EXPECT_EQ(second.codes.values, fake_codes(1, 20));
  EXPECT_EQ(second.finish_reason, FinishReason::length);
  EXPECT_EQ(rig.control->admitted(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(rig.control->most_draws(), 1);  // they never run together
  const ExecutorStats stats = rig.loop.stats();
  EXPECT_EQ(stats.num_preemptions, 1U);
  EXPECT_EQ(stats.num_preempted_requests, 0);
  EXPECT_EQ(stats.num_active_requests, 0);
}

TEST_P(LoopPreempt, AnEqualPriorityWaits) {
  LoopRig rig(single());
  const FakeHandle low = start_low(rig, with_priority(1, 20, 1));
  const FakeHandle equal = rig.submit(with_priority(2, 1, 1));
  rig.control->release();
  EXPECT_EQ(low.result().codes.values, fake_codes(1, 20));
  EXPECT_EQ(equal.result().codes.values, fake_codes(2, 1));
  EXPECT_EQ(rig.loop.stats().num_preemptions, 0U);
}

TEST_P(LoopPreempt, NoMoreArePausedThanThereArePlaces) {
  LoopRig rig(single(2, 1));
  rig.control->permit(0);
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 2; ++seed)
    handles.push_back(rig.submit(request_of(seed, 20)));
  rig.control->await_launches(1);
  for (std::uint64_t seed = 2; seed < 5; ++seed)
    handles.push_back(rig.submit(with_priority(seed, 6, 1)));
  rig.control->release();
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const std::int32_t frames = seed < 2 ? 20 : 6;
    EXPECT_EQ(handles[seed].result().codes.values, fake_codes(seed, frames));
  }
  EXPECT_EQ(rig.loop.stats().num_preemptions, 1U);
  EXPECT_EQ(rig.control->most_draws(), 2);
}

// Beside a free place too: the first frame takes no longer than alone.
TEST_P(LoopPreempt, LowerPrioritiesStayOutUntilTheFirstStep) {
  LoopRig rig(single(2, 1));
  const FakeHandle low = start_low(rig, request_of(1, 20));
  const FakeHandle high = rig.submit(with_priority(2, 20, 1));
  rig.control->permit(1 +
                      GetParam());  // a launch that was planned before, and that of the first step
  EXPECT_EQ(high.next()->codes.values, fake_codes(2, 1));
  rig.control->await_launches(4 + GetParam());  // so the last one is published
  const ExecutorStats stats = rig.loop.stats();
  ASSERT_EQ(stats.requests.size(), 2U);
  EXPECT_EQ(stats.requests[0].num_generated_tokens, 2 * 3);
  EXPECT_EQ(stats.num_preempted_requests, 0);
  rig.control->release();
  EXPECT_EQ(high.result().codes.values, fake_codes(2, 20));
  EXPECT_EQ(low.result().codes.values, fake_codes(1, 20));
  EXPECT_EQ(rig.control->most_draws(), 2);
}

TEST_P(LoopPreempt, StatsNameThePaused) {
  LoopRig rig(single());
  const FakeHandle low = start_low(rig, request_of(1, 20));
  const FakeHandle high = rig.submit(with_priority(2, 20, 1));
  rig.control->permit(3);
  EXPECT_EQ(high.next()->codes.values, fake_codes(2, 1));
  rig.control->await_launches(6);
  const ExecutorStats stats = rig.loop.stats();
  EXPECT_EQ(stats.num_preempted_requests, 1);
  EXPECT_EQ(stats.num_active_requests, 2);
  EXPECT_EQ(stats.max_num_active_requests, 2);
  ASSERT_EQ(stats.requests.size(), 2U);
  EXPECT_TRUE(stats.requests[0].paused);
  EXPECT_EQ(stats.requests[0].stage, RequestStage::generation_in_progress);
  EXPECT_FALSE(stats.requests[1].paused);
}

TEST_P(LoopPreempt, APausedOneMayBeCancelled) {
  LoopRig rig(single());
  const FakeHandle low = start_low(rig, request_of(1, 20));
  const FakeHandle high = rig.submit(with_priority(2, 20, 1));
  rig.control->permit(3);
  high.next();  // so the other one is paused
  low.cancel();
  rig.control->permit(3);
  const Result cancelled = low.result();  // while the other one runs
  EXPECT_EQ(cancelled.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(cancelled.codes.values, fake_codes(1, static_cast<std::int32_t>(cancelled.codes.rows)));
  EXPECT_FALSE(high.is_done());
  EXPECT_EQ(rig.loop.stats().num_preempted_requests, 0);
  rig.control->release();
  EXPECT_EQ(high.result().codes.values, fake_codes(2, 20));
}

TEST_P(LoopPreempt, APausedOneKeepsItsDeadline) {
  LoopRig rig(single());
  rig.control->delay_up_to(4000);
  Request request = request_of(1, 20);
  request.deadline = 0.02;
  const FakeHandle low = rig.submit(std::move(request));
  std::vector<FakeHandle> highs;
  for (std::uint64_t seed = 2; seed < 6; ++seed)
    highs.push_back(rig.submit(with_priority(seed, 20, 1)));
  const Result late = low.result();
  EXPECT_EQ(late.finish_reason, FinishReason::deadline);
  EXPECT_EQ(late.codes.values, fake_codes(1, static_cast<std::int32_t>(late.codes.rows)));
  for (std::uint64_t seed = 2; seed < 6; ++seed)
    EXPECT_EQ(highs[seed - 2].result().codes.values, fake_codes(seed, 20));
}

TEST_P(LoopPreempt, CloseEndsPausedOnes) {
  for (const bool drain : {true, false}) {
    LoopRig rig(single());
    const FakeHandle low = start_low(rig, request_of(1, 20));
    const FakeHandle high = rig.submit(with_priority(2, 20, 1));
    rig.control->permit(3);
    high.next();
    std::thread closing([&] { rig.loop.close(drain); });
    while (is_open(rig.loop)) std::this_thread::yield();
    rig.control->release();
    closing.join();
    ASSERT_TRUE(low.is_done() && high.is_done());
    const Result result = low.result();
    EXPECT_EQ(result.codes.values, fake_codes(1, static_cast<std::int32_t>(result.codes.rows)));
    EXPECT_EQ(result.finish_reason, drain ? FinishReason::length : FinishReason::cancelled);
    EXPECT_TRUE(!drain || result.codes.rows == 20);
    EXPECT_EQ(rig.loop.stats().kv_cache_stats.used_num_blocks, 0);
  }
}

// The cache holds one request at a time: pausing frees no block, so a larger priority waits.
TEST_P(LoopPreempt, WithoutBlocksNobodyPauses) {
  FakeOptions options = single();
  options.num_blocks = 8;
  LoopRig rig(options);
  const FakeHandle low = start_low(rig, request_of(1, 20));
  const FakeHandle high = rig.submit(with_priority(2, 20, 1));
  rig.control->release();
  EXPECT_EQ(low.result().codes.values, fake_codes(1, 20));
  EXPECT_EQ(high.result().codes.values, fake_codes(2, 20));
  EXPECT_EQ(rig.loop.stats().num_preemptions, 0U);
}

TEST_P(LoopPreempt, AFailedDeviceEndsPausedOnes) {
  LoopRig rig(single());
  const FakeHandle low = start_low(rig, request_of(1, 20));
  const FakeHandle high = rig.submit(with_priority(2, 20, 1));
  rig.control->permit(3);
  high.next();
  rig.control->fail_by([](std::int64_t) { return Fail::device; });
  rig.control->release();
  EXPECT_EQ(low.result().finish_reason, FinishReason::error);
  EXPECT_EQ(high.result().finish_reason, FinishReason::error);
  EXPECT_EQ(rig.loop.stats().num_preempted_requests, 0);
}

// A paused request may be part of a batch between two parts, and may have brought the rows of a
// prefix that others wait for.
TEST_P(LoopPreempt, PausesBetweenPartsAndWithinAPrefix) {
  for (std::int32_t frames = 1; frames < 12; ++frames) {
    FakeOptions options = single(2, 2);
    options.programs = test::small_programs(4);
    options.row_seconds = 0.3;
    LoopOptions loop_options = LoopRig::kDefaults;
    loop_options.prefill_slice_seconds = 0.5;
    LoopRig rig(options, loop_options);
    rig.control->hold();
    std::vector<FakeHandle> handles;
    std::vector<std::int32_t> lengths;
    for (std::int32_t i = 0; i < 12; ++i) {
      Request request = with_priority(static_cast<std::uint64_t>(i), frames + i % 3, i / 3);
      request.cfg_scale = 2.0F;
      request.voice.emplace(i % 2);
      lengths.push_back(*request.max_frames);
      handles.push_back(rig.submit(std::move(request)));
      rig.control->permit(i % 4);
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
    rig.control->release();
    for (std::size_t i = 0; i < handles.size(); ++i)
      ASSERT_EQ(handles[i].result().codes.values, fake_codes(i, lengths[i])) << i;
    EXPECT_LE(rig.control->most_draws(), 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Depths, LoopPreempt, ::testing::Values(1, 2));

}  // namespace
}  // namespace ttsrt::executor
