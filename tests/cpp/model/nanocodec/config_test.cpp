#include "model/nanocodec/config.h"

#include <gtest/gtest.h>

#include "support/codec_models.h"
#include "support/errors.h"

namespace ttsrt::model::nanocodec {
namespace {

using test::throws_naming;

Config config_of(const Json& model) { return read_config(JsonReader(model, "model")); }

TEST(CodecConfig, KnowsItsSizes) {
  const Config config = config_of(test::codec_json());
  EXPECT_EQ(config.quantizer.codes(), 12);
  EXPECT_EQ(config.quantizer.latent(), 4);
  EXPECT_EQ(config.decoder.stages(), 2);
  EXPECT_EQ(decoder_channels(config.decoder, 2), 3);
  EXPECT_EQ(encoder_channels(*config.encoder, 2), 12);
  EXPECT_DOUBLE_EQ(config.frame_rate(), 20.0);
  EXPECT_FALSE(config_of(test::codec_json(false)).encoder.has_value());
}

TEST(CodecConfig, RefusesByNameWhatCannotBe) {
  const std::tuple<const char*, const char*, Json> wrong[] = {
      {"", "sample_rate", 0},
      {"", "samples_per_frame", 7},
      {"", "samples_per_frame", 100000},
      {"", "groups", 0},
      {"", "groups", 65},
      {"", "levels", Json::array()},
      {"", "levels", {3, 1}},
      {"", "levels", {64, 64, 64}},
      {"decoder", "base_channels", 10},
      {"decoder", "base_channels", 4},
      {"decoder", "base_channels", 1 << 20},
      {"decoder", "rates", {3, 3}},
      {"decoder", "rates", {8192, 8192, 8192}},
      {"decoder", "rates", {1, 1, 1, 1, 1, 1, 1, 3, 2}},
      {"decoder", "kernels", Json::array()},
      {"decoder", "kernels", {3, 4}},
      {"decoder", "kernels", {3, 65}},
      {"decoder", "dilations", {0}},
      {"decoder", "pre_kernel", 4},
      {"decoder", "post_kernel", 0},
      {"encoder", "base_channels", 8192},
      {"encoder", "rates", {6, 1}},
      {"encoder", "post_kernel", 2},
      {"encoder", "pad", "reflect"}};
  for (const auto& [part, key, value] : wrong) {
    Json model = test::codec_json();
    (*part == '\0' ? model : model[part])[key] = value;
    EXPECT_THROW(config_of(model), FormatError) << part << "." << key << " " << value.dump();
  }
  for (const char* missing : {"decoder", "levels", "groups", "sample_rate"}) {
    Json model = test::codec_json();
    model.erase(missing);
    EXPECT_TRUE(throws_naming<FormatError>(missing, [&] { config_of(model); }));
  }
}

}  // namespace
}  // namespace ttsrt::model::nanocodec
