// The stops that requests become: which Programs, in which branches, after what, from which rows.
#include <gtest/gtest.h>

#include <vector>

#include "model/magpie/itinerary.h"
#include "support/facts.h"

namespace ttsrt::model::magpie {
namespace {

using step::Branch;
using step::Input;
using step::Stop;
using test::small_model;
using test::small_request;

using Numbers = std::vector<std::int32_t>;

std::vector<Stop> stops_of(const Request& request, const Facts& model = small_model()) {
  return test::prepared(request, model).itinerary.stops;
}

Numbers programs_of(const std::vector<Stop>& stops) {
  Numbers programs;
  for (const Stop& stop : stops) programs.push_back(stop.program);
  return programs;
}

Request guided() {
  Request request = small_request();
  request.cfg_scale = 2.0F;
  return request;
}

Request with_codes() {
  Request request = small_request();
  request.voice.reset();
  request.context_codes = {4, 2, Numbers(8, 5)};
  return request;
}

Request recomputing() {
  Request request = small_request();
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  request.prior->recompute = true;
  return request;
}

TEST(MagpieStops, EncodePrefillDecode) {
  const std::vector<Stop> stops = stops_of(small_request());
  ASSERT_EQ(programs_of(stops), (Numbers{test::kEncodeText, test::kPrefill, test::kDecode}));
  EXPECT_TRUE(stops[0].follows.empty());
  EXPECT_EQ(stops[1].follows, Numbers{0});
  EXPECT_EQ(stops[2].follows, (Numbers{0, 1}));
  for (const Stop& stop : stops) {
    EXPECT_EQ(stop.branch, Branch::conditional);
    EXPECT_EQ(stop.num_branches, 1);
    EXPECT_FALSE(stop.shared.has_value());
    EXPECT_EQ(stop.replays, -1);
    EXPECT_EQ(stop.reads, -1);
  }
  EXPECT_EQ(stops[1].position, 0);
  EXPECT_EQ(stops[1].repeats, 1);
  EXPECT_FALSE(stops[1].applies_prior);
  EXPECT_EQ(stops[2].position, 3);
  EXPECT_EQ(stops[2].repeats, 20);  // the checkpoint's max_frames
  EXPECT_TRUE(stops[2].applies_prior);
}

TEST(MagpieStops, TheFirstStepIsFedTheStartOfSpeech) {
  Facts model = small_model();
  model.rules.frame_stacking = 2;
  Request request = small_request();
  request.max_frames = 9;
  const Stop decode = stops_of(request, model).back();
  ASSERT_EQ(decode.rows.size(), 1U);
  EXPECT_EQ(decode.rows[0].input, Input::codes);
  EXPECT_EQ(decode.rows[0].rows, 1);
  EXPECT_EQ(decode.rows[0].ids_per_row, 4);
  EXPECT_EQ(*decode.rows[0].ids, (Numbers{13, 13, 13, 13}));
  EXPECT_EQ(decode.repeats, 4);  // whole stacks of nine frames
}

// Every row has a learned position of its own Program's table; decode goes on behind the context.
TEST(MagpieStops, LearnedPositions) {
  Facts model = small_model();
  model.context_route = ContextRoute::encoder;
  Request request = with_codes();
  request.cfg_scale = 2.0F;
  const std::vector<Stop> stops = stops_of(request, model);
  ASSERT_EQ(programs_of(stops), (Numbers{test::kEncodeText, test::kEncodeContext, test::kPrefill,
                                         test::kPrefill, test::kDecode}));
  for (std::size_t i = 0; i < stops.size(); ++i) {
    EXPECT_EQ(stops[i].rows.at(0).position_table, 0);
    EXPECT_EQ(stops[i].rows.at(0).first_position, i == 4 ? 4 : 0);
  }
}

TEST(MagpieStops, EncoderOutputIsOnlyProjectedAndHasItsPositions) {
  Request request = small_request();
  request.text_ids.clear();
  request.encoder_output = {2, 4, std::vector<float>(8, 0.5F)};
  const std::vector<Stop> stops = stops_of(request);
  EXPECT_EQ(programs_of(stops), (Numbers{test::kProjectMemory, test::kPrefill, test::kDecode}));
  EXPECT_EQ(stops[0].rows.at(0).position_table, -1);
}

TEST(MagpieStops, DecoderRowsFollowBothEncoders) {
  Facts model = small_model();
  model.context_route = ContextRoute::encoder;
  std::vector<Stop> stops = stops_of(with_codes(), model);
  ASSERT_EQ(programs_of(stops),
            (Numbers{test::kEncodeText, test::kEncodeContext, test::kPrefill, test::kDecode}));
  EXPECT_TRUE(stops[1].follows.empty());
  EXPECT_EQ(stops[2].follows, (Numbers{0, 1}));
  EXPECT_EQ(stops[3].follows, (Numbers{0, 1, 2}));
  model.context_route = ContextRoute::memory;  // nothing stands in front of the audio
  stops = stops_of(with_codes(), model);
  ASSERT_EQ(programs_of(stops), (Numbers{test::kEncodeText, test::kEncodeContext, test::kDecode}));
  EXPECT_EQ(stops[2].follows, (Numbers{0, 1}));
  EXPECT_EQ(stops[2].position, 0);
  EXPECT_EQ(stops[2].rows.at(0).first_position, 0);
}

// The unconditional context is zeros, equal for all requests of its length.
TEST(MagpieStops, GuidanceAddsASharedBranch) {
  const std::vector<Stop> stops = stops_of(guided());
  ASSERT_EQ(programs_of(stops),
            (Numbers{test::kEncodeText, test::kPrefill, test::kPrefill, test::kDecode}));
  const Stop& zeros = stops[2];
  EXPECT_EQ(zeros.branch, Branch::unconditional);
  EXPECT_EQ(zeros.position, 0);
  EXPECT_EQ(zeros.rows.at(0).input, Input::zeros);
  EXPECT_EQ(zeros.rows.at(0).rows, 3);
  EXPECT_FALSE(zeros.applies_prior);
  ASSERT_TRUE(zeros.shared.has_value());
  EXPECT_EQ(zeros.shared->rows, 3);
  EXPECT_EQ(stops[3].num_branches, 2);
  EXPECT_EQ(stops[3].follows, (Numbers{0, 1, 2}));
  Request other = guided();
  other.text_ids = {4};
  EXPECT_EQ(stops_of(other)[2].shared, zeros.shared);
  other.voice.emplace(1);
  EXPECT_NE(stops_of(other)[2].shared, zeros.shared);  // five rows
}

TEST(MagpieStops, APrivateUnconditionalBranchHasNoKey) {
  Facts model = small_model();
  model.shares_unconditional = false;
  const std::vector<Stop> stops = stops_of(guided(), model);
  ASSERT_EQ(stops.size(), 4U);
  EXPECT_FALSE(stops[2].shared.has_value());
  EXPECT_EQ(stops[2].branch, Branch::unconditional);
}

TEST(MagpieStops, GuidanceWithoutContextRowsHasNoPrefill) {
  Facts model = small_model();
  model.context_route = ContextRoute::memory;
  Request request = with_codes();
  request.cfg_scale = 2.0F;
  const std::vector<Stop> stops = stops_of(request, model);
  EXPECT_EQ(programs_of(stops), (Numbers{test::kEncodeText, test::kEncodeContext, test::kDecode}));
  EXPECT_EQ(stops.back().num_branches, 2);
}

TEST(MagpieStops, ARecomputedPriorReplaysTheSteps) {
  std::vector<Stop> stops = stops_of(recomputing());
  ASSERT_EQ(programs_of(stops), (Numbers{test::kEncodeText, test::kPrefill, test::kDecode}));
  EXPECT_EQ(stops[1].replays, 2);
  EXPECT_TRUE(stops[1].applies_prior);
  EXPECT_EQ(stops[1].rows.at(0).rows, 3);
  // Also where nothing stands in front of the audio.
  Facts model = small_model();
  model.context_route = ContextRoute::memory;
  Request request = recomputing();
  request.voice.reset();
  request.context_codes = with_codes().context_codes;
  stops = stops_of(request, model);
  ASSERT_EQ(programs_of(stops),
            (Numbers{test::kEncodeText, test::kEncodeContext, test::kPrefill, test::kDecode}));
  EXPECT_TRUE(stops[2].rows.empty());
  EXPECT_EQ(stops[2].replays, 3);
  EXPECT_EQ(stops[3].follows, (Numbers{0, 1, 2}));
}

// Under guidance the conditional branch alone is replayed: the prior acts on nothing else.
TEST(MagpieStops, ARecomputedPriorUnderGuidance) {
  Request request = recomputing();
  request.cfg_scale = 2.0F;
  const std::vector<Stop> stops = stops_of(request);
  ASSERT_EQ(stops.size(), 4U);
  EXPECT_EQ(stops[1].replays, 3);
  EXPECT_EQ(stops[2].replays, -1);
  EXPECT_FALSE(stops[2].applies_prior);
}

TEST(MagpieStops, AModelWithoutAContextEncoderHasOneProgramLess) {
  Facts model = small_model();
  model.programs = ProgramIds::of(false);
  EXPECT_EQ(programs_of(stops_of(small_request(), model)), (Numbers{0, 2, 3}));
}

}  // namespace
}  // namespace ttsrt::model::magpie
