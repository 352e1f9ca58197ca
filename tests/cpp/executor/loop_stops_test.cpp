// Itineraries of other shapes than encode, prefill, decode: a codec that follows decode while it
// goes on, evaluations that repeat over whole items, a prefix that both branches share.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "executor/loop.h"
#include "support/loop_rig.h"

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::Input;
using step::Pace;
using test::fake_code;
using test::fake_codes;
using test::fake_row_value;
using test::fake_sample;
using test::FakeHandle;
using test::FakeOptions;
using test::LoopRig;
using test::request_of;

// The small model's itineraries, changed.
class Changed : public model::Itineraries {
 public:
  step::Itinerary itinerary(Request&& request, const model::VoiceFinder& voices) const override {
    step::Itinerary itinerary = model_.itinerary(std::move(request), voices);
    change(itinerary);
    return itinerary;
  }
  model::Voice voice_of_vectors(Matrix<float>&& rows) const override {
    return model_.voice_of_vectors(std::move(rows));
  }
  model::Voice voice_of_codes(Matrix<std::int32_t>&& codes) const override {
    return model_.voice_of_codes(std::move(codes));
  }

 protected:
  virtual void change(step::Itinerary& itinerary) const = 0;

 private:
  model::magpie::Itineraries model_{test::small_model()};
};

constexpr std::int32_t kCodec = 5;  // behind the small model's Programs

class WithCodec final : public Changed {
 public:
  explicit WithCodec(std::int32_t frames_ahead) : frames_ahead_(frames_ahead) {}

 protected:
  void change(step::Itinerary& itinerary) const override {
    step::Stop codec;
    codec.program = kCodec;
    codec.reads = static_cast<std::int32_t>(itinerary.stops.size()) - 1;
    codec.frames_ahead = frames_ahead_;
    itinerary.stops.push_back(codec);
  }

 private:
  const std::int32_t frames_ahead_;
};

FakeOptions with_codec(std::int32_t depth) {
  FakeOptions options;
  options.depth = depth;
  options.programs.push_back(
      {.name = "codec", .pace = Pace::chunked, .emits = step::Emits::samples});
  options.facts.sample_rate = 20;
  return options;
}

std::vector<float> samples_of(std::uint64_t seed, std::int32_t frames) {
  std::vector<float> samples;
  for (std::int32_t f = 0; f < frames; ++f) samples.push_back(fake_sample(fake_code(seed, f, 0)));
  return samples;
}

class LoopCodec : public ::testing::TestWithParam<std::tuple<std::int32_t, std::int32_t>> {};

TEST_P(LoopCodec, FollowsDecodeWhileItGoesOn) {
  const auto [depth, ahead] = GetParam();
  FakeOptions options = with_codec(depth);
  options.end_step = [](std::uint64_t seed) {
    return seed % 2 == 0 ? static_cast<std::int32_t>(seed) : -1;
  };
  LoopRig rig(options, LoopRig::kDefaults, std::make_unique<WithCodec>(ahead));
  rig.control->delay_up_to(200);
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 9; ++seed)
    handles.push_back(rig.submit(request_of(seed, 12)));
  for (std::uint64_t seed = 0; seed < handles.size(); ++seed) {
    std::vector<float> streamed;
    std::int32_t frames = 0;
    bool has_sound_before_the_end = false;
    while (const std::optional<Event> event = handles[seed].next()) {
      frames += static_cast<std::int32_t>(event->codes.rows);
      streamed.insert(streamed.end(), event->audio.begin(), event->audio.end());
      has_sound_before_the_end |= !event->is_last && !event->audio.empty();
      // No sample comes before the frames that it needs.
      EXPECT_LE(static_cast<std::int32_t>(streamed.size()), frames);
    }
    const Result result = handles[seed].result();
    ASSERT_NE(result.finish_reason, FinishReason::error) << result.error;
    const auto made = static_cast<std::int32_t>(result.codes.rows);
    EXPECT_EQ(made, seed % 2 == 0 ? static_cast<std::int32_t>(seed) : 12);
    EXPECT_EQ(result.codes.values, fake_codes(seed, made));
    EXPECT_EQ(result.audio, samples_of(seed, made));
    EXPECT_EQ(streamed, result.audio);
    EXPECT_EQ(result.sample_rate, 20);
    EXPECT_TRUE(has_sound_before_the_end || made <= ahead + 4);
  }
  const ExecutorStats stats = rig.loop.stats();
  EXPECT_EQ(stats.num_active_requests, 0);
  EXPECT_EQ(stats.kv_cache_stats.used_num_blocks, 0);
}

INSTANTIATE_TEST_SUITE_P(DepthsAndLookahead, LoopCodec,
                         ::testing::Combine(::testing::Values(1, 2), ::testing::Values(0, 1, 5)));

TEST(LoopCodecEnds, ACancelledStreamKeepsWhatItHeard) {
  LoopRig rig(with_codec(2), LoopRig::kDefaults, std::make_unique<WithCodec>(1));
  rig.control->permit(8);  // launches, of about 20
  const FakeHandle handle = rig.submit(request_of(3, 20));
  while (handle.next()->audio.empty()) {
  }
  handle.cancel();
  rig.control->release();
  const Result result = handle.result();
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(result.audio, samples_of(3, static_cast<std::int32_t>(result.audio.size())));
  EXPECT_FALSE(result.audio.empty());
}

TEST(LoopCodecEnds, SoundThatIsNotFiniteEndsItsRequest) {
  FakeOptions options = with_codec(2);
  options.change = [](const step::StepBatch& batch, step::StepOutput& output) {
    for (step::RowsOutput& rows : output.rows) {
      for (const step::Segment& segment : batch.programs[kCodec].segments) {
        float& first = rows.values[static_cast<std::size_t>(segment.first_row)];
        if (first == fake_sample(fake_code(2, 3, 0))) first = INFINITY;
      }
    }
  };
  LoopRig rig(options, LoopRig::kDefaults, std::make_unique<WithCodec>(0));
  const FakeHandle sound = rig.submit(request_of(4, 3));
  const FakeHandle failing = rig.submit(request_of(2, 12));
  const Result failed = failing.result();
  EXPECT_EQ(failed.finish_reason, FinishReason::error);
  EXPECT_EQ(failed.error.rfind("codec, step ", 0), 0U) << failed.error;
  EXPECT_NE(failed.error.find("output: expected finite numbers"), std::string::npos);
  for (const float sample : failed.audio) EXPECT_LT(sample, 100.0F);
  EXPECT_EQ(sound.result().audio, samples_of(4, 3));
}

// Text, then k evaluations over a whole item, then a vocoder: nothing makes steps.
class Flow final : public model::Itineraries {
 public:
  static std::vector<step::ProgramInfo> programs() {
    return {{.name = "text", .pace = Pace::whole},
            {.name = "flow", .pace = Pace::whole, .num_parts = 3},
            {.name = "vocoder", .pace = Pace::whole, .emits = step::Emits::spectrogram}};
  }

  step::Itinerary itinerary(Request&& request, const model::VoiceFinder&) const override {
    step::Itinerary itinerary;
    itinerary.rules.sampler.seed = request.seed;
    for (std::int32_t program = 0; program < 3; ++program) {
      step::Stop stop;
      stop.program = program;
      step::RowSource zeros;
      zeros.rows = request.max_frames.value_or(4);
      stop.rows = {zeros};
      if (program == 1) stop.repeats = 5;
      if (program > 0) stop.follows = {program - 1};
      itinerary.stops.push_back(stop);
    }
    return itinerary;
  }
  model::Voice voice_of_vectors(Matrix<float>&&) const override { return {}; }
  model::Voice voice_of_codes(Matrix<std::int32_t>&&) const override { return {}; }
};

class LoopFlow : public ::testing::TestWithParam<std::int32_t> {};

TEST_P(LoopFlow, EvaluationsRepeatAndTheLastStopEndsTheRequest) {
  FakeOptions options;
  options.depth = GetParam();
  options.programs = Flow::programs();
  options.facts.max_rows = 16;
  LoopRig rig(options, LoopRig::kDefaults, std::make_unique<Flow>());
  rig.control->delay_up_to(100);
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    handles.push_back(rig.submit(request_of(seed, 1 + static_cast<std::int32_t>(seed) % 6)));
  for (std::uint64_t seed = 0; seed < handles.size(); ++seed) {
    const Result result = handles[seed].result();
    ASSERT_EQ(result.finish_reason, FinishReason::stop) << result.error;
    const std::int64_t rows = 1 + static_cast<std::int64_t>(seed) % 6;
    ASSERT_EQ(result.spectrogram.rows, rows);
    EXPECT_EQ(result.spectrogram.cols, 1);
    for (std::int32_t row = 0; row < rows; ++row)
      EXPECT_EQ(*result.spectrogram.row(row), fake_row_value(seed, row) + 6.0F / 16.0F);
    EXPECT_TRUE(result.codes.values.empty());
  }
  // Alone: the text, the first evaluation and, in the same launch, nothing that needs a second one.
  LoopRig alone(options, LoopRig::kDefaults, std::make_unique<Flow>());
  alone.submit(request_of(1, 4)).result();
  EXPECT_EQ(alone.control->num_launches(), 5);
}

INSTANTIATE_TEST_SUITE_P(Depths, LoopFlow, ::testing::Values(1, 2));

// Both branches fork one prefix, whose rows run in the same Program as those behind it.
class SharedVoice final : public Changed {
 protected:
  void change(step::Itinerary& itinerary) const override {
    std::vector<step::Stop> stops;
    const std::int32_t branches = itinerary.is_guided() ? 2 : 1;
    stops.push_back(itinerary.stops.front());
    for (std::int32_t b = 0; b < branches; ++b) stops.push_back(prefix(b));
    for (std::int32_t b = 0; b < branches; ++b) {
      stops.push_back(prompt(b));
      stops.back().follows = {0, 1 + b};
    }
    step::Stop decode = itinerary.stops.back();
    decode.position = kPrefixRows + kPromptRows;
    decode.follows.clear();
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(stops.size()); ++i)
      decode.follows.push_back(i);
    stops.push_back(decode);
    itinerary.stops = std::move(stops);
  }

 private:
  static constexpr std::int32_t kPrefixRows = 6;
  static constexpr std::int32_t kPromptRows = 3;

  static step::Stop prefix(std::int32_t branch) {
    step::Stop stop;
    stop.program = test::kPrefill;
    stop.branch = branch == 0 ? Branch::conditional : Branch::unconditional;
    step::RowSource zeros;
    zeros.rows = kPrefixRows;
    stop.rows = {zeros};
    stop.shared = step::PrefixKey{"voice", kPrefixRows};
    return stop;
  }
  static step::Stop prompt(std::int32_t branch) {
    step::Stop stop;
    stop.program = test::kPrefill;
    stop.branch = branch == 0 ? Branch::conditional : Branch::unconditional;
    stop.position = kPrefixRows;
    step::RowSource ids;
    ids.input = Input::ids;
    ids.rows = kPromptRows;
    ids.ids = std::make_shared<const std::vector<std::int32_t>>(std::vector<std::int32_t>{4, 5, 6});
    stop.rows = {ids};
    return stop;
  }
};

class LoopSharedVoice : public ::testing::TestWithParam<std::int32_t> {};

TEST_P(LoopSharedVoice, IsFilledOnceForBothBranchesAndAllRequests) {
  FakeOptions options;
  options.depth = GetParam();
  options.is_any_branch_shared = true;
  LoopRig rig(options, LoopRig::kDefaults, std::make_unique<SharedVoice>());
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Request request = request_of(seed, 5);
    if (seed % 3 != 0) request.cfg_scale = 1.5F;
    handles.push_back(rig.submit(std::move(request)));
  }
  for (std::uint64_t seed = 0; seed < handles.size(); ++seed) {
    const Result result = handles[seed].result();
    ASSERT_EQ(result.finish_reason, FinishReason::length) << result.error;
    EXPECT_EQ(result.codes.values, fake_codes(seed, 5));
  }
  // The prefix stays, with its two blocks, and its rows ran once.
  EXPECT_EQ(rig.loop.stats().kv_cache_stats.used_num_blocks, 2);
  EXPECT_EQ(rig.control->num_zero_rows(), 6);
}

// Each takes 7 blocks beside the 2 of the prefix, and 9 must be free for a request to start.
TEST_P(LoopSharedVoice, CountsOnceInWhatRequestsMayTake) {
  for (const std::int32_t blocks : {24, 25}) {
    FakeOptions options;
    options.depth = GetParam();
    options.is_any_branch_shared = true;
    options.num_blocks = blocks;
    LoopRig rig(options, LoopRig::kDefaults, std::make_unique<SharedVoice>());
    for (int round = 0; round < 2; ++round) {  // what they took comes back
      rig.control->hold();
      std::vector<FakeHandle> handles;
      for (std::uint64_t seed = 0; seed < 4; ++seed)
        handles.push_back(rig.submit(request_of(seed, 20)));
      rig.control->release();
      for (std::uint64_t seed = 0; seed < handles.size(); ++seed)
        EXPECT_EQ(handles[seed].result().codes.values, fake_codes(seed, 20));
    }
    EXPECT_EQ(rig.control->most_draws(), blocks == 25 ? 3 : 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Depths, LoopSharedVoice, ::testing::Values(1, 2));

}  // namespace
}  // namespace ttsrt::executor
