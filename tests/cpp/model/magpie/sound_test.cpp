// A model that was built with a codec: what it tells, what it refuses, and what is heard.
#include <gtest/gtest.h>

#include "model/magpie/family.h"
#include "model/memory_fit.h"
#include "ops/reference/reference_backend.h"
#include "support/codec_models.h"
#include "support/errors.h"
#include "support/voices.h"

namespace ttsrt::model::magpie {
namespace {

using test::EngineRig;
using test::FakeHandle;
using test::throws_naming;

// The tiny model and a tiny codec, built into one engine.
class Speaking {
 public:
  explicit Speaking(const Json& model = test::tiny_config(),
                    const Json& codec = test::codec_config()) {
    test::write_checkpoint(codec_path(), codec);
    test::write_checkpoint(model_path(), model);
    BuildOptions options;
    options.codec_dir = codec_path();
    build(model_path(), path(), options);
  }

  std::string path() const { return folder_.file("engine"); }
  std::string codec_path() const { return folder_.file("codec"); }
  std::string model_path() const { return folder_.file("checkpoint"); }
  std::string file(const char* name) const { return folder_.file(name); }

 private:
  test::TempDir folder_;
};

Request text_of(std::uint64_t seed) {
  Request request;
  request.text_ids = {1, 2, 3, 4};
  request.voice = VoiceRef("ann");
  request.temperature = 1.0F;
  request.seed = seed;
  request.max_frames = 3 + static_cast<std::int32_t>(seed % 8);
  return request;
}

TEST(MagpieSound, TellsOfItsCodec) {
  const Speaking engine;
  const EngineData data(engine.path());
  EXPECT_EQ(data.info.sample_rate, 120);
  EXPECT_EQ(data.info.samples_per_frame, 6);
  EXPECT_EQ(data.info.codec, "tiny codec");
  EXPECT_TRUE(data.info.has_vocoder);
  EXPECT_FALSE(data.info.has_encoder);
  EXPECT_DOUBLE_EQ(data.info.frame_rate, 20.0);
  const auto programs = data.family->programs(data.weights, data.limits, false);
  ASSERT_EQ(programs.size(), 5U);
  EXPECT_EQ(programs.back().name, "decode_codes");
  EXPECT_FALSE(data.family->state(data.limits, {}).past.empty());
  const auto itineraries = data.family->itineraries(data.limits, &data.weights);
  Request request = text_of(1);
  request.voice.reset();
  request.context_codes = {1, 2, {1, 2}};
  const step::Itinerary heard = itineraries->itinerary(Request(request), test::NoVoices());
  EXPECT_EQ(heard.stops.back().program, 4);
  EXPECT_EQ(heard.stops.back().reads, static_cast<std::int32_t>(heard.stops.size()) - 2);
  request.codes_only = true;
  const step::Itinerary unheard = itineraries->itinerary(Request(request), test::NoVoices());
  EXPECT_EQ(unheard.stops.size() + 1, heard.stops.size());
}

// Sound is what the codec alone makes of the same codes, bit for bit, in company.
TEST(MagpieSound, IsThatOfItsCodes) {
  const Speaking engine;
  build(engine.codec_path(), engine.file("codec-engine"));
  EngineRig codec(engine.file("codec-engine"), ops::make_reference_backend());
  EngineRig rig(engine.path(), ops::make_reference_backend());
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Request request = text_of(seed);
    request.chunk_frames = 1 + static_cast<std::int32_t>(seed % 3);
    request.codes_only = seed == 4;
    if (seed % 2 == 0) request.cfg_scale = 1.0F;
    handles.push_back(rig.submit(std::move(request)));
  }
  std::size_t heard = 0;
  for (std::uint64_t seed = 0; seed < handles.size(); ++seed) {
    std::vector<float> streamed;
    while (const std::optional<Event> event = handles[seed].next())
      streamed.insert(streamed.end(), event->audio.begin(), event->audio.end());
    Result result = handles[seed].result();
    ASSERT_NE(result.finish_reason, FinishReason::error) << result.error;
    EXPECT_EQ(streamed, result.audio);
    if (seed == 4 || result.codes.rows == 0) {
      EXPECT_TRUE(result.audio.empty());
      continue;
    }
    ASSERT_EQ(result.audio.size(), static_cast<std::size_t>(6 * result.codes.rows));
    // An id behind the codec's codes is decoded digit by digit.
    for (std::int32_t& code : result.codes.values) code %= 12;
    Request again;
    again.codes = result.codes;
    EXPECT_EQ(codec.submit(std::move(again)).result().audio, result.audio) << seed;
    ++heard;
  }
  EXPECT_GT(heard, 4U);
}

// The codec goes on over the chunks of a text: sound is what it makes of all codes at once.
TEST(MagpieSound, OfATextInChunksIsOneStream) {
  Json model = test::tiny_config();
  model["defaults"]["max_frames"] = 7;
  const Speaking engine(model);
  build(engine.codec_path(), engine.file("codec-engine"));
  EngineRig codec(engine.file("codec-engine"), ops::make_reference_backend());
  EngineRig rig(engine.path(), ops::make_reference_backend({.pipeline_depth = 2}));
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Request request = text_of(seed);
    request.text_ids = {1, 2, 3, 8, 4, 5, 8, 6, 8, 1, 2, 8};
    request.text_chunks = {4, 3, 2, 3};
    request.max_frames.reset();
    request.chunk_frames = 1 + static_cast<std::int32_t>(seed % 3);
    handles.push_back(rig.submit(std::move(request)));
  }
  for (std::uint64_t seed = 0; seed < handles.size(); ++seed) {
    std::vector<float> streamed;
    while (const std::optional<Event> event = handles[seed].next())
      streamed.insert(streamed.end(), event->audio.begin(), event->audio.end());
    Result result = handles[seed].result();
    ASSERT_NE(result.finish_reason, FinishReason::error) << result.error;
    EXPECT_EQ(result.chunk_steps.size(), 4U);
    EXPECT_EQ(streamed, result.audio);
    ASSERT_EQ(result.audio.size(), static_cast<std::size_t>(6 * result.codes.rows));
    if (result.codes.rows == 0) continue;
    for (std::int32_t& code : result.codes.values) code %= 12;
    Request again;
    again.codes = result.codes;
    EXPECT_EQ(codec.submit(std::move(again)).result().audio, result.audio) << seed;
  }
}

// Silence stands between the samples of chunks, where it was asked for; all else is as without it.
TEST(MagpieSound, SilenceStandsBetweenChunks) {
  Json model = test::tiny_config();
  model["defaults"]["max_frames"] = 7;
  const Speaking engine(model);
  EngineRig rig(engine.path(), ops::make_reference_backend({.pipeline_depth = 2}));
  const std::vector<std::int32_t> silences = {5, 0, 40, 13, 9};
  std::size_t ends = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Request request = text_of(seed);
    request.text_ids = {1, 2, 3, 8, 4, 5, 8, 6, 8, 1, 2, 8};
    request.text_chunks = {4, 3, 2, 3};
    request.max_frames.reset();
    request.top_k = 0;  // so that speech may end
    if (seed == 7) request.max_frames = 3;
    request.chunk_frames = 1 + static_cast<std::int32_t>(seed % 4);
    const Result plain = rig.submit(Request(request)).result();
    request.text_silences = silences;
    const FakeHandle handle = rig.submit(std::move(request));
    std::vector<float> streamed;
    std::vector<std::int32_t> steps;
    std::vector<std::int32_t> frames;
    while (const std::optional<Event> event = handle.next()) {
      streamed.insert(streamed.end(), event->audio.begin(), event->audio.end());
      steps.insert(steps.end(), event->chunk_steps.begin(), event->chunk_steps.end());
      frames.insert(frames.end(), event->chunk_frames.begin(), event->chunk_frames.end());
    }
    const Result result = handle.result();
    EXPECT_EQ(result.codes.values, plain.codes.values);
    EXPECT_EQ(result.chunk_frames, plain.chunk_frames);
    EXPECT_EQ(steps, result.chunk_steps);
    EXPECT_EQ(frames, result.chunk_frames);
    EXPECT_TRUE(plain.chunk_silences.empty());
    std::vector<float> expected;
    auto from = plain.audio.begin();
    for (std::size_t chunk = 0; chunk < result.chunk_frames.size(); ++chunk) {
      expected.insert(expected.end(), static_cast<std::size_t>(silences[chunk]), 0.0F);
      const auto end = from + 6 * result.chunk_frames[chunk];
      expected.insert(expected.end(), from, end);
      from = end;
    }
    const bool is_whole = result.finish_reason == FinishReason::stop;
    if (is_whole) expected.insert(expected.end(), static_cast<std::size_t>(silences.back()), 0.0F);
    ends += is_whole ? 1 : 0;
    EXPECT_EQ(result.audio, expected) << seed;
    EXPECT_EQ(streamed, result.audio) << seed;
    EXPECT_EQ(result.chunk_silences.size(), result.chunk_frames.size() + (is_whole ? 1 : 0));
  }
  EXPECT_GT(ends, 0U);
}

// A text without chunks has silence in front of it and behind it.
TEST(MagpieSound, SilenceStandsAroundOneChunk) {
  const Speaking engine;
  EngineRig rig(engine.path(), ops::make_reference_backend());
  std::size_t ends = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Request request = text_of(seed);
    request.top_k = 0;  // so that speech may end
    const Result plain = rig.submit(Request(request)).result();
    request.text_silences = {3, 4};
    const Result result = rig.submit(std::move(request)).result();
    if (plain.audio.empty()) continue;
    std::vector<float> expected(3, 0.0F);
    expected.insert(expected.end(), plain.audio.begin(), plain.audio.end());
    if (plain.finish_reason == FinishReason::stop) expected.resize(expected.size() + 4, 0.0F);
    ends += plain.finish_reason == FinishReason::stop ? 1 : 0;
    EXPECT_EQ(result.audio, expected);
  }
  EXPECT_GT(ends, 0U);
}

TEST(MagpieSound, RefusesSilenceByName) {
  const Speaking engine;
  EngineRig rig(engine.path(), ops::make_reference_backend());
  const auto refuses = [&rig](const char* what, std::vector<std::int32_t> silences, bool is_heard) {
    Request request = text_of(1);
    request.text_silences = std::move(silences);
    request.codes_only = !is_heard;
    return throws_naming<ConfigError>(what, [&] { rig.submit(std::move(request)); });
  };
  EXPECT_TRUE(refuses("text_silences: expected 2 numbers of samples", {1, 2, 3}, true));
  EXPECT_TRUE(refuses("text_silences[1]: expected 0 or more", {1, -1}, true));
  EXPECT_TRUE(refuses("text_silences[1]: expected 0 or more", {1 << 25, 1}, true));
  EXPECT_TRUE(refuses("text_silences: expected none", {1, 2}, false));
}

TEST(MagpieSound, TakesOnlyACodecOfItsCodes) {
  Json model = test::tiny_config();
  model["model"]["quantizer"] = {{"groups", 2}, {"levels", {3, 4}}};
  EXPECT_NO_THROW(Speaking{model});
  model["model"]["quantizer"]["levels"] = {4, 3};
  EXPECT_TRUE(throws_naming<ConfigError>("codec_dir", [&] { Speaking{model}; }));
  EXPECT_TRUE(throws_naming<ConfigError>("expected the levels of the model's own quantizer",
                                         [&] { Speaking{model}; }));
  Json codec = test::codec_config();
  codec["model"]["groups"] = 3;
  EXPECT_TRUE(throws_naming<ConfigError>("expected as many groups as the model has codebooks, 2",
                                         [&] { Speaking{test::tiny_config(), codec}; }));
  codec = test::codec_config();
  codec["model"]["levels"] = {3, 6};
  EXPECT_TRUE(throws_naming<ConfigError>("expected at most the 16 codes",
                                         [&] { Speaking{test::tiny_config(), codec}; }));
  EXPECT_TRUE(throws_naming<ConfigError>("expected none, as a model of family nanocodec",
                                         [&] { Speaking{test::codec_config()}; }));
  EXPECT_TRUE(throws_naming<ConfigError>(".family: expected \"nanocodec\"", [&] {
    Speaking{test::tiny_config(), test::tiny_config()};
  }));
}

// A quantizer of one group in place of two: the same levels one after the other.
TEST(MagpieSound, ReadsCodesByItsOwnLayout) {
  Json codec = test::codec_config();
  codec["model"]["groups"] = 1;
  codec["model"]["levels"] = {3, 4, 3, 4};
  Json model = test::tiny_config();
  model["model"]["quantizer"] = {{"groups", 2}, {"levels", {3, 4}}};
  const Speaking engine(model, codec);
  const Speaking plain;  // the same tensors
  EngineRig rig(engine.path(), ops::make_reference_backend());
  EngineRig other(plain.path(), ops::make_reference_backend());
  const Result result = rig.submit(text_of(5)).result();
  ASSERT_NE(result.finish_reason, FinishReason::error) << result.error;
  EXPECT_FALSE(result.audio.empty());
  EXPECT_EQ(other.submit(text_of(5)).result().audio, result.audio);
}

TEST(MagpieSound, HasRoomInTheMemoryThatIsPlanned) {
  const Speaking engine;
  const EngineData data(engine.path());
  const test::TinyEngine silent_engine;
  const EngineData silent(silent_engine.path());
  const auto use_of = [](const EngineData& of) {
    const auto backend = ops::make_reference_backend();
    const auto programs = of.family->programs(of.weights, of.limits, false);
    std::vector<ops::SizedProgram> sized;
    for (const FamilyProgram& program : programs)
      sized.push_back({&program.program, {program.max_rows, program.max_draws}});
    return backend->memory_use(of.family->state(of.limits, {}), sized);
  };
  EXPECT_GT(use_of(data).activations, use_of(silent).activations);
  EXPECT_GT(use_of(data).slots, use_of(silent).slots);
}

}  // namespace
}  // namespace ttsrt::model::magpie
