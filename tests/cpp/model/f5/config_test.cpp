#include "model/f5/config.h"

#include <gtest/gtest.h>

#include <string>

#include "support/errors.h"
#include "support/flow_models.h"

namespace ttsrt::model::f5 {
namespace {

using test::throws_naming;

Config config_of(const Json& model) { return read_config(JsonReader(model, "model")); }

TEST(F5Config, ReadsWhatTheGenerationsDifferIn) {
  Json model = test::flow_json();
  EXPECT_TRUE(config_of(model).masks_padding);
  EXPECT_EQ(config_of(model).rope_heads, 0);
  model["variant"] = "v0";
  model["text_mask_padding"] = false;
  model["rope_heads"] = 1;
  model["vocoder"] = nullptr;
  const Config config = config_of(model);
  EXPECT_FALSE(config.masks_padding);
  EXPECT_EQ(config.rope_heads, 1);
  EXPECT_FALSE(config.vocoder.has_value());
  EXPECT_EQ(config.schedule_width(), (2 * 6 + 2) * 32);
  EXPECT_DOUBLE_EQ(config.frame_rate(), 100.0);
}

TEST(F5Config, RefusesByNameWhatCannotBe) {
  const std::pair<const char*, Json> wrong[] = {
      {"variant", "v2"},     {"dim", 8},          {"rope_heads", 3},  {"conv_groups", 4},
      {"conv_kernel", 4},    {"head_dim", 7},     {"text_vocab", 0},  {"max_frames", 1},
      {"layers", 65},        {"mel_bins", 5},     {"hop", 0},         {"text_mask_padding", 1},
      {"sample_rate", 1e12}, {"vocoder", "none"}, {"long_skip", "no"}};
  for (const auto& [key, value] : wrong) {
    Json model = test::flow_json();
    model[key] = value;
    EXPECT_THROW(config_of(model), FormatError) << key;
  }
  for (const auto& [key, value] :
       {std::pair<const char*, Json>{"mel_bins", 7}, {"sample_rate", 801}, {"hop", 4}}) {
    Json model = test::flow_json();
    model["vocoder"][key] = value;
    EXPECT_TRUE(
        throws_naming<FormatError>(std::string("model.vocoder.") + key, [&] { config_of(model); }));
  }
  Json model = test::flow_json();
  model["text_average_upsampling"] = true;
  model["text_mask_padding"] = false;
  EXPECT_TRUE(throws_naming<FormatError>("text_average_upsampling", [&] { config_of(model); }));
}

TEST(F5Config, ReadsDefaults) {
  Json defaults = test::flow_config().at("defaults");
  EXPECT_EQ(read_defaults(JsonReader(defaults, "defaults")).steps, 4);
  for (const auto& [key, value] : {std::pair<const char*, Json>{"steps", 129},
                                   {"method", "rk4"},
                                   {"sway_sampling_coef", -2},
                                   {"cfg_strength", -1},
                                   {"use_epss", nullptr}}) {
    Json changed = defaults;
    changed[key] = value;
    EXPECT_THROW(read_defaults(JsonReader(changed, "defaults")), FormatError) << key;
  }
}

}  // namespace
}  // namespace ttsrt::model::f5
