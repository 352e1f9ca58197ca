#include "model/t3/itinerary.h"

#include <gtest/gtest.h>

#include "model/block_decoder.h"
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
  std::shared_ptr<const Voice> find(const VoiceRef& /*voice*/) const override {
    Voice voice;
    for (const std::int32_t rows : {2, 1}) {
      step::RowSource part;
      part.input = Input::vectors;
      part.rows = rows;
      part.vectors =
          std::make_shared<const std::vector<float>>(static_cast<std::size_t>(rows) * 12, 0.5F);
      voice.parts.push_back(part);
    }
    return std::make_shared<const Voice>(voice);
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
    return family.itineraries(limits_, nullptr)->itinerary(Request(request), OneVoice());
  }
  static Request spoken() {
    Request request;
    request.text_ids = {1, 2, 3, 4};
    request.context_embeddings = {3, 12, std::vector<float>(3 * 12, 0.5F)};
    return request;
  }

  Limits limits_;
};

TEST_F(T3Itinerary, RowsOfAGuidedRequest) {
  const step::Itinerary itinerary = of(spoken());  // guided by default
  ASSERT_EQ(itinerary.stops.size(), 5U);
  EXPECT_TRUE(itinerary.is_guided());
  const step::Stop& voice = itinerary.stops[0];
  EXPECT_EQ(voice.program, kPrefillProgram);
  EXPECT_EQ(voice.rows.at(0).input, Input::vectors);
  EXPECT_EQ(voice.rows.at(0).position_table, -1);
  ASSERT_TRUE(voice.shared.has_value());
  EXPECT_EQ(voice.shared->rows, 2);  // the emotion isn't shared
  const step::Stop& text = itinerary.stops[1];
  EXPECT_EQ(text.position, 2);
  EXPECT_EQ(text.follows, std::vector<std::int32_t>{0});
  ASSERT_EQ(text.rows.size(), 3U);
  EXPECT_EQ(text.rows[0].rows, 1);
  EXPECT_EQ(text.rows[1].input, Input::ids);
  EXPECT_EQ(text.rows[1].rows, 4);
  EXPECT_EQ(text.rows[1].position_table, 0);
  EXPECT_EQ(*text.rows[2].ids, std::vector<std::int32_t>{38});
  EXPECT_EQ(text.rows[2].position_table, 1);
  EXPECT_EQ(text.rows[2].first_position, 0);
  const step::Stop& decode = itinerary.stops[4];
  EXPECT_EQ(decode.program, kDecodeProgram);
  EXPECT_EQ(decode.num_branches, 2);
  EXPECT_EQ(decode.position, 8);
  EXPECT_EQ(decode.rows.at(0).first_position, 0);  // the second start row has the same position
  EXPECT_EQ(decode.repeats, 20);
}

// Its rows depend on the voice and the length alone: of several lengths, one prefix.
TEST_F(T3Itinerary, TheUnconditionalTextIsSharedAndForkedAsFarAsNeeded) {
  Request longer = spoken();
  longer.text_ids = {1, 2, 3, 4, 5, 6};
  const step::Itinerary itineraries[] = {of(spoken()), of(longer)};
  for (const step::Itinerary& itinerary : itineraries) {
    const step::Stop& prefix = itinerary.stops[2];
    EXPECT_EQ(prefix.branch, Branch::unconditional);
    EXPECT_EQ(prefix.position, 0);
    ASSERT_EQ(prefix.rows.size(), 3U);
    EXPECT_EQ(prefix.rows[2].input, Input::zeros);
    EXPECT_EQ(prefix.rows[2].position_table, 0);
    EXPECT_EQ(prefix.rows[2].rows, 10);  // max_encoder_input_len
    EXPECT_EQ(prefix.shared, itineraries[0].stops[2].shared);
    const step::Stop& start = itinerary.stops[3];
    EXPECT_EQ(start.branch, Branch::unconditional);
    EXPECT_EQ(start.follows, std::vector<std::int32_t>{2});
    EXPECT_EQ(start.position, prefix.forked_rows);
  }
  EXPECT_EQ(itineraries[0].stops[2].forked_rows, 3 + 4);
  EXPECT_EQ(itineraries[1].stops[2].forked_rows, 3 + 6);
}

TEST_F(T3Itinerary, TheAnalyzerReadsTheRowsOfTheText) {
  Json config = test::t3_config();
  Request request = spoken();
  EXPECT_EQ(of(request).rules.text_len, 0);
  request.analyze_alignment = true;
  EXPECT_TRUE(throws_naming<ConfigError>("analyze_alignment", [&] { of(request); }));
  config["model"]["analyzer"] = {{"heads", {{1, 3}, {0, 2}}}};
  const step::Itinerary itinerary = of(request, config);
  EXPECT_TRUE(itinerary.rules.analyzer.acts);
  EXPECT_EQ(itinerary.rules.analyzer.text_begin, 3);
  EXPECT_EQ(itinerary.rules.text_len, 4);
  EXPECT_EQ(itinerary.text_len, 4);
  request.analyze_alignment.reset();
  EXPECT_FALSE(of(request, config).rules.analyzer.acts);
  config["defaults"]["analyzer"] = true;
  EXPECT_TRUE(of(request, config).rules.analyzer.acts);
  request.analyze_alignment = false;
  request.return_alignment = true;
  EXPECT_FALSE(of(request, config).rules.analyzer.acts);
  EXPECT_TRUE(of(request, config).rules.keep_scores);
}

TEST_F(T3Itinerary, APromptOfEmbeddingsHasNoAlignment) {
  Json config = test::t3_config();
  config["model"]["analyzer"] = {{"heads", {{1, 3}}}};
  config["defaults"]["analyzer"] = true;
  Request request;
  request.cfg_scale = 1.0F;
  request.prompt_embeddings = {3, 12, std::vector<float>(3 * 12, 0.5F)};
  EXPECT_FALSE(of(request, config).rules.analyzer.acts);
  request.analyze_alignment = true;
  EXPECT_TRUE(throws_naming<ConfigError>("analyze_alignment", [&] { of(request, config); }));
  request.return_alignment = true;
  EXPECT_TRUE(throws_naming<ConfigError>("return_alignment", [&] { of(request, config); }));
}

TEST_F(T3Itinerary, InvalidIdsAreMaskedWhereAsked) {
  Request request = spoken();
  EXPECT_EQ(of(request).rules.first_invalid, 0);
  request.mask_invalid = true;
  const step::Itinerary itinerary = of(request);
  EXPECT_EQ(itinerary.rules.first_invalid, 40);  // the end of speech is 39
  ASSERT_EQ(itinerary.rules.num_forbidden, 1);
  EXPECT_EQ(itinerary.rules.forbidden[0], 38);
}

TEST_F(T3Itinerary, TextMixesIdsAndRows) {
  Request request = spoken();
  request.cfg_scale = 1.0F;
  request.text_ids = {7, -1, -1, 4, -1};
  request.text_features = {3, 12, std::vector<float>(3 * 12, 0.5F)};
  request.text_features.values[2 * 12] = 8.0F;
  const std::vector<step::RowSource> rows = of(request).stops[1].rows;
  ASSERT_EQ(rows.size(), 1U + 4U + 1U);
  EXPECT_EQ(*rows[1].ids, std::vector<std::int32_t>{7});
  EXPECT_EQ(rows[2].input, Input::vectors);
  EXPECT_EQ(rows[2].rows, 2);
  EXPECT_EQ(rows[2].first_position, 1);
  EXPECT_EQ(rows[2].position_table, 0);
  EXPECT_EQ(*rows[3].ids, std::vector<std::int32_t>{4});
  EXPECT_EQ(rows[4].vectors->front(), 8.0F);
  EXPECT_EQ(rows[4].first_position, 4);
  request.text_ids = {};  // rows alone
  EXPECT_EQ(of(request).stops[1].rows.at(1).rows, 3);
}

TEST_F(T3Itinerary, APromptOfEmbeddings) {
  Request request;
  request.prompt_embeddings = {5, 12, std::vector<float>(5 * 12, 0.5F)};
  request.unconditional_embeddings = {5, 12, std::vector<float>(5 * 12, 0.25F)};
  const step::Itinerary guided = of(request);
  ASSERT_EQ(guided.stops.size(), 3U);
  EXPECT_EQ(guided.stops[1].branch, Branch::unconditional);
  EXPECT_EQ(guided.stops[1].rows.at(0).rows, 4);
  const step::Stop& decode = guided.stops[2];
  EXPECT_EQ(decode.position, 4);
  ASSERT_EQ(decode.rows.size(), 3U);
  for (std::size_t branch = 0; branch < 2; ++branch) {
    EXPECT_EQ(decode.rows[branch].rows, 1);
    EXPECT_EQ(decode.rows[branch].position_table, -1);
    EXPECT_EQ(decode.rows[branch].vectors->at(11), branch == 0 ? 0.5F : 0.25F);
  }
  EXPECT_EQ(decode.rows[2].position_table, 1);
  request.cfg_scale = 1.0F;
  request.unconditional_embeddings = {};
  EXPECT_EQ(of(request).stops.size(), 2U);
}

// Rows on a device are read there, each where it is, and never shared, as nobody knows them.
TEST_F(T3Itinerary, RowsOnADevice) {
  const auto data = std::shared_ptr<const float>(
      std::make_shared<int>(), reinterpret_cast<const float*>(std::uintptr_t{4096}));
  Request prompt;
  prompt.prompt_embeddings = InputRows::on_gpu(0, data, 5, 12);
  prompt.unconditional_embeddings = {5, 12, std::vector<float>(5 * 12, 0.25F)};
  const step::Itinerary given = of(prompt);
  EXPECT_EQ(given.stops[0].rows.at(0).device_vectors, data);
  EXPECT_EQ(given.stops[0].rows.at(0).rows, 4);
  EXPECT_EQ(given.stops[2].rows.at(0).device_vectors.get(), data.get() + 4 * 12);
  EXPECT_EQ(given.stops[2].rows.at(1).device_vectors, nullptr);

  Request request = spoken();
  const step::Itinerary shared = of(request);
  request.context_embeddings = InputRows::on_gpu(0, data, 3, 12);
  const step::Itinerary own = of(request);
  ASSERT_EQ(own.stops.size(), shared.stops.size());
  EXPECT_TRUE(shared.stops[0].shared.has_value());
  for (const step::Stop& stop : own.stops) {
    EXPECT_FALSE(stop.shared.has_value());
    EXPECT_EQ(stop.forked_rows, 0);
  }
  EXPECT_EQ(own.stops[0].rows.at(0).device_vectors, data);
  EXPECT_EQ(own.stops[0].rows.at(0).rows, 2);
  EXPECT_EQ(own.stops[1].rows.at(0).device_vectors.get(), data.get() + 2 * 12);  // the emotion's
  EXPECT_EQ(own.stops[1].position, shared.stops[1].position);
  // No more zeros than the text has tokens, as nobody forks them.
  EXPECT_EQ(own.stops[2].rows.back().rows, static_cast<std::int32_t>(request.text_ids.size()));
}

TEST_F(T3Itinerary, WithoutGuidanceOneBranchRuns) {
  Request request = spoken();
  request.cfg_scale = 1.0F;
  const step::Itinerary itinerary = of(request);
  ASSERT_EQ(itinerary.stops.size(), 3U);
  EXPECT_EQ(itinerary.stops[2].num_branches, 1);
}

TEST_F(T3Itinerary, RowsOfAGuidedRequestOfBlocks) {
  const step::Itinerary itinerary = of(spoken(), test::block_config());
  ASSERT_EQ(itinerary.stops.size(), 6U);
  EXPECT_EQ(itinerary.rules.frame_stacking, 4);
  EXPECT_EQ(itinerary.rules.block.steps, 3);
  EXPECT_EQ(itinerary.rules.block.mask_id, 40);
  EXPECT_EQ(itinerary.stops[1].rows.size(), 2U);  // emotion and text, no start row
  const step::Stop& zeros = itinerary.stops[3];
  EXPECT_EQ(zeros.branch, Branch::unconditional);
  ASSERT_EQ(zeros.rows.size(), 1U);
  EXPECT_EQ(zeros.rows[0].input, Input::zeros);
  EXPECT_EQ(zeros.rows[0].position_table, -1);
  EXPECT_EQ(zeros.forked_rows, 3 + 4);
  EXPECT_GE(zeros.shared->rows, 3 + 4);
  for (const std::size_t start : {std::size_t{2}, std::size_t{4}}) {
    const step::Stop& stop = itinerary.stops[start];
    EXPECT_EQ(stop.program, kStartProgram);
    EXPECT_EQ(stop.position, 7);
    EXPECT_EQ(*stop.rows.at(0).ids, std::vector<std::int32_t>{38});
    EXPECT_EQ(stop.rows[0].position_table, 1);
    EXPECT_EQ(stop.rows[0].kept_offset, start == 4 ? 1 : 0);
  }
  const step::Stop& blocks = itinerary.stops[5];
  EXPECT_EQ(blocks.program, kBlocksProgram);
  EXPECT_EQ(blocks.position, 8);
  EXPECT_EQ(blocks.num_branches, 2);
  EXPECT_EQ(blocks.rows.at(0).input, Input::block_codes);
  EXPECT_EQ(blocks.block_rows, 4);
  EXPECT_EQ(blocks.block_frames, 30 - 8);  // what max_seq_len leaves of the usual number
}

TEST_F(T3Itinerary, OptionsOfBlocks) {
  Request request = spoken();
  request.cfg_scale = 1.0F;
  request.max_frames = 6;
  request.block = BlockDiffusion{7, 0.5F, {}, 0.0F};
  const step::Itinerary itinerary = of(request, test::block_config());
  ASSERT_EQ(itinerary.stops.size(), 4U);
  EXPECT_EQ(itinerary.stops.back().block_frames, 6);
  EXPECT_EQ(itinerary.rules.block.steps, 7);
  EXPECT_EQ(itinerary.rules.block.early, 0.5F);
  EXPECT_EQ(itinerary.rules.block.shift, 0.5F);
  EXPECT_EQ(itinerary.rules.block.noise, 0.0F);
  const auto asked = [this](const Request& of_blocks) { of(of_blocks, test::block_config()); };
  request.block->steps = 65;
  EXPECT_TRUE(throws_naming<ConfigError>("block.steps", [&] { asked(request); }));
  request.block = {};
  request.repetition_penalty = 1.2F;
  EXPECT_TRUE(throws_naming<ConfigError>("repetition_penalty", [&] { asked(request); }));
  request = spoken();
  request.eos_method = "argmax_any";
  EXPECT_TRUE(throws_naming<ConfigError>("eos_method: expected none", [&] { asked(request); }));
  of(request);  // steps of one code have a likeliest one
  Request other = spoken();
  other.block.emplace();
  EXPECT_TRUE(throws_naming<ConfigError>("block", [&] { of(other); }));
}

TEST_F(T3Itinerary, BosCountsAsSeenFromTheStart) {
  Request request = spoken();
  request.repetition_penalty = 1.2F;
  const rules::SamplerRules sampler = of(request).rules.sampler;
  EXPECT_EQ(sampler.repetition_penalty, 1.2F);
  EXPECT_EQ(sampler.order[0], rules::Processor::repetition_penalty);
  EXPECT_EQ(sampler.order[1], rules::Processor::temperature);
  EXPECT_EQ(sampler.order[2], rules::Processor::min_p);
  EXPECT_FALSE(sampler.forgets_first);
  EXPECT_EQ(sampler.num_seen_first, 1);
  EXPECT_EQ(sampler.seen_first[0], 38);
}

TEST_F(T3Itinerary, TurboPenalizesLastAndForgetsTheStart) {
  Json config = test::t3_config();
  config["model"]["processors"] = "turbo";
  const rules::SlotRules rules = of(spoken(), config).rules;
  EXPECT_EQ(rules.sampler.order[0], rules::Processor::temperature);
  EXPECT_EQ(rules.sampler.order[1], rules::Processor::top_k);
  EXPECT_EQ(rules.sampler.order[4], rules::Processor::repetition_penalty);
  EXPECT_TRUE(rules.sampler.forgets_first);
  EXPECT_EQ(rules.first_end_step, 1);
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
  config["model"]["conditioning"]["queries"] = config["model"]["conditioning"]["heads"] = 0;
  config["model"]["conditioning"]["emotion"] = false;
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
  EXPECT_TRUE(refuses("text_features: expected 1 rows", [](Request& of) { of.text_ids = {-1}; }));
  EXPECT_TRUE(refuses("prompt_embeddings", [](Request& of) {
    of.prompt_embeddings = {2, 12, std::vector<float>(24, 0.5F)};
  }));
  EXPECT_TRUE(refuses("unconditional_embeddings", [](Request& of) {
    of.unconditional_embeddings = {2, 12, std::vector<float>(24, 0.5F)};
  }));
  EXPECT_TRUE(refuses("max_frames: expected at most 22", [](Request& of) { of.max_frames = 23; }));
}

TEST_F(T3Itinerary, APromptNeedsOneForEachBranch) {
  Request request;
  request.prompt_embeddings = {5, 12, std::vector<float>(5 * 12, 0.5F)};
  EXPECT_TRUE(throws_naming<ConfigError>("unconditional_embeddings: expected 5 rows",
                                         [&] { of(request); }));
  request.unconditional_embeddings = request.prompt_embeddings;
  request.cfg_scale = 1.0F;
  EXPECT_TRUE(
      throws_naming<ConfigError>("unconditional_embeddings: expected none", [&] { of(request); }));
}

TEST_F(T3Itinerary, VoicesAreEmbeddings) {
  const Json config = test::t3_config();
  const T3Family family{JsonReader(config.at("model"), "model"),
                        JsonReader(config.at("defaults"), "defaults")};
  const auto itineraries = family.itineraries(limits_, nullptr);
  EXPECT_EQ(itineraries->voice_of_vectors({2, 12, std::vector<float>(24, 1.0F)}).rows(), 2);
  EXPECT_TRUE(throws_naming<ConfigError>("embeddings", [&] { itineraries->voice_of_codes({}); }));
}

}  // namespace
}  // namespace ttsrt::model::t3
