// Streams with sound: chunks, first and last ones, the end of speech, faults, and launches that
// fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "executor/loop.h"
#include "support/errors.h"
#include "support/loop_rig.h"

namespace ttsrt::executor {
namespace {

using step::Pace;
using test::Fail;
using test::fake_code;
using test::fake_codes;
using test::fake_sample;
using test::FakeHandle;
using test::FakeOptions;
using test::LoopRig;
using test::request_of;

constexpr std::int32_t kCodec = 5;  // behind the small model's Programs
constexpr std::int32_t kSamples = 3;

// The small model, with a codec that follows it.
class WithCodec final : public model::Itineraries {
 public:
  step::Itinerary itinerary(Request&& request, const model::VoiceFinder& voices) const override {
    step::Itinerary itinerary = model_.itinerary(std::move(request), voices);
    step::Stop codec;
    codec.program = kCodec;
    codec.reads = static_cast<std::int32_t>(itinerary.stops.size()) - 1;
    itinerary.stops.push_back(codec);
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
  options.programs.push_back(
      {.name = "codec", .pace = Pace::chunked, .emits = step::Emits::samples});
  options.facts.sample_rate = 20 * kSamples;
  return options;
}

std::vector<float> samples_of(std::uint64_t seed, std::int32_t frames) {
  std::vector<float> samples;
  for (std::int32_t f = 0; f < frames; ++f)
    samples.insert(samples.end(), kSamples, fake_sample(fake_code(seed, f, 0)));
  return samples;
}

Request sound_of(std::uint64_t seed, std::int32_t frames, std::int32_t chunk,
                 std::optional<std::int32_t> initial = std::nullopt) {
  Request request = request_of(seed, frames);
  request.chunk_frames = chunk;
  request.initial_chunk_frames = initial;
  return request;
}

class LoopSound : public ::testing::TestWithParam<std::int32_t> {};

TEST_P(LoopSound, ComesInChunks) {
  LoopRig rig(options_of(GetParam()), LoopRig::kDefaults, std::make_unique<WithCodec>());
  const FakeHandle handle = rig.submit(sound_of(3, 20, 5, 2));
  std::vector<std::size_t> sizes;
  std::int32_t codes = 0;
  while (const std::optional<Event> event = handle.next()) {
    sizes.push_back(event->audio.size() / kSamples);
    EXPECT_EQ(event->audio.size() % kSamples, 0U);
    codes += static_cast<std::int32_t>(event->codes.rows);
  }
  ASSERT_GE(sizes.size(), 4U);
  EXPECT_EQ(sizes.front(), 2U);
  for (std::size_t i = 1; i + 1 < sizes.size(); ++i) EXPECT_EQ(sizes[i] % 5, 0U) << i;
  const Result result = handle.result();
  EXPECT_EQ(result.audio, samples_of(3, 20));
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_EQ(codes, 20);
  EXPECT_GT(result.metrics.first_audio_seconds, 0.0);
  EXPECT_GE(result.metrics.first_audio_seconds, result.metrics.first_frame_seconds);
}

// The stack in which speech ends, and those launched before that was known, are not heard.
TEST_P(LoopSound, EndsWithSpeech) {
  FakeOptions options = options_of(GetParam());
  options.end_step = [](std::uint64_t seed) { return static_cast<std::int32_t>(seed) - 1; };
  LoopRig rig(options, LoopRig::kDefaults, std::make_unique<WithCodec>());
  for (std::uint64_t seed = 1; seed < 9; ++seed) {
    const auto frames = static_cast<std::int32_t>(seed) - 1;
    const Result result = rig.submit(sound_of(seed, 12, 4, 3)).result();
    EXPECT_EQ(result.finish_reason, FinishReason::stop) << result.error;
    EXPECT_EQ(result.codes.rows, frames);
    EXPECT_EQ(result.audio, samples_of(seed, frames));
  }
}

TEST_P(LoopSound, FaultsAreOfTheStreamWhoseFrameItIs) {
  FakeOptions options = options_of(GetParam());
  options.change = [](const step::StepBatch&, step::StepOutput& output) {
    for (step::RowsOutput& rows : output.rows) {
      for (std::size_t i = kSamples - 1; i < rows.values.size(); i += kSamples) {
        // The last sample of one frame of the request with seed 2.
        if (rows.values[i] == fake_sample(fake_code(2, 3, 0))) rows.values[i] = NAN;
      }
    }
  };
  LoopRig rig(options, LoopRig::kDefaults, std::make_unique<WithCodec>());
  const FakeHandle before = rig.submit(sound_of(4, 3, 1));
  const FakeHandle failing = rig.submit(sound_of(2, 12, 1));
  const Result failed = failing.result();
  EXPECT_EQ(failed.finish_reason, FinishReason::error);
  EXPECT_EQ(failed.error.rfind("codec, step ", 0), 0U) << failed.error;
  EXPECT_NE(failed.error.find("row 3: output: expected finite"), std::string::npos) << failed.error;
  EXPECT_EQ(failed.audio, samples_of(2, static_cast<std::int32_t>(failed.audio.size()) / kSamples));
  EXPECT_EQ(before.result().audio, samples_of(4, 3));
}

TEST_P(LoopSound, ALaunchThatFailsEndsWhoWasInIt) {
  for (const Fail how : {Fail::launch, Fail::run}) {
    LoopRig rig(options_of(GetParam()), LoopRig::kDefaults, std::make_unique<WithCodec>());
    rig.control->fail_by([how](std::int64_t launch) { return launch == 9 ? how : Fail::none; });
    const FakeHandle handle = rig.submit(sound_of(3, 20, 1));
    const Result result = handle.result();
    EXPECT_EQ(result.finish_reason, FinishReason::error);
    EXPECT_FALSE(result.audio.empty());
    EXPECT_EQ(result.audio,
              samples_of(3, static_cast<std::int32_t>(result.audio.size()) / kSamples));
    EXPECT_EQ(rig.submit(sound_of(5, 6, 2)).result().audio, samples_of(5, 6));
  }
}

TEST_P(LoopSound, DrainsToTheLastSample) {
  LoopRig rig(options_of(GetParam()), LoopRig::kDefaults, std::make_unique<WithCodec>());
  rig.control->delay_up_to(200);
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 7; ++seed)
    handles.push_back(rig.submit(sound_of(seed, 9, 1 + static_cast<std::int32_t>(seed) % 4)));
  rig.loop.close(true, std::nullopt);
  for (std::uint64_t seed = 0; seed < 7; ++seed)
    EXPECT_EQ(handles[seed].result().audio, samples_of(seed, 9));
}

TEST_P(LoopSound, PausesForALargerPriorityAndGoesOn) {
  FakeOptions options = options_of(GetParam());
  options.slots = 2;
  options.paused_slots = 1;
  LoopRig rig(options, LoopRig::kDefaults, std::make_unique<WithCodec>());
  rig.control->delay_up_to(200);
  const FakeHandle low = rig.submit(sound_of(1, 30, 2));
  while (low.next()->audio.empty()) {
  }
  Request urgent = sound_of(2, 6, 1);
  urgent.priority = 1;
  EXPECT_EQ(rig.submit(std::move(urgent)).result().audio, samples_of(2, 6));
  EXPECT_EQ(low.result().audio, samples_of(1, 30));
}

TEST_P(LoopSound, KeepsWhatItHasAtItsDeadline) {
  LoopRig rig(options_of(GetParam()), LoopRig::kDefaults, std::make_unique<WithCodec>());
  rig.control->delay_up_to(2000);
  Request request = sound_of(1, 38, 1);
  request.deadline = 0.01;
  const Result result = rig.submit(std::move(request)).result();
  EXPECT_TRUE(result.finish_reason == FinishReason::deadline ||
              result.finish_reason == FinishReason::length);
  EXPECT_EQ(result.audio, samples_of(1, static_cast<std::int32_t>(result.audio.size()) / kSamples));
}

// A row takes two slices. While others step, a launch has no more rows than the steps make, whoever
// is behind; and every stream gets on.
TEST_P(LoopSound, DelaysNobodysStepsBeyondTheSlice) {
  FakeOptions options = options_of(GetParam());
  options.row_seconds = 1.0;
  std::int32_t most_beside_steps = 0, launches = 0;  // of the network's thread, until it has ended
  options.change = [&](const step::StepBatch& batch, step::StepOutput&) {
    const step::RowBatch& rows = batch.programs[kCodec];
    const auto steps = static_cast<std::int32_t>(batch.programs[test::kDecode].draws.size());
    if (steps == 0 || rows.rows == 0) return;
    ++launches;
    most_beside_steps = std::max(most_beside_steps, rows.rows - steps);
  };
  {
    LoopRig rig(options, {.max_queue_size = 64, .prefill_slice_seconds = 0.5},
                std::make_unique<WithCodec>());
    std::vector<FakeHandle> handles;
    for (std::uint64_t seed = 0; seed < 6; ++seed)
      handles.push_back(rig.submit(sound_of(seed, 6 + 4 * static_cast<std::int32_t>(seed), 4, 1)));
    for (std::uint64_t seed = 0; seed < 6; ++seed)
      EXPECT_EQ(handles[seed].result().audio,
                samples_of(seed, 6 + 4 * static_cast<std::int32_t>(seed)));
  }
  EXPECT_GT(launches, 10);
  EXPECT_LE(most_beside_steps, 0);
}

TEST_P(LoopSound, RefusesChunksThatCannotBe) {
  LoopRig rig(options_of(GetParam()), LoopRig::kDefaults, std::make_unique<WithCodec>());
  for (const std::int32_t wrong : {0, -1, (1 << 20) + 1}) {
    EXPECT_TRUE(test::throws_naming<ConfigError>("initial_chunk_frames: expected 1 to",
                                                 [&] { rig.submit(sound_of(1, 4, 1, wrong)); }));
    EXPECT_TRUE(test::throws_naming<ConfigError>("chunk_frames: expected 1 to",
                                                 [&] { rig.submit(sound_of(1, 4, wrong)); }));
  }
}

INSTANTIATE_TEST_SUITE_P(Depths, LoopSound, ::testing::Values(1, 2));

}  // namespace
}  // namespace ttsrt::executor
