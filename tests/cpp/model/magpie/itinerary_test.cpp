#include "model/magpie/itinerary.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

#include "support/errors.h"
#include "support/facts.h"

namespace ttsrt::model::magpie {
namespace {

using step::Input;
using step::RowSource;
using test::small_model;
using test::small_request;
using test::throws_naming;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

step::Itinerary itinerary_of(const Request& request, const Facts& model = small_model()) {
  return test::prepared(request, model).itinerary;
}

// The only source of the first stop of this Program.
RowSource source_of(const step::Itinerary& itinerary, std::int32_t program) {
  for (const step::Stop& stop : itinerary.stops) {
    if (stop.program != program) continue;
    EXPECT_EQ(stop.rows.size(), 1U);
    return stop.rows.at(0);
  }
  return {};
}
RowSource context_of(const Request& request, const Facts& model = small_model()) {
  return source_of(itinerary_of(request, model), test::kPrefill);
}

Matrix<float> rows_of(std::int64_t rows, std::int64_t cols, float value = 0.25F) {
  return {rows, cols, std::vector<float>(static_cast<std::size_t>(rows * cols), value)};
}

// Codes [frames, codebooks], counted from 0 on.
Matrix<std::int32_t> codes_of(std::int64_t frames, std::int64_t codebooks) {
  Matrix<std::int32_t> codes{frames, codebooks, {}};
  for (std::int64_t i = 0; i < frames * codebooks; ++i)
    codes.values.push_back(static_cast<std::int32_t>(i % 16));
  return codes;
}

Request with_codes(Matrix<std::int32_t> codes) {
  Request request = small_request();
  request.voice.reset();
  request.context_codes = std::move(codes);
  return request;
}

TEST(MagpieItinerary, TextIdsAndAVoice) {
  const step::Itinerary itinerary = itinerary_of(small_request());
  const RowSource text = source_of(itinerary, test::kEncodeText);
  EXPECT_EQ(text.input, Input::ids);
  EXPECT_EQ(text.table, 0);
  EXPECT_EQ(*text.ids, (std::vector<std::int32_t>{1, 2, 3}));
  const RowSource context = source_of(itinerary, test::kPrefill);
  EXPECT_EQ(context.input, Input::vectors);
  EXPECT_EQ(context.rows, 3);
  EXPECT_EQ(itinerary.text_len, 3);
  EXPECT_EQ(itinerary.rules.text_len, 3);
  EXPECT_FALSE(itinerary.is_guided());
}

TEST(MagpieItinerary, VectorsForTheText) {
  Request request = small_request();
  request.text_ids.clear();
  request.text_features = rows_of(5, 4);
  EXPECT_EQ(source_of(itinerary_of(request), test::kEncodeText).input, Input::vectors);
  EXPECT_EQ(source_of(itinerary_of(request), test::kEncodeText).rows, 5);
  request.text_features = {};
  request.encoder_output = rows_of(12, 4);
  const step::Itinerary itinerary = itinerary_of(request);
  EXPECT_EQ(source_of(itinerary, test::kEncodeText).rows, 0);
  EXPECT_EQ(source_of(itinerary, test::kProjectMemory).input, Input::vectors);
  EXPECT_EQ(itinerary.text_len, 12);
  EXPECT_EQ(itinerary.rules.text_len, 12);
}

TEST(MagpieItinerary, TheContextTakesItsRoute) {
  Facts model = small_model();
  const Request request = with_codes(codes_of(5, 2));
  EXPECT_EQ(context_of(request, model).input, Input::codes);
  EXPECT_EQ(context_of(request, model).ids_per_row, 2);
  model.context_route = ContextRoute::encoder;
  step::Itinerary itinerary = itinerary_of(request, model);
  EXPECT_EQ(source_of(itinerary, test::kPrefill).input, Input::kept_rows);
  EXPECT_EQ(source_of(itinerary, test::kPrefill).rows, 5);
  EXPECT_EQ(source_of(itinerary, test::kEncodeContext).input, Input::codes);
  EXPECT_EQ(itinerary.rules.context_len, 0);
  // A voice needs no encoder.
  EXPECT_EQ(source_of(itinerary_of(small_request(), model), test::kEncodeContext).rows, 0);
  model.context_route = ContextRoute::memory;
  itinerary = itinerary_of(request, model);
  EXPECT_EQ(source_of(itinerary, test::kPrefill).rows, 0);
  EXPECT_EQ(source_of(itinerary, test::kEncodeContext).rows, 5);
  EXPECT_EQ(itinerary.rules.context_len, 5);
  EXPECT_TRUE(throws_naming<ConfigError>("give context_codes",
                                         [&] { itinerary_of(small_request(), model); }));
}

TEST(MagpieItinerary, TextForTheContext) {
  Facts model = small_model();
  Request request = small_request();
  request.voice.reset();
  request.context_text_ids = {0, 6};
  EXPECT_TRUE(
      throws_naming<ConfigError>("context_text_ids", [&] { itinerary_of(request, model); }));
  model.context_text_vocab = 7;
  model.context_text_table = 1;
  EXPECT_EQ(context_of(request, model).input, Input::ids);
  EXPECT_EQ(context_of(request, model).table, 1);
  EXPECT_EQ(context_of(request, model).rows, 2);
  request.context_text_ids = {7};
  EXPECT_TRUE(
      throws_naming<ConfigError>("context_text_ids[0]", [&] { itinerary_of(request, model); }));
}

// Two frames of a stack stand side by side, codebooks inside; the last stack is padded with code 0.
TEST(MagpieItinerary, StacksContextCodes) {
  Facts model = small_model();
  model.rules.frame_stacking = 2;
  const RowSource context = context_of(with_codes(codes_of(5, 2)), model);
  EXPECT_EQ(context.rows, 3);
  EXPECT_EQ(context.ids_per_row, 4);
  EXPECT_EQ(*context.ids, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0}));
  EXPECT_EQ(context_of(with_codes(codes_of(16, 2)), model).rows, 8);
  EXPECT_TRUE(throws_naming<ConfigError>(
      "[1 to 16, 2]", [&] { itinerary_of(with_codes(codes_of(17, 2)), model); }));
}

TEST(MagpieItinerary, PadsTheContextToItsFrames) {
  Facts model = small_model();
  model.rules.frame_stacking = 2;
  model.pads_context = true;
  const RowSource context = context_of(with_codes(codes_of(3, 2)), model);
  EXPECT_EQ(context.rows, 3);
  constexpr std::int32_t kZero = step::kZeroRow;
  EXPECT_EQ(*context.ids,
            (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 0, 0, kZero, kZero, kZero, kZero}));
  EXPECT_TRUE(throws_naming<ConfigError>("[1 to 8, 2]",
                                         [&] { itinerary_of(with_codes(codes_of(9, 2)), model); }));
}

TEST(MagpieItinerary, LengthsFitTheDecoder) {
  Facts model = small_model();
  model.max_seq_len = 10;
  const auto steps = [&](const Request& request) {
    return itinerary_of(request, model).stops.back().repeats;
  };
  EXPECT_EQ(steps(small_request()), 7);  // the default of 20 gives way
  Request request = small_request();
  request.max_frames = 7;
  EXPECT_EQ(steps(request), 7);
  request.max_frames = 8;
  EXPECT_TRUE(
      throws_naming<ConfigError>("max_frames: expected at most 7", [&] { steps(request); }));
  model.max_seq_len = 3;
  EXPECT_TRUE(throws_naming<ConfigError>("max_seq_len", [&] { steps(small_request()); }));
}

struct Refusal {
  const char* part;
  void (*change)(Request&);
};

const Refusal kRefusals[] = {
    {"text: expected exactly one", [](Request& of) { of.text_ids.clear(); }},
    {"text: expected exactly one", [](Request& of) { of.encoder_output = rows_of(2, 4); }},
    {"text_ids[1]: expected an id in [0, 9], got 10", [](Request& of) { of.text_ids = {0, 10}; }},
    {"text_ids[0]", [](Request& of) { of.text_ids = {-1}; }},
    {"text_ids: expected at most 12", [](Request& of) { of.text_ids.assign(13, 1); }},
    {"text_features: expected [1 to 12, 4]",
     [](Request& of) {
       of.text_ids.clear();
       of.text_features = rows_of(2, 3);
     }},
    {"text_features[1, 2]",
     [](Request& of) {
       of.text_ids.clear();
       of.text_features = rows_of(2, 4);
       of.text_features.values[6] = kNan;
     }},
    {"encoder_output",
     [](Request& of) {
       of.text_ids.clear();
       of.encoder_output = rows_of(13, 4);
     }},
    {"encoder_output",
     [](Request& of) {
       of.text_ids.clear();
       of.encoder_output = rows_of(2, 4);
       of.encoder_output.values.pop_back();
     }},
    {"context: expected exactly one", [](Request& of) { of.voice.reset(); }},
    {"context: expected exactly one", [](Request& of) { of.context_codes = codes_of(2, 2); }},
    {"voice", [](Request& of) { of.voice.emplace(2); }},
    {"voice", [](Request& of) { of.voice.emplace(std::string("carl")); }},
    {"context_embeddings",
     [](Request& of) {
       of.voice.reset();
       of.context_embeddings = rows_of(9, 4);
     }},
    {"context_embeddings[0, 0]",
     [](Request& of) {
       of.voice.reset();
       of.context_embeddings = rows_of(1, 4, std::numeric_limits<float>::infinity());
     }},
    {"context_codes",
     [](Request& of) {
       of.voice.reset();
       of.context_codes = codes_of(9, 2);
     }},
    {"context_codes",
     [](Request& of) {
       of.voice.reset();
       of.context_codes = codes_of(2, 3);
     }},
    {"context_codes[3]: expected an id in [0, 15], got 16",
     [](Request& of) {
       of.voice.reset();
       of.context_codes = codes_of(2, 2);
       of.context_codes.values[3] = 16;
     }},
    {"temperature", [](Request& of) { of.temperature = kNan; }},
};

TEST(MagpieItinerary, RefusesByName) {
  for (const Refusal& refusal : kRefusals) {
    Request request = small_request();
    refusal.change(request);
    EXPECT_TRUE(throws_naming<ConfigError>(refusal.part, [&] { itinerary_of(request); }));
  }
}

TEST(MagpieItinerary, CodesNeedAModelThatReadsThem) {
  Facts model = small_model();
  model.takes_context_codes = false;
  EXPECT_TRUE(throws_naming<ConfigError>("give a voice",
                                         [&] { itinerary_of(with_codes(codes_of(2, 2)), model); }));
}

TEST(MagpieItinerary, VoicesAreRowsThatRequestsTake) {
  Facts model = small_model();
  model.rules.frame_stacking = 2;
  const RowSource codes = Itineraries(model).voice_of_codes(codes_of(3, 2)).parts.at(0);
  EXPECT_EQ(codes.input, Input::codes);
  EXPECT_EQ(*codes.ids, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 0, 0}));
  EXPECT_EQ(Itineraries(model).voice_of_vectors(rows_of(2, 4)).rows(), 2);
  EXPECT_TRUE(throws_naming<ConfigError>(
      "add_voice: embeddings", [&] { Itineraries(model).voice_of_vectors(rows_of(2, 3)); }));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "add_voice: codes", [&] { Itineraries(model).voice_of_codes(codes_of(17, 2)); }));
  model.context_route = ContextRoute::memory;
  EXPECT_TRUE(throws_naming<ConfigError>(
      "give codes", [&] { Itineraries(model).voice_of_vectors(rows_of(2, 4)); }));
}

}  // namespace
}  // namespace ttsrt::model::magpie
