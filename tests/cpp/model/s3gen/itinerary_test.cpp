#include "model/s3gen/itinerary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/s3gen/schedule.h"
#include "support/errors.h"
#include "support/s3gen_models.h"

namespace ttsrt::model::s3gen {
namespace {

using test::throws_naming;

class S3GenItinerary : public S3GenRequests {};

TEST_F(S3GenItinerary, HasAStopForEachProgram) {
  const step::Itinerary itinerary = of(usual({1, 2, 4}));
  ASSERT_EQ(itinerary.stops.size(), 2U);
  EXPECT_EQ(itinerary.stops[0].program, kSpeakerProgram);
  EXPECT_EQ(itinerary.stops[1].program, kScheduleProgram);
  EXPECT_EQ(itinerary.stops[1].rows.at(0).rows, 10);
  EXPECT_FLOAT_EQ(itinerary.rules.flow_scale, 0.7F);
  const std::vector<float>& unit = *itinerary.stops[0].rows[0].vectors;
  EXPECT_EQ(unit, (std::vector<float>{0.6F, 0.0F, 0.8F, 0.0F}));
  const std::vector<step::Stop> part = part_of(itinerary, 0);
  ASSERT_EQ(part.size(), 6U);
  const std::int32_t programs[] = {kNoiseProgram,  kPromptProgram, kEncodeProgram,
                                   kFramesProgram, kFlowProgram,   kSpectrogramProgram};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(part[i].program, programs[i]);
  const auto rows = [&](std::size_t stop, std::size_t source) {
    return part[stop].rows.at(source).rows;
  };
  EXPECT_EQ(rows(kNoise, 0), 12);
  EXPECT_EQ(rows(kPrompt, 0), 6);
  EXPECT_EQ(rows(kPrompt, 1), 6);
  EXPECT_EQ(*part[kEncode].rows[0].ids, (Ids{5, 5, 5, 1, 2, 4}));
  EXPECT_EQ(rows(kFrames, 0), 12);
  EXPECT_EQ(part[kFlow].repeats, 10);
  EXPECT_EQ(part[kFlow].rows.size(), 2U);
  EXPECT_TRUE(part[kFlow].rows[1].is_unconditional);
  EXPECT_EQ(part[kFlow].follows, (Ids{2, 3, 5, 0, 1}));
  EXPECT_EQ(rows(kSpectrogram, 0), 6);
  EXPECT_EQ(part[kSpectrogram].rows[0].kept_offset, 6);
  EXPECT_TRUE(part_of(itinerary, 1).empty());
}

TEST_F(S3GenItinerary, AFrameBeyondThoseOfThePromptIsNoSound) {
  const std::vector<step::Stop> part = part_of(of(usual({1}), 3, 7), 0);
  EXPECT_EQ(part[kFlow].rows[0].rows, 8);
  EXPECT_EQ(part[kSpectrogram].rows[0].rows, 1);
  EXPECT_EQ(part_of(of(usual({1}), 0, 0), 0)[kPrompt].rows.size(), 1U);
}

TEST_F(S3GenItinerary, AMeanFlowHasOneBranchAndSilenceBehindTheTokens) {
  make("meanflow");
  const step::Itinerary itinerary = of(usual({1, 60}));
  const std::vector<step::Stop> part = part_of(itinerary, 0);
  EXPECT_EQ(*part[kEncode].rows[0].ids, (Ids{5, 5, 5, 1, 7, 7, 7}));
  EXPECT_EQ(part[kFlow].rows.size(), 1U);
  EXPECT_EQ(part[kFlow].repeats, 2);
  // A row has the features of both ends of a step.
  EXPECT_EQ(itinerary.stops[1].rows[0].vectors->size(), 2U * 2 * 24);
  EXPECT_TRUE(refuses("as a mean flow has no guidance", [](Request& request) {
    request.flow = Flow{};
    request.flow->cfg_strength = 0.5F;
  }));
}

TEST_F(S3GenItinerary, RequestsThatDoNotFitAreRefused) {
  EXPECT_TRUE(refuses("codes: expected speech tokens", [](Request& r) { r.codes = {}; }));
  EXPECT_TRUE(refuses("codes[1]: expected 0 or more", [](Request& r) { r.codes.values[1] = -1; }));
  EXPECT_TRUE(
      refuses("at least one token of sound", [](Request& r) { r.codes.values = {50, 51}; }));
  EXPECT_TRUE(refuses("codes: expected at most 13 tokens",
                      [](Request& r) { r.codes = {14, 1, std::vector<std::int32_t>(14, 1)}; }));
  EXPECT_TRUE(refuses("voice: expected the name", [](Request& r) { r.voice.reset(); }));
  EXPECT_TRUE(refuses("noise: expected [10, 6]",
                      [](Request& r) { r.noise = InputRows(2, 6, std::vector<float>(12)); }));
  EXPECT_TRUE(refuses("return_audio: expected false", [](Request& r) { r.return_audio = true; }));
  EXPECT_TRUE(refuses("got neither", [](Request& r) { r.return_spectrogram = false; }));
  EXPECT_TRUE(refuses("mel: expected none", [](Request& r) {
    r = Request{};
    r.mel = InputRows(2, 6, std::vector<float>(12));
  }));
  EXPECT_TRUE(refuses("flow.steps: expected 1 to 128", [](Request& r) {
    r.flow = Flow{};
    r.flow->steps = 129;
  }));
  EXPECT_TRUE(refuses("flow.mode: expected", [](Request& r) {
    r.flow = Flow{};
    r.flow->mode = "pieces";
  }));
  EXPECT_TRUE(refuses("flow.hops: expected none without", [](Request& r) {
    r.flow = Flow{};
    r.flow->hops = {5};
  }));
  EXPECT_TRUE(refuses("flow.hops[1]: expected 1 to",
                      [](Request& r) { r = in_chunks(std::move(r), {5, 0}); }));
  EXPECT_TRUE(refuses("flow.history: expected 1 to",
                      [](Request& r) { r = in_chunks(std::move(r), {5}, 0); }));
  EXPECT_TRUE(refuses("codes: expected at most 0 tokens",
                      [](Request& r) { r = in_chunks(std::move(r), {12}, 4); }));
  EXPECT_TRUE(refuses("flow.method: expected none", [](Request& r) {
    r.flow = Flow{};
    r.flow->method = "euler";
  }));
  EXPECT_TRUE(refuses("min_p: expected none", [](Request& r) { r.min_p = 0.1F; }));
}

TEST_F(S3GenItinerary, VoicesThatDoNotFitAreRefused) {
  const auto refuses_voice = [&](const char* words, std::int32_t tokens, std::int32_t frames,
                                 auto change) {
    Speaker given = speaker(tokens, frames);
    change(given);
    return throws_naming<ConfigError>(words,
                                      [&] { itineraries_->voice_of_speaker(std::move(given)); });
  };
  const auto same = [](Speaker&) {};
  EXPECT_TRUE(refuses_voice("expected 6 frames for 3 tokens, or one more, got 8", 3, 8, same));
  EXPECT_TRUE(refuses_voice("expected [1 to 9, 6]", 5, 10, same));
  EXPECT_TRUE(refuses_voice("embedding: expected [4], got [3]", 1, 2,
                            [](Speaker& given) { given.embedding.pop_back(); }));
  EXPECT_TRUE(refuses_voice("prompt_token[0]: expected an id in [0, 49]", 1, 2,
                            [](Speaker& given) { given.prompt_codes[0] = 50; }));
  EXPECT_TRUE(
      refuses_voice("emotion: expected none", 1, 2, [](Speaker& given) { given.emotion = 0.5F; }));
  EXPECT_TRUE(throws_naming<ConfigError>("embeddings: expected none",
                                         [&] { itineraries_->voice_of_vectors({}); }));
  EXPECT_TRUE(throws_naming<ConfigError>("codes: expected none",
                                         [&] { itineraries_->voice_of_codes({}); }));
}

TEST(S3GenSchedule, TimesAreEvenOrOfACosine) {
  const std::vector<float> cosine = time_grid(10, true);
  const double known[] = {0,        0.012312, 0.048943, 0.108993, 0.190983, 0.292893,
                          0.412215, 0.546010, 0.690983, 0.843566, 1};
  ASSERT_EQ(cosine.size(), std::size(known));
  for (std::size_t i = 0; i < cosine.size(); ++i) EXPECT_NEAR(cosine[i], known[i], 1e-6);
  EXPECT_EQ(time_grid(2, false), (std::vector<float>{0.0F, 0.5F, 1.0F}));
  const std::vector<step::Evaluation> steps = evaluations_of({0.0F, 0.5F, 0.75F});
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[1].step_size, 0.25F);
  EXPECT_TRUE(steps[1].ends_step);
}

TEST(S3GenSchedule, FeaturesAreSinesThenCosines) {
  std::vector<float> features;
  add_time_features(0.0F, 8, features);
  add_time_features(0.25F, 8, features);
  ASSERT_EQ(features.size(), 16U);
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_EQ(features[k], 0.0F);
    EXPECT_EQ(features[4 + k], 1.0F);
    const double angle = 250.0 * std::pow(10000.0, -static_cast<double>(k) / 3.0);
    EXPECT_NEAR(features[8 + k], std::sin(angle), 1e-4);
    EXPECT_NEAR(features[12 + k], std::cos(angle), 1e-4);
  }
}

TEST(S3GenConfig, SizesThatContradictEachOtherAreRefused) {
  const auto refuses = [](const char* words, const char* pointer, const Json& value) {
    Json model = model_json("cfm");
    model[Json::json_pointer(pointer)] = value;
    return throws_naming<FormatError>(words, [&] { read_config(JsonReader(model, "model")); });
  };
  EXPECT_TRUE(refuses("flow: expected the part", "/flow", nullptr));
  EXPECT_TRUE(refuses("flow.kind", "/flow/kind", "other"));
  EXPECT_TRUE(refuses("flow.dim: expected a multiple of 4", "/flow/dim", 6));
  EXPECT_TRUE(refuses("mel_bins: expected a multiple of 2", "/flow/mel_bins", 5));
  EXPECT_TRUE(refuses("flow.upsampling", "/flow/upsampling", 0));
  EXPECT_TRUE(refuses("heads: expected at most 8192 columns", "/flow/estimator/heads", 2000));
  Json defaults = defaults_json("meanflow");
  defaults["guidance"] = 0.5;
  const Json model = model_json("meanflow");
  const Config config = read_config(JsonReader(model, "model"));
  EXPECT_TRUE(throws_naming<FormatError>(
      "guidance", [&] { read_defaults(JsonReader(defaults, "defaults"), config); }));
}

}  // namespace
}  // namespace ttsrt::model::s3gen
