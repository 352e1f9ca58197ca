#include "model/llm/itinerary.h"

#include <gtest/gtest.h>

#include "model/causal_decoder.h"
#include "model/llm/family.h"
#include "support/causal_models.h"
#include "support/errors.h"
#include "support/voices.h"

namespace ttsrt::model::llm {
namespace {

using test::NoVoices;
using test::throws_naming;

class LlmItinerary : public ::testing::Test {
 protected:
  LlmItinerary() {
    limits_.max_batch_size = 2;
    limits_.max_seq_len = 16;
    limits_.max_input_len = 12;
    limits_.max_num_tokens = 32;
    remake();
  }

  void remake() {
    const Json config = test::llm_config();
    const LlmFamily family{JsonReader(config.at("model"), "model"),
                           JsonReader(config.at("defaults"), "defaults")};
    itineraries_ = family.itineraries(limits_, nullptr);
  }

  step::Itinerary of(const Request& request) const {
    return itineraries_->itinerary(Request(request), NoVoices());
  }
  static Request prompt(std::vector<std::int32_t> ids) {
    Request request;
    request.text_ids = std::move(ids);
    return request;
  }

  Limits limits_;
  std::unique_ptr<model::Itineraries> itineraries_;
};

TEST_F(LlmItinerary, TheLastRowOfThePromptIsTheFirstDecodeRow) {
  const step::Itinerary itinerary = of(prompt({5, 6, 7}));
  ASSERT_EQ(itinerary.stops.size(), 2U);
  const step::Stop& prefill = itinerary.stops[0];
  EXPECT_EQ(prefill.program, kPrefillProgram);
  EXPECT_EQ(prefill.rows.at(0).input, step::Input::ids);
  EXPECT_EQ(*prefill.rows.at(0).ids, (std::vector<std::int32_t>{5, 6}));
  EXPECT_EQ(prefill.rows.at(0).position_table, -1);
  const step::Stop& decode = itinerary.stops[1];
  EXPECT_EQ(decode.program, kDecodeProgram);
  EXPECT_EQ(decode.position, 2);
  EXPECT_EQ(*decode.rows.at(0).ids, std::vector<std::int32_t>{7});
  EXPECT_EQ(decode.follows, std::vector<std::int32_t>{0});
  EXPECT_EQ(decode.repeats, 14);  // the default of 20 gives way to max_seq_len
}

TEST_F(LlmItinerary, AOneTokenPromptHasNoPrefill) {
  const step::Itinerary itinerary = of(prompt({5}));
  ASSERT_EQ(itinerary.stops.size(), 1U);
  EXPECT_TRUE(itinerary.stops[0].follows.empty());
  EXPECT_EQ(itinerary.stops[0].repeats, 16);
}

// Sharing takes whole blocks of 16 rows, so that it costs no block of the cache.
TEST_F(LlmItinerary, WhatRequestsShareIsWholeBlocks) {
  limits_.max_seq_len = 64;
  limits_.max_input_len = 60;
  remake();
  std::vector<std::int32_t> ids(40);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i % 30);
  Request request = prompt(ids);
  for (const auto& [asked, shared] : std::vector<std::pair<std::int32_t, std::int32_t>>{
           {0, 0}, {15, 0}, {16, 16}, {31, 16}, {40, 32}}) {
    request.shared_prefix = asked;
    const step::Itinerary itinerary = of(request);
    ASSERT_EQ(itinerary.stops.size(), shared > 0 ? 3U : 2U) << asked;
    const step::Stop& first = itinerary.stops.front();
    EXPECT_EQ(first.shared.has_value(), shared > 0);
    EXPECT_EQ(first.rows.at(0).rows, shared > 0 ? shared : 39);
    if (shared == 0) continue;
    EXPECT_EQ(first.shared->rows, shared);
    const step::Stop& rest = itinerary.stops[1];
    EXPECT_EQ(rest.position, shared);
    EXPECT_EQ(rest.rows.at(0).rows, 39 - shared);
    EXPECT_EQ(rest.rows.at(0).ids->front(), ids[static_cast<std::size_t>(shared)]);
    EXPECT_EQ(rest.follows, std::vector<std::int32_t>{0});
    EXPECT_EQ(itinerary.stops[2].follows, std::vector<std::int32_t>{1});
    Request other = request;
    EXPECT_EQ(of(other).stops.front().shared, first.shared);
    other.text_ids[15] ^= 1;
    EXPECT_NE(of(other).stops.front().shared, first.shared);
  }
  request.text_ids.resize(33);  // nothing of the prompt is left behind what is shared
  request.shared_prefix = 33;
  const step::Itinerary itinerary = of(request);
  ASSERT_EQ(itinerary.stops.size(), 2U);
  EXPECT_EQ(itinerary.stops[1].follows, std::vector<std::int32_t>{0});
  for (const std::int32_t wrong : {-1, 34}) {
    request.shared_prefix = wrong;
    EXPECT_TRUE(throws_naming<ConfigError>("shared_prefix: expected 0 to the 33 ids",
                                           [&] { of(request); }));
  }
  request.shared_prefix = 16;
  request.score = true;
  EXPECT_TRUE(throws_naming<ConfigError>("shared_prefix", [&] { of(request); }));
}

TEST_F(LlmItinerary, ScoredIdsAreRowsOfOneStopButForTheLast) {
  Request request = prompt(std::vector<std::int32_t>(17, 3));  // more than a prompt may have
  request.score = true;
  const step::Itinerary itinerary = of(request);
  ASSERT_EQ(itinerary.stops.size(), 1U);
  const step::Stop& stop = itinerary.stops[0];
  EXPECT_EQ(stop.program, kScoreProgram);
  EXPECT_EQ(stop.rows.at(0).rows, 16);
  EXPECT_EQ(stop.rows.at(0).ids->size(), 17U);
  EXPECT_EQ(itinerary.tokens, nullptr);
  const auto refuses = [this](const char* field, const Request& wrong) {
    return throws_naming<ConfigError>(field, [&] { of(wrong); });
  };
  request.temperature = 1.0F;
  EXPECT_TRUE(refuses("temperature", request));
  request.temperature.reset();
  request.text_ids.push_back(3);
  EXPECT_TRUE(refuses("text_ids: expected 2 to 17 ids", request));
  request.text_ids.resize(1);
  EXPECT_TRUE(refuses("text_ids: expected 2 to 17 ids", request));
}

TEST_F(LlmItinerary, TokenRulesAreOfTheRequest) {
  Request request = prompt({5, 6, 5});
  EXPECT_EQ(of(request).tokens, nullptr);
  request.repetition_penalty = 1.5F;
  const step::Itinerary itinerary = of(request);
  ASSERT_NE(itinerary.tokens, nullptr);
  EXPECT_EQ(itinerary.tokens->seen, (std::vector<std::int32_t>{5, 6}));
}

TEST_F(LlmItinerary, BadRequestsNameTheField) {
  const auto refuses = [this](const char* field, const Request& request) {
    return throws_naming<ConfigError>(field, [&] { of(request); });
  };
  EXPECT_TRUE(refuses("text_ids", prompt({})));
  EXPECT_TRUE(refuses("text_ids[1]", prompt({1, 30})));
  EXPECT_TRUE(refuses("text_ids", prompt(std::vector<std::int32_t>(13, 1))));
  Request request = prompt({1, 2});
  request.cfg_scale = 2.0F;
  EXPECT_TRUE(refuses("cfg_scale", request));
  request.cfg_scale.reset();
  request.max_frames = 16;
  EXPECT_TRUE(refuses("max_frames: expected at most 15", request));
  request.max_frames.reset();
  request.voice = VoiceRef{0};
  EXPECT_TRUE(refuses("voice", request));
  request.voice.reset();
  request.text_features = {1, 1, {0.0F}};
  EXPECT_TRUE(refuses("text_features", request));
  request.text_features = {};
  request.emotion = 0.5F;
  EXPECT_TRUE(refuses("emotion", request));
  request.emotion.reset();
  request.prompt_embeddings = {1, 1, {0.0F}};
  EXPECT_TRUE(refuses("prompt_embeddings", request));
  EXPECT_THROW(itineraries_->voice_of_vectors({}), ConfigError);
  EXPECT_THROW(itineraries_->voice_of_codes({}), ConfigError);
}

}  // namespace
}  // namespace ttsrt::model::llm
