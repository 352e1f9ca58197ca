#include "model/vocos/family.h"

#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "support/errors.h"
#include "support/flow_models.h"
#include "support/tiny_engine.h"
#include "support/voices.h"

namespace ttsrt::model::vocos {
namespace {

using test::NoVoices;
using test::throws_naming;

Config config_of(const Json& model) { return read_config(JsonReader(model, "model")); }

TEST(VocosConfig, KnowsHowManyRowsBecomeSound) {
  Json model = test::vocoder_json();
  EXPECT_EQ(config_of(model).trim(), 16);
  EXPECT_EQ(config_of(model).sound_rows(5), 4);
  model["padding"] = "same";
  EXPECT_EQ(config_of(model).trim(), 12);
  EXPECT_EQ(config_of(model).sound_rows(5), 5);
}

TEST(VocosConfig, RefusesByNameWhatCannotBe) {
  const std::pair<const char*, Json> wrong[] = {
      {"n_fft", 40}, {"hop", 5}, {"padding", "valid"}, {"layers", 0}, {"sample_rate", 0}};
  for (const auto& [key, value] : wrong) {
    Json model = test::vocoder_json();
    model[key] = value;
    EXPECT_THROW(config_of(model), FormatError) << key;
  }
}

TEST(VocosFamily, StandsAlone) {
  const test::TinyEngine engine(test::vocoder_config());
  const EngineData data(engine.path());
  EXPECT_EQ(data.info.family, "vocos");
  EXPECT_TRUE(data.info.has_vocoder);
  const auto programs = data.family->programs(data.weights, data.limits, true);
  ASSERT_EQ(programs.size(), 1U);
  EXPECT_EQ(programs[0].emits, step::Emits::samples);
  EXPECT_EQ(data.weights.at("head").dtype, DType::float32);
}

TEST(VocosFamily, TakesASpectrogramAndNothingElse) {
  const Json config = test::vocoder_config();
  const VocosFamily family{JsonReader(config.at("model"), "model"),
                           JsonReader(config.at("defaults"), "defaults")};
  Limits limits;
  limits.max_seq_len = 12;
  const auto itineraries = family.itineraries(limits, nullptr);
  const auto of = [&itineraries](const Request& request) {
    return itineraries->itinerary(Request(request), NoVoices());
  };
  Request request;
  EXPECT_TRUE(throws_naming<ConfigError>("mel", [&] { of(request); }));
  request.text_ids = {1};  // what is missing is told before what is too much
  EXPECT_TRUE(throws_naming<ConfigError>("mel: expected", [&] { of(request); }));
  request.mel = InputRows(12, 6, std::vector<float>(72));
  EXPECT_TRUE(throws_naming<ConfigError>("text_ids: expected none", [&] { of(request); }));
  request.text_ids.clear();
  request.mel = InputRows(12, 6, std::vector<float>(72));
  EXPECT_EQ(of(request).stops.at(0).emitted_rows, 11);
  request.return_audio = false;
  EXPECT_TRUE(throws_naming<ConfigError>("return_audio", [&] { of(request); }));
  request.return_audio.reset();
  request.flow = Flow{};
  EXPECT_TRUE(throws_naming<ConfigError>("flow", [&] { of(request); }));
  request.flow.reset();
  for (const std::int32_t rows : {1, 13}) {
    request.mel = InputRows(rows, 6, std::vector<float>(static_cast<std::size_t>(6 * rows)));
    EXPECT_TRUE(throws_naming<ConfigError>("mel: expected [2 to 12, 6]", [&] { of(request); }));
  }
  EXPECT_THROW(itineraries->voice_of_vectors({1, 6, std::vector<float>(6)}), ConfigError);
}

}  // namespace
}  // namespace ttsrt::model::vocos
