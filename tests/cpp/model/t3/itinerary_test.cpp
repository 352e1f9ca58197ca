#include "model/t3/itinerary.h"

#include <gtest/gtest.h>

#include "model/causal_decoder.h"
#include "model/t3/family.h"
#include "support/causal_models.h"
#include "support/errors.h"

namespace ttsrt::model::t3 {
namespace {

using step::Branch;
using step::Input;
using test::throws_naming;

class OneVoice final : public VoiceFinder {
 public:
  std::shared_ptr<const step::RowSource> find(const VoiceRef& /*voice*/) const override {
    step::RowSource voice;
    voice.input = Input::vectors;
    voice.rows = 3;
    voice.vectors = std::make_shared<const std::vector<float>>(3 * 12, 0.5F);
    return std::make_shared<const step::RowSource>(voice);
  }
};

class T3Itinerary : public ::testing::Test {
 protected:
  T3Itinerary() {
    limits_.max_batch_size = 2;
    limits_.max_seq_len = 30;
    limits_.max_input_len = 12;
    limits_.max_encoder_input_len = 10;
    limits_.max_num_tokens = 32;
  }

  step::Itinerary of(const Request& request, const Json& config = test::t3_config()) const {
    const T3Family family{JsonReader(config.at("model"), "model"),
                          JsonReader(config.at("defaults"), "defaults")};
    return family.itineraries(limits_)->itinerary(Request(request), OneVoice());
  }
  static Request spoken() {
    Request request;
    request.text_ids = {1, 2, 3, 4};
    request.context_embeddings = {3, 12, std::vector<float>(3 * 12, 0.5F)};
    return request;
  }

  Limits limits_;
};

TEST_F(T3Itinerary, BothBranchesShareThePrefixAndKeepTheTextPositions) {
  const step::Itinerary itinerary = of(spoken());  // guided by default
  ASSERT_EQ(itinerary.stops.size(), 5U);
  EXPECT_TRUE(itinerary.is_guided());
  const step::Stop& prefix = itinerary.stops[0];
  EXPECT_EQ(prefix.program, kPrefillProgram);
  EXPECT_EQ(prefix.rows.at(0).input, Input::vectors);
  EXPECT_EQ(prefix.rows.at(0).position_table, -1);
  ASSERT_TRUE(prefix.shared.has_value());
  EXPECT_EQ(prefix.shared->rows, 3);
  EXPECT_EQ(prefix.shared, itinerary.stops[2].shared);
  EXPECT_EQ(itinerary.stops[2].branch, Branch::unconditional);
  for (const std::size_t index : {1U, 3U}) {
    const step::Stop& text = itinerary.stops[index];
    EXPECT_EQ(text.position, 3);
    EXPECT_EQ(text.follows, std::vector<std::int32_t>{static_cast<std::int32_t>(index) - 1});
    ASSERT_EQ(text.rows.size(), 2U);
    EXPECT_EQ(text.rows[0].input, index == 1 ? Input::ids : Input::zeros);
    EXPECT_EQ(text.rows[0].rows, 4);
    EXPECT_EQ(text.rows[0].position_table, 0);
    EXPECT_EQ(*text.rows[1].ids, std::vector<std::int32_t>{38});
    EXPECT_EQ(text.rows[1].position_table, 1);
    EXPECT_EQ(text.rows[1].first_position, 0);
  }
  const step::Stop& decode = itinerary.stops[4];
  EXPECT_EQ(decode.program, kDecodeProgram);
  EXPECT_EQ(decode.num_branches, 2);
  EXPECT_EQ(decode.position, 8);
  EXPECT_EQ(decode.rows.at(0).first_position, 0);  // the second start row has the same position
  EXPECT_EQ(decode.repeats, 20);
}

TEST_F(T3Itinerary, WithoutGuidanceOneBranchRuns) {
  Request request = spoken();
  request.cfg_scale = 1.0F;
  const step::Itinerary itinerary = of(request);
  ASSERT_EQ(itinerary.stops.size(), 3U);
  EXPECT_EQ(itinerary.stops[2].num_branches, 1);
}

TEST_F(T3Itinerary, BosCountsAsSeenFromTheStart) {
  Request request = spoken();
  request.repetition_penalty = 1.2F;
  const rules::SamplerRules sampler = of(request).rules.sampler;
  EXPECT_EQ(sampler.repetition_penalty, 1.2F);
  EXPECT_EQ(sampler.order[0], rules::Processor::repetition_penalty);
  EXPECT_EQ(sampler.order[1], rules::Processor::temperature);
  EXPECT_EQ(sampler.num_seen_first, 1);
  EXPECT_EQ(sampler.seen_first[0], 38);
}

TEST_F(T3Itinerary, EqualRowsShareAPrefixWhoeverSendsThem) {
  Request voiced = spoken();
  voiced.context_embeddings = {};
  voiced.voice = VoiceRef{0};
  EXPECT_EQ(of(voiced).stops[0].shared, of(spoken()).stops[0].shared);
  Request other = spoken();
  other.context_embeddings.values[5] = 0.25F;
  EXPECT_NE(of(other).stops[0].shared, of(spoken()).stops[0].shared);
}

TEST_F(T3Itinerary, PositionsOfTheDecoderCountEveryRow) {
  Json config = test::t3_config();
  config["model"]["text_positions"] = config["model"]["speech_positions"] = 0;
  config["model"]["start_rows"] = 1;
  config["model"]["decoder"]["learned_positions"] = true;
  config["defaults"]["cfg_scale"] = 1.0;
  const step::Itinerary itinerary = of(spoken(), config);
  ASSERT_EQ(itinerary.stops.size(), 3U);
  EXPECT_EQ(itinerary.stops[0].rows.at(0).position_table, 0);
  EXPECT_EQ(itinerary.stops[1].rows.size(), 1U);
  EXPECT_EQ(itinerary.stops[1].rows.at(0).first_position, 3);
  EXPECT_EQ(itinerary.stops[2].rows.at(0).first_position, 7);
  EXPECT_EQ(itinerary.stops[2].position, 7);
}

TEST_F(T3Itinerary, BadRequestsNameTheField) {
  const auto refuses = [this](const char* field, auto change) {
    Request request = spoken();
    change(request);
    return throws_naming<ConfigError>(field, [&] { of(request); });
  };
  EXPECT_TRUE(refuses("text_ids", [](Request& of) { of.text_ids.clear(); }));
  EXPECT_TRUE(refuses("text_ids[0]", [](Request& of) { of.text_ids = {9}; }));
  EXPECT_TRUE(refuses("context", [](Request& of) { of.context_embeddings = {}; }));
  EXPECT_TRUE(refuses("context", [](Request& of) { of.voice = VoiceRef{0}; }));
  EXPECT_TRUE(refuses("context_embeddings", [](Request& of) { of.context_embeddings.cols = 6; }));
  EXPECT_TRUE(refuses("max_frames: expected at most 22", [](Request& of) { of.max_frames = 23; }));
}

TEST_F(T3Itinerary, VoicesAreEmbeddings) {
  const Json config = test::t3_config();
  const T3Family family{JsonReader(config.at("model"), "model"),
                        JsonReader(config.at("defaults"), "defaults")};
  const auto itineraries = family.itineraries(limits_);
  EXPECT_EQ(itineraries->voice_of_vectors({2, 12, std::vector<float>(24, 1.0F)}).rows, 2);
  EXPECT_TRUE(throws_naming<ConfigError>("embeddings", [&] { itineraries->voice_of_codes({}); }));
}

}  // namespace
}  // namespace ttsrt::model::t3
