// Encoders and prefill in slices of time: they stop and go on beside requests that decode, and what
// ends meanwhile leaves nothing behind.
#include <gtest/gtest.h>

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
using test::small_programs;

// Five layers of encoders; a slice is shorter than any of them.
FakeOptions five_layers() {
  FakeOptions options;
  options.programs = small_programs(5);
  options.row_seconds = 1.0;
  return options;
}

constexpr LoopOptions kShortSlices = {
    .max_queue_size = 64, .prefill_slice_seconds = 0.5, .iter_stats_max_iterations = 100};

// A rig where request 1 decodes and is held, with so many launches done.
struct Decoding {
  LoopRig rig{five_layers(), kShortSlices};
  FakeHandle first;

  Decoding() {
    rig.control->hold();
    first = rig.submit(request_of(1, 18));
    rig.control->permit(1);
    rig.control->await_launches(2);  // the first is done, the second held
  }
  // Lets so many launches end; the next is held again.
  void go(std::int64_t launches) {
    const std::int64_t begun = rig.control->num_launches();
    rig.control->permit(launches);
    rig.control->await_launches(begun + launches);
  }
};

TEST(LoopSlices, AnEncoderStopsAtEveryLayerAndOthersDecode) {
  Decoding at;
  const FakeHandle second = at.rig.submit(request_of(2, 3));
  at.go(1);  // the launch that was held before the second came
  at.go(4);  // four of five layers
  const ExecutorStats stats = at.rig.loop.stats();
  ASSERT_EQ(stats.requests.size(), 2U);
  EXPECT_EQ(stats.requests[1].stage, RequestStage::encoder_in_progress);
  EXPECT_TRUE(stats.requests[1].scheduled);
  EXPECT_EQ(stats.requests[0].stage, RequestStage::generation_in_progress);
  EXPECT_EQ(stats.requests[0].num_generated_tokens, 2 * 6);  // a frame in every launch
  at.rig.control->release();
  EXPECT_EQ(second.result().codes.values, fake_codes(2, 3));
  EXPECT_EQ(at.first.result().codes.values, fake_codes(1, 18));
}

TEST(LoopSlices, WhoEndsWhilePausedLeavesTheOthers) {
  Decoding at;
  const FakeHandle gone = at.rig.submit(request_of(2, 3));
  const FakeHandle stays = at.rig.submit(request_of(3, 4));
  at.go(1);
  at.go(2);
  gone.cancel();
  at.go(1);
  EXPECT_EQ(gone.result().finish_reason, FinishReason::cancelled);
  const FakeHandle late = at.rig.submit(request_of(4, 2));  // takes the slot that was left
  at.rig.control->release();
  EXPECT_EQ(stays.result().codes.values, fake_codes(3, 4));
  EXPECT_EQ(late.result().codes.values, fake_codes(4, 2));
  EXPECT_EQ(at.first.result().codes.values, fake_codes(1, 18));
  EXPECT_EQ(at.rig.loop.stats().kv_cache_stats.used_num_blocks, 0);
}

TEST(LoopSlices, ASplitBatchOfNobodyIsForgotten) {
  Decoding at;
  const FakeHandle gone = at.rig.submit(request_of(2, 3));
  at.go(1);
  at.go(2);
  gone.cancel();
  at.go(1);
  const FakeHandle next = at.rig.submit(request_of(3, 2));
  at.rig.control->release();
  EXPECT_EQ(next.result().codes.values, fake_codes(3, 2));
}

TEST(LoopSlices, AFailedLaunchForgetsWhatItPaused) {
  Decoding at;
  const FakeHandle second = at.rig.submit(request_of(2, 3));
  at.go(1);
  at.go(2);
  at.rig.control->fail_next(Fail::launch);
  at.rig.control->permit(1);
  EXPECT_EQ(second.result().finish_reason, FinishReason::error);
  EXPECT_EQ(at.first.result().finish_reason, FinishReason::error);
  const FakeHandle next = at.rig.submit(request_of(3, 2));
  at.rig.control->release();
  EXPECT_EQ(next.result().codes.values, fake_codes(3, 2));
}

TEST(LoopSlices, WithoutALimitNothingPauses) {
  LoopRig rig(five_layers());
  const FakeHandle first = rig.submit(request_of(1, 6));
  const FakeHandle second = rig.submit(request_of(2, 6));
  first.result();
  second.result();
  EXPECT_LE(rig.loop.stats().num_iterations, 12U);
}

TEST(LoopStats, IterationsAndRequests) {
  Decoding at;
  const FakeHandle second = at.rig.submit(request_of(2, 3));
  at.go(1);
  at.go(1);
  const ExecutorStats stats = at.rig.loop.stats();
  EXPECT_EQ(stats.iterations.size(), stats.num_iterations);
  const IterationStats& first = stats.iterations.front();
  EXPECT_EQ(first.iter, 1U);
  EXPECT_EQ(first.num_new_active_requests, 1);
  EXPECT_EQ(first.num_frames, 1);
  EXPECT_EQ(first.inflight_batching_stats.num_gen_requests, 1);
  EXPECT_EQ(first.inflight_batching_stats.num_ctx_tokens, 3 + 3);  // text and voice
  EXPECT_GT(first.device_latency_ms, 0.0);
  const IterationStats& last = stats.iterations.back();
  EXPECT_EQ(last.inflight_batching_stats.num_scheduled_requests, 2);
  EXPECT_EQ(last.inflight_batching_stats.num_context_requests, 1);
  EXPECT_EQ(last.num_active_requests, 2);
  EXPECT_GT(last.timestamp, 1.5e9);
  EXPECT_GT(last.kv_cache_stats.used_num_blocks, 0);
  EXPECT_EQ(last.kv_cache_stats.alloc_total_blocks,
            last.kv_cache_stats.alloc_new_blocks + last.kv_cache_stats.reused_blocks);
  EXPECT_EQ(stats.requests[0].id, at.first.ticketed->channel->id());
  at.rig.control->release();
  second.result();
  at.first.result();
  EXPECT_TRUE(at.rig.loop.stats().requests.empty());
}

TEST(LoopStats, OnlyTheLatestIterationsAreKept) {
  LoopRig rig({}, {.iter_stats_max_iterations = 4});
  rig.submit(request_of(1, 10)).result();
  const ExecutorStats stats = rig.loop.stats();
  ASSERT_EQ(stats.iterations.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(stats.iterations[i].iter, 7 + i);
  LoopRig none({}, {});
  none.submit(request_of(1, 10)).result();
  EXPECT_TRUE(none.loop.stats().iterations.empty());
}

TEST(LoopStats, WhoWaitsIsListed) {
  FakeOptions options;
  options.slots = 1;
  LoopRig rig(std::move(options), {.max_queue_size = 1});
  rig.control->hold();
  const FakeHandle first = rig.submit(request_of(1, 2));
  rig.control->await_launches(1);
  const FakeHandle second = rig.submit(request_of(2, 2));
  EXPECT_THROW(rig.submit(request_of(3, 2)), CapacityError);
  const ExecutorStats stats = rig.loop.stats();
  EXPECT_EQ(stats.num_refused, 1U);
  EXPECT_EQ(stats.num_queued_requests, 1);
  EXPECT_EQ(stats.requests.back().stage, RequestStage::queued);
  rig.control->release();
  second.result();
}

}  // namespace
}  // namespace ttsrt::executor
