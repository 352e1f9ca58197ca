#include "model/s3gen/itinerary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/s3gen/family.h"
#include "model/s3gen/programs.h"
#include "model/s3gen/schedule.h"
#include "support/errors.h"

namespace ttsrt::model::s3gen {
namespace {

using test::throws_naming;
using Ids = std::vector<std::int32_t>;

Json model_json(const char* kind) {
  return {{"sample_rate", 24000},
          {"flow",
           {{"kind", kind},
            {"vocab", 50},
            {"dim", 8},
            {"heads", 2},
            {"ffn_dim", 16},
            {"layers", 1},
            {"up_layers", 1},
            {"lookahead", 3},
            {"upsampling", 2},
            {"mel_bins", 6},
            {"speaker_dim", 4},
            {"estimator",
             {{"dim", 8},
              {"heads", 1},
              {"head_dim", 8},
              {"ffn_dim", 16},
              {"time_dim", 12},
              {"layers", 1},
              {"mid_stages", 1}}}}},
          {"vocoder", nullptr}};
}

Json defaults_json(const char* kind) {
  const bool is_meanflow = std::string(kind) == "meanflow";
  return {{"steps", is_meanflow ? 2 : 10},
          {"guidance", is_meanflow ? 0.0 : 0.7},
          {"silence_token", 7},
          {"silence_tokens", is_meanflow ? 3 : 0}};
}

class OneVoice : public VoiceFinder {
 public:
  explicit OneVoice(Voice&& voice) : voice_(std::make_shared<const Voice>(std::move(voice))) {}
  std::shared_ptr<const Voice> find(const VoiceRef& /*voice*/) const override { return voice_; }

 private:
  std::shared_ptr<const Voice> voice_;
};

class S3GenItinerary : public ::testing::Test {
 protected:
  S3GenItinerary() {
    limits_.max_batch_size = 2;
    limits_.max_seq_len = 40;
    limits_.max_input_len = 9;
    limits_.max_encoder_input_len = 16;
    limits_.max_num_tokens = 80;
    make("cfm");
  }

  void make(const char* kind) {
    const Json model = model_json(kind);
    const Json defaults = defaults_json(kind);
    const S3GenFamily family{JsonReader(model, "model"), JsonReader(defaults, "defaults")};
    itineraries_ = family.itineraries(limits_, nullptr);
  }

  static Speaker speaker(std::int32_t tokens, std::int32_t frames) {
    Speaker given;
    given.embedding = {3.0F, 0.0F, 4.0F, 0.0F};
    given.prompt_codes.assign(static_cast<std::size_t>(tokens), 5);
    given.prompt_spectrogram = {frames, 6,
                                std::vector<float>(6 * static_cast<std::size_t>(frames))};
    return given;
  }

  step::Itinerary of(const Request& request, std::int32_t tokens = 3,
                     std::int32_t frames = 6) const {
    const OneVoice voices(itineraries_->voice_of_speaker(speaker(tokens, frames)));
    return itineraries_->itinerary(Request(request), voices);
  }

  static Request usual(Ids ids) {
    Request request;
    request.codes.rows = static_cast<std::int64_t>(ids.size());
    request.codes.cols = 1;
    request.codes.values = std::move(ids);
    request.voice = std::string("voice");
    return request;
  }

  template <typename Change>
  ::testing::AssertionResult refuses(const char* words, const Change& change) const {
    Request request = usual({1, 2});
    change(request);
    return throws_naming<ConfigError>(words, [&] { of(request); });
  }

  Limits limits_;
  std::unique_ptr<model::Itineraries> itineraries_;
};

TEST_F(S3GenItinerary, HasAStopForEachProgram) {
  const step::Itinerary itinerary = of(usual({1, 2, 4}));
  ASSERT_EQ(itinerary.stops.size(), 8U);
  for (std::int32_t i = 0; i < 8; ++i)
    EXPECT_EQ(itinerary.stops[static_cast<std::size_t>(i)].program, i);
  const auto rows = [&](std::size_t stop, std::size_t source) {
    return itinerary.stops[stop].rows.at(source).rows;
  };
  EXPECT_EQ(rows(kNoiseProgram, 0), 12);
  EXPECT_EQ(rows(kPromptProgram, 0), 6);
  EXPECT_EQ(rows(kPromptProgram, 1), 6);
  EXPECT_EQ(*itinerary.stops[kEncodeProgram].rows[0].ids, (Ids{5, 5, 5, 1, 2, 4}));
  EXPECT_EQ(rows(kFramesProgram, 0), 12);
  const step::Stop& flow = itinerary.stops[kFlowProgram];
  EXPECT_EQ(flow.repeats, 10);
  EXPECT_EQ(flow.rows.size(), 2U);
  EXPECT_TRUE(flow.rows[1].is_unconditional);
  EXPECT_FLOAT_EQ(itinerary.rules.cfg_scale, 0.7F);
  EXPECT_EQ(rows(kSpectrogramProgram, 0), 6);
  EXPECT_EQ(itinerary.stops[kSpectrogramProgram].rows[0].kept_offset, 6);
  const std::vector<float>& unit = *itinerary.stops[kSpeakerProgram].rows[0].vectors;
  EXPECT_EQ(unit, (std::vector<float>{0.6F, 0.0F, 0.8F, 0.0F}));
}

TEST_F(S3GenItinerary, AFrameBeyondThoseOfThePromptIsNoSound) {
  const step::Itinerary itinerary = of(usual({1}), 3, 7);
  EXPECT_EQ(itinerary.stops[kFlowProgram].rows[0].rows, 8);
  EXPECT_EQ(itinerary.stops[kSpectrogramProgram].rows[0].rows, 1);
  EXPECT_EQ(of(usual({1}), 0, 0).stops[kPromptProgram].rows.size(), 1U);
}

TEST_F(S3GenItinerary, AMeanFlowHasOneBranchAndSilenceBehindTheTokens) {
  make("meanflow");
  const step::Itinerary itinerary = of(usual({1, 60}));
  EXPECT_EQ(*itinerary.stops[kEncodeProgram].rows[0].ids, (Ids{5, 5, 5, 1, 7, 7, 7}));
  EXPECT_EQ(itinerary.stops[kFlowProgram].rows.size(), 1U);
  EXPECT_EQ(itinerary.stops[kFlowProgram].repeats, 2);
  // A row has the features of both ends of a step.
  EXPECT_EQ(itinerary.stops[kScheduleProgram].rows[0].vectors->size(), 16U * 2 * 24);
  EXPECT_TRUE(refuses("as a mean flow has no guidance", [](Request& request) {
    request.flow = Flow{};
    request.flow->cfg_strength = 0.5F;
  }));
}

TEST_F(S3GenItinerary, SchedulesOfEqualTimesAreShared) {
  const auto key = [&](std::int32_t steps) {
    Request request = usual({1});
    request.flow = Flow{};
    request.flow->steps = steps;
    return of(request).stops[kScheduleProgram].shared;
  };
  EXPECT_EQ(key(10), of(usual({1, 2})).stops[kScheduleProgram].shared);
  EXPECT_NE(key(10), key(9));
  EXPECT_EQ(key(17)->rows, 32);
}

TEST_F(S3GenItinerary, OnlySoundIsKeptOfWhatWasDrawn) {
  Config config;
  config.vocab = 50;
  EXPECT_EQ(sound_ids({3, 50, 4, 70, 5, 51, 6}, config), (Ids{4, 5}));
  EXPECT_EQ(sound_ids({3, 50, 4}, config), (Ids{4}));
  EXPECT_EQ(sound_ids({3, 51, 4}, config), (Ids{3}));
  EXPECT_EQ(sound_ids({51, 3, 50, 4}, config), (Ids{}));
  EXPECT_EQ(sound_ids({50, 51}, config), (Ids{}));
  config.is_meanflow = true;
  EXPECT_EQ(sound_ids({3, 50, 4, 70, 5, 51, 6}, config), (Ids{3, 4, 5, 6}));
}

TEST_F(S3GenItinerary, RequestsThatDoNotFitAreRefused) {
  EXPECT_TRUE(refuses("codes: expected speech tokens", [](Request& r) { r.codes = {}; }));
  EXPECT_TRUE(refuses("codes[1]: expected 0 or more", [](Request& r) { r.codes.values[1] = -1; }));
  EXPECT_TRUE(
      refuses("at least one token of sound", [](Request& r) { r.codes.values = {50, 51}; }));
  EXPECT_TRUE(refuses("codes: expected at most 16 tokens",
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
