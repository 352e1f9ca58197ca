// Rows that come back not finite end the requests they belong to, and nobody else.
#include <gtest/gtest.h>

#include <atomic>
#include <map>

#include "support/loop_rig.h"

namespace ttsrt::executor {
namespace {

using step::FaultStage;
using test::fake_codes;
using test::FakeHandle;
using test::FakeOptions;
using test::LoopRig;
using test::request_of;

// Says for every row whether it is faulty: by its request's seed and its segment.
using IsFaulty =
    std::function<bool(std::int32_t program, std::uint64_t seed, const step::Segment&)>;

FakeOptions faulty_network(std::int32_t depth, IsFaulty is_faulty) {
  FakeOptions options;
  options.depth = depth;
  auto seeds = std::make_shared<std::map<std::int32_t, std::uint64_t>>();
  options.change = [seeds, is_faulty = std::move(is_faulty)](const step::StepBatch& batch,
                                                             step::StepOutput& output) {
    for (const step::SlotReset& reset : batch.resets)
      (*seeds)[reset.slot] = reset.rules.sampler.seed;
    for (std::size_t p = 0; p < batch.programs.size(); ++p) {
      const auto program = static_cast<std::int32_t>(p);
      for (const step::Segment& segment : batch.programs[p].segments) {
        if (segment.slot != step::kNoSlot && is_faulty(program, (*seeds)[segment.slot], segment))
          output.faults.push_back({program, segment.first_row, FaultStage::logits, -1});
      }
    }
  };
  return options;
}

constexpr std::int32_t kContext = 3;  // rows of the voice

Request guided_request(std::uint64_t seed, std::int32_t frames) {
  Request request = request_of(seed, frames);
  request.cfg_scale = 2.0F;
  return request;
}

class LoopFaults : public testing::TestWithParam<std::int32_t> {};

TEST_P(LoopFaults, AStepEndsItsRequestAndKeepsTheStepsBefore) {
  for (const step::Branch branch : {step::Branch::conditional, step::Branch::unconditional}) {
    LoopRig rig(faulty_network(GetParam(), [branch](auto program, auto seed, const auto& segment) {
      return program == test::kDecode && seed == 2 && segment.branch == branch &&
             segment.position == kContext + 3;
    }));
    std::vector<FakeHandle> handles;
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
      handles.push_back(rig.submit(guided_request(seed, 8)));
    const Result failed = handles[1].result();
    EXPECT_EQ(failed.finish_reason, FinishReason::error);
    EXPECT_EQ(failed.error, "decode, step 3: logits: expected finite numbers, got infinity or NaN");
    EXPECT_EQ(failed.codes.values, fake_codes(2, 3));
    for (const std::uint64_t seed : {1U, 3U}) {
      const Result result = handles[seed - 1].result();
      EXPECT_EQ(result.finish_reason, FinishReason::length) << result.error;
      EXPECT_EQ(result.codes.values, fake_codes(seed, 8));
    }
    EXPECT_EQ(rig.submit(guided_request(4, 5)).result().codes.values, fake_codes(4, 5));
    EXPECT_EQ(rig.loop.stats().num_failed, 1U);
  }
}

TEST_P(LoopFaults, AContextEndsItsRequestAndNotThePrefixBesideIt) {
  LoopRig rig(faulty_network(GetParam(), [](auto program, auto seed, const auto& segment) {
    return program == test::kPrefill && seed == 1 && segment.input == step::Input::vectors;
  }));
  rig.control->hold();
  const FakeHandle first = rig.submit(guided_request(1, 6));  // brings the unconditional prefix
  const FakeHandle second = rig.submit(guided_request(2, 6));
  rig.control->release();
  const Result failed = first.result();
  EXPECT_EQ(failed.finish_reason, FinishReason::error);
  EXPECT_EQ(failed.error.rfind("prefill, step 0, row 0: ", 0), 0U) << failed.error;
  EXPECT_EQ(failed.codes.rows, 0);
  EXPECT_EQ(second.result().codes.values, fake_codes(2, 6));
  EXPECT_EQ(rig.submit(guided_request(3, 6)).result().codes.values, fake_codes(3, 6));
  EXPECT_EQ(rig.control->num_zero_rows(), kContext);  // the prefix was filled once
}

TEST_P(LoopFaults, APrefixEndsAllItsUsersAndIsFilledAnew) {
  const auto is_bad = std::make_shared<std::atomic<bool>>(true);
  LoopRig rig(faulty_network(GetParam(), [is_bad](auto program, auto, const auto& segment) {
    return *is_bad && program == test::kPrefill && segment.input == step::Input::zeros;
  }));
  rig.control->hold();
  const FakeHandle first = rig.submit(guided_request(1, 6));
  const FakeHandle second = rig.submit(guided_request(2, 6));
  const FakeHandle unguided = rig.submit(request_of(3, 6));
  rig.control->release();
  for (const FakeHandle& user : {first, second}) {
    const Result failed = user.result();
    // The launch may have carried only one of them; then the other filled a prefix of its own.
    EXPECT_EQ(failed.finish_reason, FinishReason::error);
    EXPECT_EQ(failed.error.rfind("prefill, step 0, row 0: logits", 0), 0U) << failed.error;
  }
  EXPECT_EQ(unguided.result().codes.values, fake_codes(3, 6));
  EXPECT_EQ(rig.submit(guided_request(4, 6)).result().finish_reason, FinishReason::error);
  *is_bad = false;
  const Result sound = rig.submit(guided_request(5, 6)).result();
  EXPECT_EQ(sound.finish_reason, FinishReason::length) << sound.error;
  EXPECT_EQ(sound.codes.values, fake_codes(5, 6));
}

TEST_P(LoopFaults, AStepBehindTheEndChangesNothing) {
  FakeOptions options = faulty_network(GetParam(), [](auto program, auto, const auto& segment) {
    return program == test::kDecode && segment.position > kContext + 2;
  });
  options.end_step = [](std::uint64_t) { return 2; };
  LoopRig rig(std::move(options));
  const Result result = rig.submit(request_of(2, 8)).result();
  EXPECT_EQ(result.finish_reason, FinishReason::stop) << result.error;
  EXPECT_EQ(result.codes.values, fake_codes(2, 2));
}

TEST_P(LoopFaults, ASplitBatchGoesOnWithoutTheFaultyRequest) {
  FakeOptions options = faulty_network(GetParam(), [](auto program, auto seed, const auto&) {
    return program == test::kEncodeText && seed == 2;
  });
  options.programs = test::small_programs(3);
  options.row_seconds = 1.0;
  LoopOptions loop_options = LoopRig::kDefaults;
  loop_options.prefill_slice_seconds = 1e-3;  // one part per launch beside steps
  LoopRig rig(std::move(options), loop_options);
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    handles.push_back(rig.submit(request_of(seed, 6)));
  const Result failed = handles[1].result();
  EXPECT_EQ(failed.error.rfind("encode_text, step 0, row 0: ", 0), 0U) << failed.error;
  EXPECT_EQ(handles[0].result().codes.values, fake_codes(1, 6));
  EXPECT_EQ(handles[2].result().codes.values, fake_codes(3, 6));
}

INSTANTIATE_TEST_SUITE_P(Depths, LoopFaults, testing::Values(1, 2));

}  // namespace
}  // namespace ttsrt::executor
