// What follows the codes of requests (step::Sequel) in loops that keep one launch or several in
// flight: every part sees the codes that it waits for, and runs once, whoever else is there.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "executor/loop.h"
#include "support/itineraries.h"
#include "support/loop_rig.h"

namespace ttsrt::executor {
namespace {

using test::FakeHandle;
using test::FakeOptions;
using test::LoopRig;
using test::stop_of;
using test::zero_rows;

constexpr std::int32_t kFlow = 5;  // behind the small model's Programs
constexpr std::int32_t kVocoder = 6;
constexpr std::int32_t kPart = 4;  // frames
constexpr std::int32_t kEvaluations = 3;
constexpr std::int32_t kSamples = 2;

// A part for every four frames, and one for what is left: a flow of several evaluations, and a
// vocoder behind it.
class Parts final : public step::Sequel {
 public:
  std::optional<std::vector<step::Stop>> stops(std::int32_t part, std::int32_t first_stop,
                                               const step::CodesSoFar& codes) const override {
    const std::int32_t count = std::min(codes.count - kPart * part, kPart);
    if (codes.are_all && count <= 0) return std::vector<step::Stop>{};
    if (!codes.are_all && count < kPart) return std::nullopt;
    step::Stop flow = stop_of(kFlow, {zero_rows(count)});
    flow.repeats = kEvaluations;
    return std::vector<step::Stop>{flow, stop_of(kVocoder, {zero_rows(count)}, {first_stop})};
  }
};

class WithParts final : public model::Itineraries {
 public:
  step::Itinerary itinerary(Request&& request, const model::VoiceFinder& voices) const override {
    step::Itinerary itinerary = model_.itinerary(std::move(request), voices);
    itinerary.sequel = std::make_shared<const Parts>();
    return itinerary;
  }
  model::Voice voice_of_vectors(Matrix<float>&& rows) const override {
    return model_.voice_of_vectors(std::move(rows));
  }
  model::Voice voice_of_codes(Matrix<std::int32_t>&& codes) const override {
    return model_.voice_of_codes(std::move(codes));
  }

 private:
  model::magpie::Itineraries model_{test::small_model()};
};

FakeOptions options_of(std::int32_t depth) {
  FakeOptions options;
  options.depth = depth;
  options.row_samples = kSamples;
  options.programs.push_back({.name = "flow", .num_parts = 3});
  options.programs.push_back({.name = "vocoder", .emits = step::Emits::samples});
  options.facts.sample_rate = 20 * kSamples;
  return options;
}

// A row's samples are its place in its part, and what the evaluations of the slot add that ran
// before it (support/fake_device.h): those of the parts so far, and `before` of other Programs.
void expect_parts(const std::vector<float>& audio, std::uint64_t seed, std::int32_t frames) {
  ASSERT_EQ(audio.size(), static_cast<std::size_t>(frames * kSamples)) << seed;
  const float before = audio[0] - test::fake_row_value(seed, 0);
  for (std::int32_t frame = 0; frame < frames; ++frame) {
    const auto more = static_cast<float>(frame / kPart * kEvaluations) / 16.0F;
    for (std::int32_t i = 0; i < kSamples; ++i) {
      ASSERT_EQ(audio[static_cast<std::size_t>(frame * kSamples + i)],
                test::fake_row_value(seed, frame % kPart) + before + more)
          << "seed " << seed << ", frame " << frame;
    }
  }
}

class LoopSequel : public ::testing::TestWithParam<std::int32_t> {};

TEST_P(LoopSequel, EveryPartRunsOnceWhileOthersStep) {
  LoopRig rig(options_of(GetParam()), LoopRig::kDefaults, std::make_unique<WithParts>());
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 1; seed < 12; ++seed)
    handles.push_back(rig.submit(test::request_of(seed, static_cast<std::int32_t>(seed))));
  for (std::uint64_t seed = 1; seed < 12; ++seed) {
    const auto frames = static_cast<std::int32_t>(seed);
    const Result result = handles[seed - 1].result();
    EXPECT_EQ(result.finish_reason, FinishReason::length) << result.error;
    EXPECT_EQ(result.codes.values, test::fake_codes(seed, frames));
    expect_parts(result.audio, seed, frames);
  }
}

// Steps that were launched before the end of speech was known have no sound.
TEST_P(LoopSequel, EndsWithSpeech) {
  FakeOptions options = options_of(GetParam());
  options.end_step = [](std::uint64_t seed) { return static_cast<std::int32_t>(seed); };
  LoopRig rig(options, LoopRig::kDefaults, std::make_unique<WithParts>());
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 1; seed < 10; ++seed)
    handles.push_back(rig.submit(test::request_of(seed, 30)));
  for (std::uint64_t seed = 1; seed < 10; ++seed) {
    const Result result = handles[seed - 1].result();
    EXPECT_EQ(result.finish_reason, FinishReason::stop) << result.error;
    expect_parts(result.audio, seed, static_cast<std::int32_t>(seed));
  }
}

INSTANTIATE_TEST_SUITE_P(Depths, LoopSequel, testing::Values(1, 2, 3));

}  // namespace
}  // namespace ttsrt::executor
