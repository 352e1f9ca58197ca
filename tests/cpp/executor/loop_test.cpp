// The loop on a network that computes nothing: who runs beside whom, in which order, and what comes
// out.
#include "executor/loop.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/errors.h"
#include "support/loop_rig.h"

namespace ttsrt::executor {
namespace {

using test::fake_codes;
using test::FakeHandle;
using test::FakeOptions;
using test::LoopRig;
using test::request_of;

TEST(Loop, OneRequestToItsLength) {
  LoopRig rig;
  const Result result = rig.submit(request_of(3, 7)).result();
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_EQ(result.codes.rows, 7);
  EXPECT_EQ(result.codes.values, fake_codes(3, 7));
  EXPECT_EQ(result.metrics.steps, 7);
  EXPECT_TRUE(result.error.empty());
}

TEST(Loop, SpeechEndsAtItsEndFrame) {
  FakeOptions options;
  options.end_step = [](std::uint64_t seed) { return static_cast<std::int32_t>(seed); };
  LoopRig rig(std::move(options));
  for (const std::int32_t frames : {0, 1, 6}) {
    const Result result = rig.submit(request_of(static_cast<std::uint64_t>(frames), 20)).result();
    EXPECT_EQ(result.finish_reason, FinishReason::stop);
    EXPECT_EQ(result.codes.values, fake_codes(static_cast<std::uint64_t>(frames), frames));
    EXPECT_EQ(result.metrics.steps, frames + 1);
  }
}

TEST(Loop, StacksGiveWholeFrames) {
  FakeOptions options;
  options.facts.frame_stacking = 2;
  options.end_step = [](std::uint64_t) { return 3; };
  options.end_frame = 1;
  LoopRig rig(std::move(options));
  const Result result = rig.submit(request_of(1, 20)).result();
  EXPECT_EQ(result.codes.rows, 7);  // three stacks of two, and one frame of the fourth
  EXPECT_EQ(rig.submit(request_of(1, 5)).result().codes.rows, 4);  // whole stacks of five frames
}

// Mixed lengths, guidance, priors that are recomputed: each gives what it gives alone. The fake
// checks every cached row.
TEST(Loop, ManyInFlightEachAsAlone) {
  FakeOptions options;
  options.end_step = [](std::uint64_t seed) {
    return seed % 5 == 0 ? static_cast<std::int32_t>(seed % 11) : -1;
  };
  LoopRig rig(std::move(options));
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Request request = request_of(seed, 1 + static_cast<std::int32_t>(seed * 5 % 20));
    request.voice.emplace(static_cast<std::int32_t>(seed % 2));
    if (seed % 3 != 0) request.cfg_scale = 2.0F;
    if (seed % 4 == 0) {
      request.use_default_prior = false;
      request.prior = AttentionPrior{};
      request.prior->recompute = seed % 8 == 0;
    }
    handles.push_back(rig.submit(std::move(request)));
  }
  for (std::uint64_t seed = 0; seed < handles.size(); ++seed) {
    const Result result = handles[seed].result();
    ASSERT_NE(result.finish_reason, FinishReason::error) << result.error;
    ASSERT_EQ(result.codes.values, fake_codes(seed, static_cast<std::int32_t>(result.codes.rows)));
    const auto whole = 1 + static_cast<std::int64_t>(seed * 5 % 20);
    ASSERT_TRUE(result.codes.rows == whole || seed % 5 == 0) << seed;
  }
}

TEST(Loop, SlotsAreFilled) {
  LoopRig rig;
  rig.control->hold();
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 5; ++seed)
    handles.push_back(rig.submit(request_of(seed, 15)));
  rig.control->await_launches(1);
  rig.control->release();
  for (const FakeHandle& handle : handles) handle.result();
  EXPECT_EQ(rig.control->most_draws(), 3);
}

TEST(Loop, EventsConcatenatedAreTheResult) {
  LoopRig rig;
  for (const std::int32_t chunk : {1, 3, 50}) {
    Request request = request_of(9, 20);
    request.chunk_frames = chunk;
    const FakeHandle handle = rig.submit(std::move(request));
    std::vector<std::int32_t> codes;
    std::int32_t frames = 0;
    bool is_last = false;
    while (const std::optional<Event> event = handle.next()) {
      ASSERT_FALSE(is_last);
      EXPECT_EQ(event->first_frame, frames);
      EXPECT_TRUE(event->is_last || event->codes.rows == chunk);
      is_last = event->is_last;
      frames += static_cast<std::int32_t>(event->codes.rows);
      codes.insert(codes.end(), event->codes.values.begin(), event->codes.values.end());
      EXPECT_EQ(event->finish_reason, is_last ? FinishReason::length : FinishReason::stop);
    }
    EXPECT_TRUE(is_last);
    EXPECT_EQ(codes, handle.result().codes.values);
    EXPECT_EQ(codes, fake_codes(9, 20));
  }
}

TEST(Loop, AlignmentAndFocus) {
  LoopRig rig;
  Request request = request_of(1, 3);
  request.return_alignment = true;
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  const Result result = rig.submit(std::move(request)).result();
  EXPECT_EQ(result.alignment.rows, 3);
  EXPECT_EQ(result.alignment.values, (std::vector<float>{0, 1, 2, 100, 101, 102, 200, 201, 202}));
  EXPECT_EQ(result.focus, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_TRUE(rig.submit(request_of(1, 3)).result().focus.empty());
}

TEST(Loop, LargerPriorityFirstThenOlder) {
  FakeOptions options;
  options.slots = 1;
  LoopRig rig(std::move(options));
  rig.control->hold();
  std::vector<FakeHandle> handles = {};
  handles.push_back(rig.submit(request_of(100, 1)));
  rig.control->await_launches(1);  // the slot is taken
  const std::int32_t priorities[] = {0, 5, -1, 5, 0};
  for (std::uint64_t i = 0; i < 5; ++i) {
    Request request = request_of(i, 1);
    request.priority = priorities[i];
    handles.push_back(rig.submit(std::move(request)));
  }
  rig.control->release();
  for (const FakeHandle& handle : handles) handle.result();
  EXPECT_EQ(rig.control->admitted(), (std::vector<std::uint64_t>{100, 1, 3, 0, 4, 2}));
}

TEST(Loop, AFullQueueIsACapacityError) {
  FakeOptions options;
  options.slots = 1;
  LoopRig rig(std::move(options), {.max_queue_size = 2});
  rig.control->hold();
  const FakeHandle running = rig.submit(request_of(0, 1));
  rig.control->await_launches(1);
  const FakeHandle first = rig.submit(request_of(1, 1));
  const FakeHandle second = rig.submit(request_of(2, 1));
  EXPECT_TRUE(
      test::throws_naming<CapacityError>("max_queue_size", [&] { rig.submit(request_of(3, 1)); }));
  EXPECT_EQ(rig.loop.stats().num_queued_requests, 2);
  rig.control->release();
  EXPECT_EQ(second.result().finish_reason, FinishReason::length);
  EXPECT_NO_THROW(rig.submit(request_of(3, 1)).result());
}

// Blocks for one request at a time: the others wait for them, not for a slot.
TEST(Loop, RequestsWaitForBlocks) {
  FakeOptions options;
  options.num_blocks = 16;  // 3 + 20 positions in blocks of 4: 6 a branch, 13 guided
  LoopRig rig(std::move(options));
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Request request = request_of(seed, 20);
    request.cfg_scale = 2.0F;
    request.voice.emplace(static_cast<std::int32_t>(seed % 2));
    handles.push_back(rig.submit(std::move(request)));
  }
  for (const FakeHandle& handle : handles)
    EXPECT_EQ(handle.result().finish_reason, FinishReason::length);
  EXPECT_EQ(rig.control->most_draws(), 1);
}

TEST(Loop, StatsCount) {
  LoopRig rig;
  EXPECT_EQ(rig.loop.stats().max_num_active_requests, 3);
  EXPECT_EQ(rig.loop.stats().kv_cache_stats.max_num_blocks, 120);
  EXPECT_EQ(rig.loop.stats().kv_cache_stats.tokens_per_block, 4);
  for (std::uint64_t seed = 0; seed < 4; ++seed) rig.submit(request_of(seed, 5)).result();
  const ExecutorStats stats =
      rig.loop.stats();  // an ended request is counted before its caller hears of it
  EXPECT_EQ(stats.num_submitted, 4U);
  EXPECT_EQ(stats.num_completed, 4U);
  EXPECT_EQ(stats.num_frames, 20U);
  EXPECT_EQ(stats.num_iterations, 20U);
  EXPECT_EQ(stats.num_active_requests, 0);
  EXPECT_EQ(stats.kv_cache_stats.used_num_blocks, 0);
  EXPECT_EQ(stats.kv_cache_stats.free_num_blocks, 120);
}

// Whoever is in flight is counted, in the first launch too.
TEST(Loop, StatsKnowWhoRunsFromTheFirstLaunchOn) {
  LoopRig rig;
  rig.control->hold();
  const FakeHandle handle = rig.submit(request_of(1, 3));
  rig.control->await_launches(1);
  const ExecutorStats stats = rig.loop.stats();
  EXPECT_EQ(stats.num_queued_requests, 0);
  EXPECT_EQ(stats.num_active_requests, 1);
  ASSERT_EQ(stats.requests.size(), 1U);
  EXPECT_EQ(stats.requests[0].id, handle.ticketed->channel->id());
  EXPECT_EQ(stats.requests[0].stage, RequestStage::encoder_in_progress);
  rig.control->release();
  handle.result();
  EXPECT_EQ(rig.loop.stats().num_active_requests, 0);
}

TEST(Loop, ManyCallersAtOnce) {
  LoopRig rig({}, {.max_queue_size = 1000});
  std::vector<std::thread> callers;
  for (std::uint64_t caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&rig, caller] {
      for (std::uint64_t i = 0; i < 20; ++i) {
        const std::uint64_t seed = caller * 100 + i;
        const FakeHandle handle = rig.submit(request_of(seed, 6));
        if (i % 3 == 0) handle.cancel();
        const Result result = handle.result();
        EXPECT_EQ(result.codes.values,
                  fake_codes(seed, static_cast<std::int32_t>(result.codes.rows)));
        rig.loop.stats();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  const ExecutorStats stats = rig.loop.stats();
  EXPECT_EQ(stats.num_completed + stats.num_cancelled, 80U);
}

}  // namespace
}  // namespace ttsrt::executor
