// How requests and the loop end before their time: cancel, deadline, failure, close.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "executor/loop.h"
#include "support/errors.h"
#include "support/loop_rig.h"

namespace ttsrt::executor {
namespace {

using test::Fail;
using test::fake_codes;
using test::FakeHandle;
using test::FakeOptions;
using test::LoopRig;
using test::request_of;
using test::throws_naming;

FakeOptions one_slot() {
  FakeOptions options;
  options.slots = 1;
  options.facts.max_seq_len = 1 << 19;  // long enough that nothing ends by itself
  options.num_blocks = 1 << 18;
  return options;
}

constexpr std::int32_t kEndless = 400000;

void expect_empty(LoopRig& rig) {
  const ExecutorStats stats = rig.loop.stats();
  EXPECT_EQ(stats.num_active_requests, 0);
  EXPECT_EQ(stats.kv_cache_stats.used_num_blocks, 0);
}

TEST(LoopCancel, WhileItRuns) {
  LoopRig rig(one_slot());
  const FakeHandle handle = rig.submit(request_of(2, kEndless));
  ASSERT_TRUE(handle.next().has_value());
  handle.cancel();
  handle.cancel();  // again changes nothing
  const Result result = handle.result();
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_GE(result.codes.rows, 1);  // what was made is kept
  EXPECT_EQ(result.codes.values, fake_codes(2, static_cast<std::int32_t>(result.codes.rows)));
  EXPECT_EQ(rig.loop.stats().num_cancelled, 1U);
  expect_empty(rig);
  EXPECT_EQ(rig.submit(request_of(3, 2)).result().codes.values,
            fake_codes(3, 2));  // in the slot it left
}

TEST(LoopCancel, EndsWithinTwoSteps) {
  LoopRig rig(one_slot());
  rig.control->hold();
  const FakeHandle handle = rig.submit(request_of(2, kEndless));
  rig.control->permit(5);
  rig.control->await_launches(6);
  handle.cancel();
  rig.control->release();
  EXPECT_EQ(handle.result().codes.rows, 6);  // the launch that was under way, and none more
}

TEST(LoopCancel, BeforeItRuns) {
  LoopRig rig(one_slot());
  rig.control->hold();
  const FakeHandle running = rig.submit(request_of(1, 3));
  rig.control->await_launches(1);
  const FakeHandle waiting = rig.submit(request_of(2, 3));
  waiting.cancel();
  rig.control->release();
  const Result result = waiting.result();
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(result.codes.rows, 0);
  EXPECT_EQ(result.codes.cols, 2);
  EXPECT_TRUE(waiting.next()->is_last);
  EXPECT_EQ(running.result().codes.rows, 3);
  EXPECT_EQ(rig.control->admitted(), (std::vector<std::uint64_t>{1}));
}

TEST(LoopCancel, DroppingTheHandle) {
  LoopRig rig(one_slot());
  std::shared_ptr<Channel> channel;
  {
    const FakeHandle handle = rig.submit(request_of(2, kEndless));
    channel = handle.ticketed->channel;
    ASSERT_TRUE(handle.next().has_value());
  }
  EXPECT_EQ(channel->result(std::nullopt)->finish_reason, FinishReason::cancelled);
}

TEST(LoopCancel, FreesEveryBlockOfGuidedOnes) {
  FakeOptions options;
  options.facts.max_seq_len = 1 << 12;
  options.num_blocks = 3 * (2 * 1024 + 2);
  LoopRig rig(std::move(options));
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    Request request = request_of(seed, 4000);
    request.cfg_scale = 2.0F;
    handles.push_back(rig.submit(std::move(request)));
  }
  for (const FakeHandle& handle : handles) ASSERT_TRUE(handle.next().has_value());
  for (const FakeHandle& handle : handles) handle.cancel();
  for (const FakeHandle& handle : handles) handle.result();
  // The shared prefix of three rows stays for the next who wants it.
  EXPECT_EQ(rig.loop.stats().kv_cache_stats.used_num_blocks, 1);
}

TEST(LoopDeadline, WhileItRuns) {
  LoopRig rig(one_slot());
  Request request = request_of(2, kEndless);
  request.deadline = 0.02;
  const Result result = rig.submit(std::move(request)).result();
  EXPECT_EQ(result.finish_reason, FinishReason::deadline);
  EXPECT_EQ(result.codes.values, fake_codes(2, static_cast<std::int32_t>(result.codes.rows)));
  EXPECT_GE(result.metrics.total_seconds, 0.02);
  expect_empty(rig);
}

TEST(LoopDeadline, WhileItWaits) {
  LoopRig rig(one_slot());
  const FakeHandle running = rig.submit(request_of(1, kEndless));
  ASSERT_TRUE(running.next().has_value());
  Request request = request_of(2, 3);
  request.deadline = 0.01;
  const Result result = rig.submit(std::move(request)).result();
  EXPECT_EQ(result.finish_reason, FinishReason::deadline);
  EXPECT_EQ(result.codes.rows, 0);
  EXPECT_FALSE(running.is_done());
}

TEST(LoopFailure, ALaunchCostsItsRequestsAlone) {
  LoopRig rig;
  rig.control->hold();
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    Request request = request_of(seed, 4);
    request.cfg_scale = 2.0F;
    handles.push_back(rig.submit(std::move(request)));
    if (seed == 0) rig.control->await_launches(1);  // alone in the first launch
  }
  rig.control->fail_next(Fail::launch);
  rig.control->release();
  const Result failed = handles[0].result();
  EXPECT_EQ(failed.finish_reason, FinishReason::error);
  EXPECT_EQ(failed.error, "the launch failed");
  for (std::uint64_t seed = 1; seed < 5; ++seed)
    EXPECT_EQ(handles[seed].result().codes.values, fake_codes(seed, 4));
  const ExecutorStats stats = rig.loop.stats();
  EXPECT_EQ(stats.num_failed, 1U);
  EXPECT_EQ(stats.num_completed, 4U);
}

TEST(LoopFailure, InTheMiddleKeepsWhatWasMade) {
  LoopRig rig(one_slot());
  rig.control->hold();
  const FakeHandle handle = rig.submit(request_of(1, 10));
  rig.control->permit(4);
  rig.control->await_launches(5);
  rig.control->fail_next(Fail::launch);
  rig.control->release();
  const Result result = handle.result();
  EXPECT_EQ(result.finish_reason, FinishReason::error);
  EXPECT_EQ(result.codes.values, fake_codes(1, 4));
  expect_empty(rig);
  EXPECT_EQ(rig.submit(request_of(5, 3)).result().codes.values, fake_codes(5, 3));
}

TEST(LoopFailure, ADeviceErrorEndsItAll) {
  LoopRig rig(one_slot());
  rig.control->hold();
  const FakeHandle running = rig.submit(request_of(1, 10));
  rig.control->await_launches(1);
  const FakeHandle waiting = rig.submit(request_of(2, 10));
  rig.control->fail_next(Fail::device);
  rig.control->release();
  for (const FakeHandle& handle : {running, waiting}) {
    const Result result = handle.result();
    EXPECT_EQ(result.finish_reason, FinishReason::error);
    EXPECT_EQ(result.error, "the device fell off");
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(
        throws_naming<DeviceError>("the device fell off", [&] { rig.submit(request_of(3, 1)); }));
  }
  EXPECT_EQ(rig.loop.stats().num_failed, 2U);
  rig.loop.close(true);
}

TEST(LoopClose, DrainFinishesWhatWasAccepted) {
  LoopRig rig(one_slot());
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 4; ++seed) handles.push_back(rig.submit(request_of(seed, 5)));
  rig.loop.close(true);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    ASSERT_TRUE(handles[seed].is_done());
    EXPECT_EQ(handles[seed].result().finish_reason, FinishReason::length);
    EXPECT_EQ(handles[seed].result().codes.values, fake_codes(seed, 5));
  }
  EXPECT_TRUE(throws_naming<ClosedError>("closed", [&] { rig.submit(request_of(9, 1)); }));
}

TEST(LoopClose, WithoutDrainCancels) {
  LoopRig rig(one_slot());
  const FakeHandle running = rig.submit(request_of(1, kEndless));
  const FakeHandle waiting = rig.submit(request_of(2, kEndless));
  ASSERT_TRUE(running.next().has_value());
  rig.loop.close(false);
  EXPECT_EQ(running.result().finish_reason, FinishReason::cancelled);
  EXPECT_GE(running.result().codes.rows, 1);
  EXPECT_EQ(waiting.result().finish_reason, FinishReason::cancelled);
  EXPECT_EQ(waiting.result().codes.rows, 0);
  EXPECT_THROW(rig.submit(request_of(9, 1)), ClosedError);
  rig.loop.close(false);  // idempotent, whichever way
  rig.loop.close(true);
}

TEST(LoopClose, ADrainCanBeCutShort) {
  LoopRig rig(one_slot());
  const FakeHandle running = rig.submit(request_of(1, kEndless));
  ASSERT_TRUE(running.next().has_value());
  std::thread drains([&] { rig.loop.close(true); });
  rig.loop.close(false);
  drains.join();
  EXPECT_EQ(running.result().finish_reason, FinishReason::cancelled);
}

// Whatever was accepted beside a close comes to an end, and is counted once.
TEST(LoopClose, InTheMiddleOfAFlood) {
  for (const bool drain : {true, false}) {
    LoopRig rig({}, {.max_queue_size = 4});
    std::atomic<std::uint64_t> num_accepted{0};
    std::vector<std::thread> callers;
    for (std::uint64_t caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&rig, &num_accepted, caller] {
        std::vector<FakeHandle> handles;
        for (std::uint64_t i = 0;; ++i) {
          try {
            handles.push_back(rig.submit(request_of(caller, 1 + static_cast<std::int32_t>(i % 9))));
            ++num_accepted;
            if (i % 5 == 0) handles.back().cancel();
          } catch (const CapacityError&) {
          } catch (const ClosedError&) {
            break;
          }
        }
        for (const FakeHandle& handle : handles) {
          const Result result = handle.result();
          EXPECT_NE(result.finish_reason, FinishReason::error);
          EXPECT_EQ(result.codes.values,
                    fake_codes(caller, static_cast<std::int32_t>(result.codes.rows)));
        }
      });
    }
    while (num_accepted < 50) std::this_thread::yield();
    rig.loop.close(drain);
    for (std::thread& caller : callers) caller.join();
    const ExecutorStats stats = rig.loop.stats();
    EXPECT_EQ(stats.num_submitted, num_accepted);
    EXPECT_EQ(stats.num_completed + stats.num_cancelled, num_accepted);
    EXPECT_EQ(stats.num_queued_requests, 0);
    expect_empty(rig);
  }
}

TEST(LoopClose, DestructionCancels) {
  FakeHandle handle;
  {
    LoopRig rig(one_slot());
    handle = rig.submit(request_of(1, kEndless));
    ASSERT_TRUE(handle.next().has_value());
  }
  EXPECT_EQ(handle.result().finish_reason, FinishReason::cancelled);
}

TEST(LoopClose, AWaitForTheEndCanTimeOut) {
  LoopRig rig;
  rig.control->hold();
  const FakeHandle handle = rig.submit(request_of(1, 4));
  EXPECT_FALSE(rig.loop.close(true, 0.0));
  EXPECT_FALSE(rig.loop.close(true, 0.01));
  EXPECT_FALSE(handle.is_done());
  rig.control->release();
  EXPECT_TRUE(rig.loop.close(true, 60.0));
  EXPECT_TRUE(rig.loop.close(false, 0.0));
  EXPECT_EQ(handle.result().finish_reason, FinishReason::length);
}

TEST(LoopClose, AnIdleOneCloses) {
  LoopRig rig;
  rig.loop.close(true);
  EXPECT_THROW(rig.submit(request_of(1, 1)), ClosedError);
}

}  // namespace
}  // namespace ttsrt::executor
