// A small random codec from request to sound: whole, in any chunks, alone and in a crowd.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/reference/reference_backend.h"
#include "support/codec_models.h"

namespace ttsrt::model::nanocodec {
namespace {

using test::codes_request;
using test::EngineRig;
using test::FakeHandle;
using test::random_codes;

constexpr std::int32_t kFrame = 6;  // samples

class CodecSound : public ::testing::Test {
 protected:
  std::unique_ptr<EngineRig> rig(bool trace = false) const {
    return std::make_unique<EngineRig>(engine_.path(), ops::make_reference_backend(), trace);
  }

  test::TinyEngine engine_{test::codec_config()};
};

// Each as it would be alone: the past of a stream is its own, and begins with zeros in a slot that
// another has left.
TEST_F(CodecSound, IsTheSameInAnyCompany) {
  std::vector<std::vector<float>> alone;
  for (std::uint32_t seed = 0; seed < 12; ++seed) {
    const auto frames = static_cast<std::int32_t>(1 + 7 * seed % 90);
    const Result result = rig()->submit(codes_request(random_codes(frames, seed))).result();
    ASSERT_EQ(result.finish_reason, FinishReason::stop) << result.error;
    ASSERT_EQ(result.audio.size(), static_cast<std::size_t>(frames * kFrame));
    EXPECT_EQ(result.sample_rate, 120);
    EXPECT_TRUE(std::any_of(result.audio.begin(), result.audio.end(),
                            [](float sample) { return std::fabs(sample) > 1e-3F; }));
    EXPECT_GT(result.metrics.first_audio_seconds, 0.0);
    alone.push_back(result.audio);
  }
  const auto crowd = rig();
  std::vector<FakeHandle> handles;
  for (std::uint32_t seed = 0; seed < alone.size(); ++seed) {
    const auto frames = static_cast<std::int32_t>(1 + 7 * seed % 90);
    Request request = codes_request(random_codes(frames, seed));
    request.chunk_frames = 1 + static_cast<std::int32_t>(seed % 5);
    if (seed % 2 == 0) request.initial_chunk_frames = 1 + static_cast<std::int32_t>(seed % 3);
    handles.push_back(crowd->submit(std::move(request)));
  }
  for (std::size_t seed = 0; seed < alone.size(); ++seed) {
    std::vector<float> streamed;
    while (const std::optional<Event> event = handles[seed].next())
      streamed.insert(streamed.end(), event->audio.begin(), event->audio.end());
    EXPECT_EQ(streamed, alone[seed]) << seed;
    EXPECT_EQ(handles[seed].result().audio, alone[seed]) << seed;
  }
}

// A launch holds kLeastLaunch rows: these codes take several, whose rows continue one another.
TEST_F(CodecSound, DependsOnWhatWasBeforeAndNothingBehind) {
  const std::vector<std::int32_t> codes = random_codes(150, 5);
  const std::vector<float> sound = rig()->submit(codes_request(codes)).result().audio;
  for (const std::int32_t frames : {1, 2, 63, 64, 65, 149}) {
    const std::vector<std::int32_t> first(codes.begin(), codes.begin() + 2 * frames);
    const std::vector<float> heard = rig()->submit(codes_request(first)).result().audio;
    EXPECT_TRUE(std::equal(heard.begin(), heard.end(), sound.begin())) << frames;
    EXPECT_EQ(heard.size(), static_cast<std::size_t>(frames * kFrame));
  }
  std::vector<std::int32_t> other = codes;
  other[0] = (other[0] + 1) % 12;
  EXPECT_NE(rig()->submit(codes_request(other)).result().audio, sound);
}

TEST_F(CodecSound, FirstEventComesEarlyWhereItIsAsked) {
  const auto rig_of = rig();
  Request request = codes_request(random_codes(40, 1));
  request.chunk_frames = 20;
  request.initial_chunk_frames = 2;
  const FakeHandle heard = rig_of->submit(std::move(request));
  EXPECT_EQ(heard.next()->audio.size(), static_cast<std::size_t>(2 * kFrame));
}

TEST_F(CodecSound, TracesItsStages) {
  const Result result = rig(true)->submit(codes_request(random_codes(3, 2))).result();
  const auto find = [&result](const char* name) {
    const auto found = std::find_if(result.trace.begin(), result.trace.end(),
                                    [&](const TraceEntry& entry) { return entry.name == name; });
    return found == result.trace.end() ? Matrix<float>{} : found->values;
  };
  EXPECT_EQ(find("codec.latent").cols, 4);
  EXPECT_EQ(find("codec.pre").cols, 12);
  EXPECT_EQ(find("codec.up.0").cols, 6 * 3);
  EXPECT_EQ(find("codec.stage.1").cols, 3 * 6);
  EXPECT_EQ(find("codec.stage.1").rows, 3);
  // The trace does not change what is heard.
  EXPECT_EQ(result.audio, rig()->submit(codes_request(random_codes(3, 2))).result().audio);
}

TEST_F(CodecSound, BecomesCodes) {
  Request request;
  request.samples = test::random_vector(40, 3, 0.8F);
  const auto rig_of = rig();
  const Result result = rig_of->submit(Request(request)).result();
  ASSERT_EQ(result.finish_reason, FinishReason::stop) << result.error;
  EXPECT_EQ(result.codes.rows, 7);
  EXPECT_EQ(result.codes.cols, 2);
  EXPECT_TRUE(result.audio.empty());
  for (const std::int32_t code : result.codes.values) EXPECT_TRUE(code >= 0 && code < 12) << code;
  EXPECT_GT(result.metrics.first_frame_seconds, 0.0);
  EXPECT_EQ(result.metrics.first_audio_seconds, 0.0);
  // Zeros in place of what the last frame lacks are what the codec itself adds.
  request.samples.resize(42, 0.0F);
  const FakeHandle padded = rig_of->submit(Request(request));
  Request other;
  other.samples = test::random_vector(30, 4, 0.8F);
  const FakeHandle beside = rig_of->submit(std::move(other));
  EXPECT_EQ(padded.result().codes.values, result.codes.values);
  EXPECT_EQ(beside.result().codes.rows, 5);
  Request back;
  back.codes = result.codes;
  EXPECT_EQ(rig_of->submit(std::move(back)).result().audio.size(), 42U);
}

}  // namespace
}  // namespace ttsrt::model::nanocodec
