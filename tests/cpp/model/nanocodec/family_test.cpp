#include "model/nanocodec/family.h"

#include <gtest/gtest.h>

#include <limits>

#include "model/nanocodec/decoder.h"
#include "model/servable.h"
#include "support/codec_models.h"
#include "support/errors.h"
#include "support/voices.h"

namespace ttsrt::model::nanocodec {
namespace {

using test::NoVoices;
using test::throws_naming;

TEST(CodecFamily, TellsWhatItIs) {
  const test::TinyEngine engine(test::codec_config());
  const EngineData data(engine.path());
  EXPECT_EQ(data.info.family, "nanocodec");
  EXPECT_EQ(data.info.codec, "tiny codec");
  EXPECT_EQ(data.info.sample_rate, 120);
  EXPECT_EQ(data.info.samples_per_frame, 6);
  EXPECT_EQ(data.info.codebooks, 2);
  EXPECT_EQ(data.info.codebook_vocab, 12);
  EXPECT_DOUBLE_EQ(data.info.frame_rate, 20.0);
  EXPECT_TRUE(data.info.has_vocoder);
  EXPECT_TRUE(data.info.has_encoder);
  const auto programs = data.family->programs(data.weights, data.limits, true);
  ASSERT_EQ(programs.size(), 2U);
  EXPECT_EQ(programs[0].pace, step::Pace::chunked);
  EXPECT_EQ(programs[0].emits, step::Emits::samples);
  EXPECT_EQ(programs[0].max_rows, kLeastLaunch);
  EXPECT_EQ(programs[1].pace, step::Pace::whole);
  EXPECT_EQ(programs[1].emits, step::Emits::codes);
  EXPECT_GT(programs[1].program.num_parts(), 1);
}

TEST(CodecFamily, WithoutAnEncoderHasOneProgram) {
  const test::TinyEngine engine(test::codec_config(false));
  const EngineData data(engine.path());
  EXPECT_FALSE(data.info.has_encoder);
  EXPECT_EQ(data.family->programs(data.weights, data.limits, false).size(), 1U);
  EXPECT_EQ(data.limits.max_input_len, 1);
}

// Whatever a build is asked for, convolutions stay floats and their errors are not heard.
TEST(CodecFamily, IsNotQuantized) {
  BuildOptions options;
  options.quantization = "w4a8";
  options.dtype = DType::bfloat16;
  const test::TinyEngine engine(test::codec_config(), options);
  const EngineData data(engine.path());
  EXPECT_EQ(data.weights.at("decoder.pre").dtype, DType::bfloat16);
  EXPECT_EQ(data.weights.at("decoder.pre").quantization, ops::Quantization::none);
  EXPECT_EQ(data.weights.at("decoder.stages.0.up").dtype, DType::float32);
  EXPECT_EQ(data.weights.at("encoder.stages.1.down").dtype, DType::bfloat16);
}

class CodecRequests : public ::testing::Test {
 protected:
  explicit CodecRequests(bool has_encoder = true)
      : config_(test::codec_config(has_encoder)),
        family_(JsonReader(config_.at("model"), "model"),
                JsonReader(config_.at("defaults"), "defaults")) {
    limits_.max_seq_len = 9;
    limits_.max_input_len = 3;
    itineraries_ = family_.itineraries(limits_, nullptr);
  }

  step::Itinerary of(const Request& request) const {
    return itineraries_->itinerary(Request(request), NoVoices());
  }

  const Json config_;
  const CodecFamily family_;
  Limits limits_;
  std::unique_ptr<Itineraries> itineraries_;
};

TEST_F(CodecRequests, AreCodesOrSamples) {
  Request request;
  EXPECT_TRUE(throws_naming<ConfigError>("codes: expected either", [&] { of(request); }));
  request = test::codes_request({0, 11, 3, 4});
  const step::Stop decode = of(request).stops.at(0);
  EXPECT_EQ(decode.program, 0);
  EXPECT_EQ(decode.rows.at(0).rows, 2);
  EXPECT_EQ(decode.rows.at(0).ids_per_row, 2);
  request.samples = {0.5F};
  EXPECT_TRUE(throws_naming<ConfigError>("got both", [&] { of(request); }));
  request.codes = {};
  request.samples.assign(13, 0.5F);
  const step::Stop encode = of(request).stops.at(0);
  EXPECT_EQ(encode.program, 1);
  ASSERT_EQ(encode.rows.at(0).rows, 3);  // behind the last sample stand zeros
  EXPECT_EQ(encode.rows.at(0).vectors->size(), 18U);
  EXPECT_EQ(encode.rows.at(0).vectors->at(12), 0.5F);
  EXPECT_EQ(encode.rows.at(0).vectors->at(13), 0.0F);
}

TEST_F(CodecRequests, RefuseByNameWhatCannotBe) {
  for (const std::int32_t code : {-1, 12, 1 << 30}) {
    EXPECT_TRUE(throws_naming<ConfigError>("codes[1, 0]: expected a code in [0, 11]",
                                           [&] { of(test::codes_request({0, 1, code, 2})); }));
  }
  Request request;
  request.codes = {1, 3, {1, 2, 3}};
  EXPECT_TRUE(throws_naming<ConfigError>("codes: expected [1 to 9, 2]", [&] { of(request); }));
  request.codes = {2, 2, {1, 2, 3}};
  EXPECT_TRUE(throws_naming<ConfigError>("codes: expected", [&] { of(request); }));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "codes: expected", [&] { of(test::codes_request(std::vector<std::int32_t>(20, 1))); }));
  request.codes = {};
  request.samples.assign(19, 0.0F);
  EXPECT_TRUE(throws_naming<ConfigError>("samples: expected at most 18", [&] { of(request); }));
  request.samples = {0.0F, std::numeric_limits<float>::infinity()};
  EXPECT_TRUE(throws_naming<ConfigError>("samples[1]: expected a finite", [&] { of(request); }));
  request = test::codes_request({0, 1});
  request.text_ids = {1};
  EXPECT_TRUE(throws_naming<ConfigError>("text_ids: expected none", [&] { of(request); }));
  request.text_ids.clear();
  request.codes_only = true;
  EXPECT_TRUE(throws_naming<ConfigError>("codes_only", [&] { of(request); }));
  EXPECT_THROW(itineraries_->voice_of_vectors({1, 6, std::vector<float>(6)}), ConfigError);
}

class CodecsThatOnlyDecode : public CodecRequests {
 protected:
  CodecsThatOnlyDecode() : CodecRequests(false) {}
};

TEST_F(CodecsThatOnlyDecode, TakeNoSamples) {
  Request request;
  request.samples = {0.5F};
  EXPECT_TRUE(throws_naming<ConfigError>("has no encoder", [&] { of(request); }));
}

}  // namespace
}  // namespace ttsrt::model::nanocodec
