#include "model/f5/itinerary.h"

#include <gtest/gtest.h>

#include "model/f5/family.h"
#include "model/f5/programs.h"
#include "support/errors.h"
#include "support/flow_models.h"
#include "support/voices.h"

namespace ttsrt::model::f5 {
namespace {

using test::NoVoices;
using test::throws_naming;

class F5Itinerary : public ::testing::Test {
 protected:
  F5Itinerary() {
    limits_.max_batch_size = 2;
    limits_.max_seq_len = 40;
    limits_.max_input_len = 20;
    limits_.max_encoder_input_len = 16;
    limits_.max_num_tokens = 80;
    make(test::flow_json());
  }

  void make(const Json& model) {
    const Json config = test::flow_config(model);
    const F5Family family{JsonReader(config.at("model"), "model"),
                          JsonReader(config.at("defaults"), "defaults")};
    itineraries_ = family.itineraries(limits_, nullptr);
  }

  step::Itinerary of(const Request& request) const {
    return itineraries_->itinerary(Request(request), NoVoices());
  }

  // A text of 3 ids and a prompt of 5 frames, of 12.
  static Request usual() {
    Request request;
    request.text_ids = {0, 8, 2};
    request.context_embeddings = InputRows(5, 6, std::vector<float>(30, 0.5F));
    request.flow = Flow{};
    request.flow->duration = 12;
    return request;
  }

  Limits limits_;
  std::unique_ptr<model::Itineraries> itineraries_;
};

TEST_F(F5Itinerary, HasAStopForEachProgram) {
  const step::Itinerary itinerary = of(usual());
  ASSERT_EQ(itinerary.stops.size(), 6U);
  for (std::int32_t i = 0; i < 5; ++i)
    EXPECT_EQ(itinerary.stops[static_cast<std::size_t>(i)].program, i);
  EXPECT_EQ(itinerary.stops[5].program, kVocoderProgram);
  EXPECT_EQ(itinerary.rules.text_len, 3);
  EXPECT_FLOAT_EQ(itinerary.rules.flow_scale, 2.0F);
  const step::Stop& text = itinerary.stops[kTextProgram];
  ASSERT_EQ(text.rows.size(), 2U);
  EXPECT_EQ((*text.rows[0].ids)[1], 9);  // the filler is row 0
  EXPECT_EQ((*text.rows[0].ids)[3], 0);
  EXPECT_TRUE(text.rows[1].is_unconditional);
  EXPECT_EQ(*text.rows[1].ids, std::vector<std::int32_t>(12, 0));
  const step::Stop& flow = itinerary.stops[kFlowProgram];
  EXPECT_EQ(flow.repeats, 4);
  ASSERT_NE(flow.evaluations, nullptr);
  EXPECT_EQ(flow.evaluations->size(), 4U);
  EXPECT_EQ(flow.rows.size(), 2U);
  EXPECT_EQ(flow.settled_rows, 5);  // all frames of the prompt
  const step::Stop& sound = itinerary.stops[5];
  EXPECT_EQ(sound.rows[0].kept_offset, 4);  // the last frame of the prompt
  EXPECT_EQ(sound.rows[0].rows, 8);
  EXPECT_EQ(sound.emitted_rows, 7);
}

TEST_F(F5Itinerary, SharesTheScheduleOfEqualTimes) {
  Request other = usual();
  const auto key = [this](const Request& request) {
    return *of(request).stops[kScheduleProgram].shared;
  };
  other.seed = 5;
  other.flow->duration = 30;
  other.flow->cfg_strength = 0.0F;
  EXPECT_EQ(key(usual()), key(other));
  other.flow->steps = 5;
  EXPECT_NE(key(usual()), key(other));
}

TEST_F(F5Itinerary, WithoutGuidanceHasOneBranch) {
  Request request = usual();
  request.flow->cfg_strength = 0.9e-5F;
  EXPECT_EQ(of(request).stops[kFlowProgram].rows.size(), 1U);
  EXPECT_EQ(of(request).stops[kTextProgram].rows.size(), 1U);
}

TEST_F(F5Itinerary, MarksFramesOfThePromptThatStay) {
  Request request = usual();
  request.flow->lens = 3;
  request.edit_mask = {1, 0, 1};
  const step::Stop prompt = of(request).stops[kPromptProgram];
  ASSERT_EQ(prompt.rows.size(), 2U);
  const std::vector<float>& rows = *prompt.rows[0].vectors;
  ASSERT_EQ(rows.size(), 3U * 7U);
  EXPECT_EQ(rows[0], 0.5F);
  EXPECT_EQ(rows[6], 1.0F);
  EXPECT_EQ(rows[7], 0.0F);
  EXPECT_EQ(rows[13], 0.0F);
  EXPECT_EQ(prompt.rows[1].rows, 9);
  EXPECT_EQ(of(request).stops[kFlowProgram].settled_rows, 1);  // before the first that changes
  request.flow->no_ref_audio = true;
  const step::Stop silent = of(request).stops[kPromptProgram];
  EXPECT_EQ((*silent.rows[0].vectors)[0], 0.0F);
  EXPECT_EQ((*silent.rows[0].vectors)[6], 1.0F);
}

TEST_F(F5Itinerary, HasOneFrameMoreThanPromptAndText) {
  Request request = usual();
  request.flow->duration = 1;
  EXPECT_EQ(of(request).stops[kFlowProgram].rows[0].rows, 6);
  request.text_ids.assign(16, 1);
  EXPECT_EQ(of(request).stops[kFlowProgram].rows[0].rows, 17);
  request.flow->max_duration = 16;
  EXPECT_TRUE(throws_naming<ConfigError>("flow.max_duration", [&] { of(request); }));
  request.flow->max_duration = 500;
  request.flow->duration = 60;
  EXPECT_TRUE(throws_naming<ConfigError>("flow.duration", [&] { of(request); }));
}

TEST_F(F5Itinerary, RefusesByNameWhatCannotBe) {
  using Change = void (*)(Request&);
  const std::pair<const char*, Change> wrong[] = {
      {"text_ids", [](Request& of) { of.text_ids.clear(); }},
      {"text_ids[0]", [](Request& of) { of.text_ids[0] = -1; }},
      {"text_ids", [](Request& of) { of.text_ids.assign(17, 1); }},
      {"flow.duration", [](Request& of) { of.flow->duration.reset(); }},
      {"flow.duration", [](Request& of) { of.flow->duration = 0; }},
      {"flow.max_duration", [](Request& of) { of.flow->max_duration = 0; }},
      {"flow.steps", [](Request& of) { of.flow->steps = 0; }},
      {"flow.method", [](Request& of) { of.flow->method = "heun"; }},
      {"flow.cfg_strength", [](Request& of) { of.flow->cfg_strength = -0.1F; }},
      {"flow.sway_sampling_coef", [](Request& of) { of.flow->sway_sampling_coef = 2.0F; }},
      {"flow.lens", [](Request& of) { of.flow->lens = 6; }},
      {"edit_mask", [](Request& of) { of.edit_mask = {1}; }},
      {"audio_start", [](Request& of) { of.audio_start = 11; }},
      {"noise", [](Request& of) { of.noise = InputRows(3, 6, std::vector<float>(18)); }},
      {"context", [](Request& of) { of.voice = 0; }},
      {"context_embeddings", [](Request& of) { of.context_embeddings.values[3] = NAN; }},
      {"top_k", [](Request& of) { of.top_k = 3; }},
      {"mask_invalid", [](Request& of) { of.mask_invalid = true; }}};
  for (const auto& [field, change] : wrong) {
    Request request = usual();
    change(request);
    EXPECT_TRUE(throws_naming<ConfigError>(field, [&] { of(request); })) << field;
  }
}

TEST_F(F5Itinerary, EndsAsTheRequestAsks) {
  Request request = usual();
  request.return_spectrogram = true;
  EXPECT_EQ(of(request).stops.size(), 7U);
  request.return_audio = false;
  EXPECT_EQ(of(request).stops.back().program, kSpectrogramProgram);
  request.return_spectrogram = false;
  EXPECT_TRUE(throws_naming<ConfigError>("return_audio", [&] { of(request); }));
  Json model = test::flow_json();
  model["vocoder"] = nullptr;
  make(model);
  EXPECT_EQ(of(usual()).stops.back().program, kSpectrogramProgram);
  request.return_audio = true;
  EXPECT_TRUE(throws_naming<ConfigError>("return_audio", [&] { of(request); }));
}

TEST_F(F5Itinerary, TurnsAGivenSpectrogramIntoSound) {
  Request request;
  request.mel = InputRows(9, 6, std::vector<float>(54));
  const step::Itinerary itinerary = of(request);
  ASSERT_EQ(itinerary.stops.size(), 1U);
  EXPECT_EQ(itinerary.stops[0].program, kVocoderProgram);
  EXPECT_EQ(itinerary.stops[0].emitted_rows, 8);
  request.text_ids = {1};
  EXPECT_TRUE(throws_naming<ConfigError>("text_ids", [&] { of(request); }));
  request.text_ids.clear();
  request.mel = InputRows(1, 6, std::vector<float>(6));
  EXPECT_TRUE(throws_naming<ConfigError>("mel", [&] { of(request); }));
}

TEST_F(F5Itinerary, VoicesAreRowsOfASpectrogram) {
  const Voice voice = itineraries_->voice_of_vectors({2, 6, std::vector<float>(12, 1.0F)});
  EXPECT_EQ(voice.rows(), 2);
  EXPECT_EQ(itineraries_->rows_of_voice(voice).values.size(), 12U);
  EXPECT_THROW(itineraries_->voice_of_vectors({2, 5, std::vector<float>(10)}), ConfigError);
  EXPECT_THROW(itineraries_->voice_of_codes({1, 1, {0}}), ConfigError);
}

}  // namespace
}  // namespace ttsrt::model::f5
