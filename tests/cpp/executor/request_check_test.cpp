#include "executor/request_check.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"
#include "support/facts.h"

namespace ttsrt::executor {
namespace {

using step::ContextRoute;
using step::Input;
using test::prepared;
using test::small_facts;
using test::small_request;
using test::throws_naming;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

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

TEST(Prepare, TextIdsAndAVoice) {
  Request request = small_request();
  request.priority = -4;
  request.chunk_frames = 3;
  request.deadline = 2.5;
  request.return_alignment = true;
  const PreparedRequest ready = prepared(request, small_facts());
  EXPECT_EQ(ready.text.input, Input::ids);
  EXPECT_EQ(ready.text.table, 0);
  EXPECT_EQ(ready.text.ids, (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_FALSE(ready.is_encoded);
  EXPECT_EQ(ready.context.input, Input::vectors);
  EXPECT_EQ(ready.context.rows, 3);
  EXPECT_EQ(ready.context_encoder.rows, 0);
  EXPECT_EQ(ready.rules.slot.text_len, 3);
  EXPECT_EQ(ready.priority, -4);
  EXPECT_EQ(ready.chunk_frames, 3);
  EXPECT_EQ(ready.deadline, 2.5);
  EXPECT_TRUE(ready.return_alignment);
}

TEST(Prepare, VectorsForTheText) {
  Request request = small_request();
  request.text_ids.clear();
  request.text_features = rows_of(5, 4);
  EXPECT_FALSE(prepared(request, small_facts()).is_encoded);
  EXPECT_EQ(prepared(request, small_facts()).text.input, Input::vectors);
  request.text_features = {};
  request.encoder_output = rows_of(12, 4);
  EXPECT_TRUE(prepared(request, small_facts()).is_encoded);
  EXPECT_EQ(prepared(request, small_facts()).rules.slot.text_len, 12);
}

TEST(Prepare, TheContextTakesItsRoute) {
  step::ModelFacts facts = small_facts();
  Request request = with_codes(codes_of(5, 2));
  EXPECT_EQ(prepared(request, facts).context.input, Input::codes);
  facts.context_route = ContextRoute::encoder;
  EXPECT_EQ(prepared(request, facts).context.input, Input::kept_rows);
  EXPECT_EQ(prepared(request, facts).context.rows, 5);
  EXPECT_EQ(prepared(request, facts).context_encoder.input, Input::codes);
  EXPECT_EQ(prepared(request, facts).rules.slot.context_len, 0);
  EXPECT_EQ(prepared(small_request(), facts).context_encoder.rows, 0);  // a voice needs no encoder
  facts.context_route = ContextRoute::memory;
  EXPECT_EQ(prepared(request, facts).context.rows, 0);
  EXPECT_EQ(prepared(request, facts).context_encoder.rows, 5);
  EXPECT_EQ(prepared(request, facts).rules.slot.context_len, 5);
  EXPECT_TRUE(
      throws_naming<ConfigError>("give context_codes", [&] { prepared(small_request(), facts); }));
}

TEST(Prepare, TextForTheContext) {
  step::ModelFacts facts = small_facts();
  Request request = small_request();
  request.voice.reset();
  request.context_text_ids = {0, 6};
  EXPECT_TRUE(throws_naming<ConfigError>("context_text_ids", [&] { prepared(request, facts); }));
  facts.context_text_vocab = 7;
  facts.context_text_table = 1;
  EXPECT_EQ(prepared(request, facts).context.input, Input::ids);
  EXPECT_EQ(prepared(request, facts).context.table, 1);
  request.context_text_ids = {7};
  EXPECT_TRUE(throws_naming<ConfigError>("context_text_ids[0]", [&] { prepared(request, facts); }));
}

// Two frames of a stack stand side by side, codebooks inside; the last stack is padded with code 0.
TEST(Prepare, StacksContextCodes) {
  step::ModelFacts facts = small_facts();
  facts.frame_stacking = 2;
  const PreparedRequest ready = prepared(with_codes(codes_of(5, 2)), facts);
  EXPECT_EQ(ready.context.rows, 3);
  EXPECT_EQ(ready.context.ids, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0}));
  EXPECT_EQ(prepared(with_codes(codes_of(16, 2)), facts).context.rows, 8);
  EXPECT_TRUE(throws_naming<ConfigError>("[1 to 16, 2]",
                                         [&] { prepared(with_codes(codes_of(17, 2)), facts); }));
}

TEST(Prepare, PadsTheContextToItsFrames) {
  step::ModelFacts facts = small_facts();
  facts.frame_stacking = 2;
  facts.pads_context = true;
  const PreparedRequest ready = prepared(with_codes(codes_of(3, 2)), facts);
  EXPECT_EQ(ready.context.rows, 3);
  constexpr std::int32_t kZero = step::kZeroRow;
  EXPECT_EQ(ready.context.ids,
            (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 0, 0, kZero, kZero, kZero, kZero}));
  EXPECT_TRUE(throws_naming<ConfigError>("[1 to 8, 2]",
                                         [&] { prepared(with_codes(codes_of(9, 2)), facts); }));
}

TEST(Prepare, LengthsFitTheDecoder) {
  step::ModelFacts facts = small_facts();
  facts.max_seq_len = 10;
  EXPECT_EQ(prepared(small_request(), facts).rules.max_steps, 7);  // the default of 20 gives way
  Request request = small_request();
  request.max_frames = 7;
  EXPECT_EQ(prepared(request, facts).rules.max_steps, 7);
  request.max_frames = 8;
  EXPECT_TRUE(throws_naming<ConfigError>("max_frames: expected at most 7",
                                         [&] { prepared(request, facts); }));
  facts.max_seq_len = 3;
  EXPECT_TRUE(throws_naming<ConfigError>("max_seq_len", [&] { prepared(small_request(), facts); }));
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
    {"chunk_frames", [](Request& of) { of.chunk_frames = 0; }},
    {"chunk_frames", [](Request& of) { of.chunk_frames = INT32_MAX; }},
    {"deadline", [](Request& of) { of.deadline = 0.0; }},
    {"deadline", [](Request& of) { of.deadline = -1.0; }},
    {"deadline", [](Request& of) { of.deadline = std::numeric_limits<double>::quiet_NaN(); }},
    {"temperature", [](Request& of) { of.temperature = kNan; }},
};

TEST(Prepare, RefusesByName) {
  for (const Refusal& refusal : kRefusals) {
    Request request = small_request();
    refusal.change(request);
    EXPECT_TRUE(
        throws_naming<ConfigError>(refusal.part, [&] { prepared(request, small_facts()); }));
  }
}

TEST(Prepare, CodesNeedAModelThatReadsThem) {
  step::ModelFacts facts = small_facts();
  facts.takes_context_codes = false;
  EXPECT_TRUE(throws_naming<ConfigError>("give a voice",
                                         [&] { prepared(with_codes(codes_of(2, 2)), facts); }));
}

}  // namespace
}  // namespace ttsrt::executor
