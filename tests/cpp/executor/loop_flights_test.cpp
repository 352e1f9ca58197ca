// Two launches in flight: requests are planned ahead of what came back, and each still gives what
// it gives alone, through random delays, cancels and failures.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

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

FakeOptions two_in_flight() {
  FakeOptions options;
  options.depth = 2;
  return options;
}

TEST(LoopFlights, TheNextStepIsLaunchedBeforeTheLastCameBack) {
  LoopRig rig(two_in_flight());
  rig.control->delay_up_to(2000);
  const Result result = rig.submit(request_of(3, 20)).result();
  EXPECT_EQ(result.codes.values, fake_codes(3, 20));
  EXPECT_EQ(result.metrics.steps, 20);
  EXPECT_EQ(rig.control->most_open(), 2);
  EXPECT_EQ(rig.control->num_launches(), 20);  // no step beyond the last is launched
}

TEST(LoopFlights, AStepBeyondTheEndIsDropped) {
  FakeOptions options = two_in_flight();
  options.end_step = [](std::uint64_t) { return 4; };
  LoopRig rig(options);
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    const Result result = rig.submit(request_of(seed, 20)).result();
    EXPECT_EQ(result.finish_reason, FinishReason::stop);
    EXPECT_EQ(result.codes.values, fake_codes(seed, 4));
    EXPECT_EQ(result.metrics.steps, 5);
    // The slot and the blocks are free before the caller hears of the end.
    const ExecutorStats stats = rig.loop.stats();
    EXPECT_EQ(stats.num_active_requests, 0);
  }
  EXPECT_EQ(rig.control->num_launches(), 5 * 6);  // one beyond each end
}

TEST(LoopFlights, ARecomputedPriorWaitsForItsOwnStep) {
  LoopRig rig(two_in_flight());
  Request request = request_of(5, 12);
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  request.prior->recompute = true;
  request.cfg_scale = 2.0F;
  const FakeHandle other = rig.submit(request_of(6, 18));
  EXPECT_EQ(rig.submit(std::move(request)).result().codes.values, fake_codes(5, 12));
  EXPECT_EQ(other.result().codes.values, fake_codes(6, 18));
}

TEST(LoopFlights, AFailedRunCostsItsOwnRequests) {
  LoopRig rig(two_in_flight());
  rig.control->fail_by([](std::int64_t launch) { return launch == 5 ? Fail::run : Fail::none; });
  const Result failed = rig.submit(request_of(1, 20)).result();
  EXPECT_EQ(failed.finish_reason, FinishReason::error);
  EXPECT_NE(failed.error.find("the run failed"), std::string::npos) << failed.error;
  EXPECT_EQ(failed.codes.values, fake_codes(1, 4));  // what came back before is kept
  EXPECT_EQ(rig.submit(request_of(2, 6)).result().codes.values, fake_codes(2, 6));
}

// A shared prefix that a failed launch should have filled is never read.
TEST(LoopFlights, AFailedRunBreaksTheSharedPrefix) {
  LoopRig rig(two_in_flight());
  rig.control->fail_by([](std::int64_t launch) { return launch == 1 ? Fail::run : Fail::none; });
  rig.control->delay_up_to(1000);
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Request request = request_of(seed, 8);
    request.cfg_scale = 2.0F;
    handles.push_back(rig.submit(std::move(request)));
  }
  std::int32_t failed = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Result result = handles[seed].result();
    if (result.finish_reason == FinishReason::error) {
      ++failed;
      EXPECT_NE(result.error.find("the run failed"), std::string::npos) << result.error;
    } else {
      EXPECT_EQ(result.codes.values, fake_codes(seed, 8));
    }
  }
  EXPECT_GE(failed, 1);
  EXPECT_LE(failed, 3);  // those that ran; the others found a prefix of their own
}

TEST(LoopFlights, ADeviceThatIsGoneEndsAllAtOnce) {
  LoopRig rig(two_in_flight());
  rig.control->fail_by([](std::int64_t launch) { return launch == 7 ? Fail::device : Fail::none; });
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    handles.push_back(rig.submit(request_of(seed, 20)));
  for (const FakeHandle& handle : handles) {
    const Result result = handle.result();
    EXPECT_EQ(result.finish_reason, FinishReason::error);
    EXPECT_NE(result.error.find("fell off"), std::string::npos) << result.error;
  }
  EXPECT_THROW(rig.submit(request_of(1, 1)), DeviceError);
}

TEST(LoopFlights, CloseLetsNothingGoLost) {
  for (std::uint32_t delay = 0; delay < 400; delay += 40) {
    LoopRig rig(two_in_flight());
    rig.control->delay_up_to(1 + delay);
    std::vector<FakeHandle> handles;
    for (std::uint64_t seed = 0; seed < 7; ++seed)
      handles.push_back(rig.submit(request_of(seed, 20)));
    handles[0].next();
    rig.loop.close(delay % 80 == 0);
    for (const FakeHandle& handle : handles) EXPECT_TRUE(handle.is_done());
  }
}

// One mix: requests of every kind come, some are cancelled, some launches fail; whoever comes to
// its end gives what it gives alone, the others what they had.
struct Mix {
  explicit Mix(std::uint64_t seed, std::int32_t depth) : random(seed) {
    FakeOptions options;
    options.depth = depth;
    options.paused_slots = pick(3);
    options.slots = 1 + pick(4) + options.paused_slots;
    options.programs = small_programs(1 + pick(4));
    options.row_seconds = pick(2) == 0 ? 0.0 : 0.3;
    options.num_blocks = 40 + pick(120);
    const std::int32_t ends = pick(3);
    options.end_step = [ends](std::uint64_t of) {
      return ends > 0 && of % 3 == 0 ? static_cast<std::int32_t>(of % 13) : -1;
    };
    LoopOptions loop_options = LoopRig::kDefaults;
    loop_options.prefill_slice_seconds = pick(2) == 0 ? 0.0 : 0.5;
    loop_options.max_queue_size = 1 << 10;
    rig = std::make_unique<LoopRig>(options, loop_options);
    end_step = options.end_step;
    rig->control->delay_up_to(static_cast<std::uint32_t>(pick(3) * 60));
    const std::int32_t fails = pick(4);
    const std::int32_t period = 5 + pick(40);
    rig->control->fail_by([fails, period](std::int64_t launch) {
      if (fails < 2 || launch % period != 0) return Fail::none;
      return fails == 2 ? Fail::run : Fail::launch;
    });
    may_fail = fails >= 2;
  }

  std::int32_t pick(std::int32_t below) {
    return static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(below));
  }

  Request request(std::uint64_t seed, std::int32_t frames) {
    Request request = request_of(seed, frames);
    request.voice.emplace(pick(2));
    request.chunk_frames = 1 + pick(5);
    request.priority = pick(3);
    if (pick(3) > 0) request.cfg_scale = 2.0F;
    if (pick(3) == 0) {
      request.use_default_prior = false;
      request.prior = AttentionPrior{};
      request.prior->recompute = pick(2) == 0;
    }
    return request;
  }

  void run() {
    struct Sent {
      FakeHandle handle;
      std::uint64_t seed = 0;
      std::int32_t frames = 0;
      bool is_cancelled = false;
    };
    std::vector<Sent> sent;
    const std::int32_t count = 4 + pick(14);
    for (std::int32_t i = 0; i < count; ++i) {
      const auto seed = static_cast<std::uint64_t>(pick(1000));
      const std::int32_t frames = 1 + pick(20);
      sent.push_back({rig->submit(request(seed, frames)), seed, frames, pick(5) == 0});
      if (sent.back().is_cancelled && pick(2) == 0) sent.back().handle.cancel();
      if (pick(4) == 0) sent[static_cast<std::size_t>(pick(i + 1))].handle.next();
    }
    for (Sent& of : sent) {
      if (of.is_cancelled) of.handle.cancel();
    }
    for (const Sent& of : sent) check(of.handle.result(), of.seed, of.frames, of.is_cancelled);
    const ExecutorStats stats = rig->loop.stats();
    EXPECT_EQ(stats.num_active_requests, 0);
    EXPECT_EQ(stats.num_completed + stats.num_cancelled + stats.num_failed,
              static_cast<std::uint64_t>(count));
  }

  void check(const Result& result, std::uint64_t seed, std::int32_t frames, bool is_cancelled) {
    const auto made = static_cast<std::int32_t>(result.codes.rows);
    EXPECT_EQ(result.codes.values, fake_codes(seed, made)) << result.error;
    switch (result.finish_reason) {
      case FinishReason::length:
        EXPECT_EQ(made, frames);
        break;
      case FinishReason::stop:
        EXPECT_EQ(made, end_step(seed));
        break;
      case FinishReason::cancelled:
        EXPECT_TRUE(is_cancelled);
        break;
      default:
        EXPECT_TRUE(may_fail) << result.error;
        EXPECT_NE(result.error.find("failed"), std::string::npos) << result.error;
    }
  }

  std::mt19937_64 random;
  std::unique_ptr<LoopRig> rig;
  std::function<std::int32_t(std::uint64_t)> end_step;
  bool may_fail = false;
};

std::uint64_t num_mixes() {
  const char* asked = std::getenv("TTSRT_FAKE_MIXES");
  return asked == nullptr ? 300 : std::strtoull(asked, nullptr, 10);
}

class LoopMixes : public ::testing::TestWithParam<std::int32_t> {};

TEST_P(LoopMixes, EachAsAlone) {
  for (std::uint64_t seed = 0; seed < num_mixes(); ++seed) {
    Mix mix(seed, GetParam());
    mix.run();
    ASSERT_FALSE(HasFailure()) << "mix " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Depths, LoopMixes, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace ttsrt::executor
