#include "model/magpie/config.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/magpie/defaults.h"
#include "support/errors.h"
#include "support/tiny_checkpoint.h"

namespace ttsrt::model::magpie {
namespace {

using test::throws_naming;

Config read(const Json& config) { return read_config(JsonReader(config.at("model"), "model")); }

// A place in the "model" block: its JSON pointer, and the name that messages give it.
std::string name_at(const std::string& pointer) {
  std::string name = pointer;
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

::testing::AssertionResult refuses(const std::string& pointer, const Json& value) {
  Json config = test::tiny_config();
  config["model"][Json::json_pointer(pointer)] = value;
  const std::string last = pointer.substr(pointer.rfind('/'));
  return throws_naming<FormatError>(name_at(last), [&] { read(config); });
}

TEST(MagpieConfig, ReadsTheTinyOne) {
  const Config config = read(test::tiny_config());
  EXPECT_EQ(config.dim, 8);
  EXPECT_EQ(config.stack_codes(), 2);
  EXPECT_EQ(config.tokens.audio_eos, 17);
  EXPECT_EQ(config.tokens.forbidden, (std::vector<std::int32_t>{15, 16}));
  EXPECT_EQ(config.context, ContextKind::codes);
  EXPECT_EQ(config.context_text, ContextText::shared);
  EXPECT_FALSE(config.context_encoder.is_present());
  EXPECT_EQ(config.text_encoder.kernel, 3);
  EXPECT_FALSE(config.text_encoder.is_causal);
  EXPECT_EQ(config.cross.width(), 6);
  EXPECT_EQ(config.cross.sees_text, (std::vector<bool>{true, true}));
  EXPECT_EQ(config.local.kind, LocalKind::autoregressive);
  EXPECT_TRUE(config.local.has_in_projection);
  EXPECT_EQ(config.speakers.at("bob"), 1);
}

TEST(MagpieConfig, ReadsAMultiEncoderOne) {
  const Config config = read(test::multi_encoder_config());
  EXPECT_EQ(config.context, ContextKind::memory);
  EXPECT_TRUE(config.context_encoder.is_present());
  EXPECT_EQ(config.cross.sees_context, (std::vector<bool>{false, true}));
  EXPECT_EQ(config.local.kind, LocalKind::none);
}

const char* const kNumbers[] = {"/dim",
                                "/codebooks",
                                "/codebook_vocab",
                                "/frame_stacking",
                                "/text_vocab",
                                "/context_text_vocab",
                                "/frame_rate",
                                "/num_voices",
                                "/tokens/audio_bos",
                                "/tokens/audio_eos",
                                "/tokens/context_bos",
                                "/tokens/context_eos",
                                "/tokens/mask",
                                "/tokens/text_bos",
                                "/tokens/text_eos",
                                "/text_encoder/layers",
                                "/text_encoder/dim",
                                "/text_encoder/ffn_dim",
                                "/text_encoder/heads",
                                "/text_encoder/kernel",
                                "/text_encoder/max_positions",
                                "/decoder/layers",
                                "/decoder/cross_heads",
                                "/decoder/cross_head_dim",
                                "/local_transformer/layers",
                                "/local_transformer/ffn_dim",
                                "/local_transformer/max_positions"};

TEST(MagpieConfig, RefusesEachNumberOutOfRange) {
  for (const char* pointer : kNumbers) {
    for (const Json& value :
         {Json(-1), Json(std::int64_t{1} << 31), Json(std::int64_t{1} << 40), Json(UINT64_MAX),
          Json("8"), Json(nullptr), Json(true), Json(Json::array({1}))}) {
      EXPECT_TRUE(refuses(pointer, value)) << pointer << " = " << value;
    }
    if (std::string(pointer) == "/frame_rate") continue;
    EXPECT_TRUE(refuses(pointer, 1.5)) << pointer;
  }
}

TEST(MagpieConfig, RefusesEachFieldMissing) {
  const Json whole = test::tiny_config();
  const Json fields = whole.at("model").flatten();
  for (const auto& [pointer, value] : fields.items()) {
    Json config = whole;
    const Json::json_pointer at(pointer);
    if (config["model"][at.parent_pointer()].is_array()) continue;
    if (at.parent_pointer().to_string() == "/speakers" || pointer == "/context_encoder")
      continue;  // optional
    config["model"][at.parent_pointer()].erase(at.back());
    EXPECT_TRUE(throws_naming<FormatError>(at.back(), [&] { read(config); })) << pointer;
  }
}

TEST(MagpieConfig, RefusesOtherTypesAndNames) {
  for (const char* pointer : {"/context", "/context_text", "/local_transformer/kind"}) {
    EXPECT_TRUE(refuses(pointer, "nonsense")) << pointer;
    EXPECT_TRUE(refuses(pointer, 1)) << pointer;
  }
  for (const char* pointer : {"/text_encoder/causal", "/decoder/norm_out", "/decoder/memory_norm",
                              "/local_transformer/in_projection"}) {
    EXPECT_TRUE(refuses(pointer, 1)) << pointer;
  }
  for (const char* pointer : {"/tokens", "/text_encoder", "/decoder", "/speakers"})
    EXPECT_TRUE(refuses(pointer, 1)) << pointer;
  EXPECT_TRUE(refuses("/decoder/text_layers", {2}));
  EXPECT_TRUE(refuses("/decoder/context_layers", {-1}));
  EXPECT_TRUE(refuses("/tokens/forbidden", {20}));
  EXPECT_TRUE(refuses("/tokens/forbidden", std::vector<int>(17, 1)));
  EXPECT_TRUE(refuses("/speakers/ann", 2));
}

TEST(MagpieConfig, NamesOfVoicesFollowTheirRule) {
  for (const char* name : {"", "a b", "a/b", "a\n"}) {
    Json config = test::tiny_config();
    config["model"]["speakers"][name] = 0;
    EXPECT_TRUE(throws_naming<FormatError>("speakers: expected names of 1 to 64 letters",
                                           [&] { read(config); }));
  }
}

TEST(MagpieConfig, RefusesWhatDoesntFitTogether) {
  EXPECT_TRUE(refuses("/text_encoder/heads", 3));
  EXPECT_TRUE(refuses("/text_encoder/kernel", 4));  // even, and not causal
  EXPECT_TRUE(refuses("/decoder/causal", false));
  EXPECT_TRUE(refuses("/local_transformer/max_positions", 1));
  const auto changed = [](auto change) {
    Json config = test::tiny_config();
    change(config["model"]);
    return config;
  };
  struct Case {
    const char* part;
    Json config;
  };
  const Case cases[] = {
      {"as wide as dim", changed([](Json& model) { model["dim"] = 10; })},
      {"context_encoder: missing", changed([](Json& model) { model["context"] = "encoder"; })},
      {"num_voices", changed([](Json& model) {
         model["context"] = "voices";
         model["num_voices"] = 0;
         model["speakers"] = Json::object();
       })},
      {"without an in-projection",
       changed([](Json& model) { model["local_transformer"]["in_projection"] = false; })},
      {"in text_layers and in context_layers",
       changed([](Json& model) { model["decoder"]["context_layers"] = {0}; })},
      {"context_text_vocab", changed([](Json& model) { model["context_text"] = "own"; })},
      {"context_layers", changed([](Json& model) {
         model["decoder"]["text_layers"] = {0};
         model["decoder"]["context_layers"] = {1};
       })},
  };
  for (const Case& of : cases)
    EXPECT_TRUE(throws_naming<FormatError>(of.part, [&] { read(of.config); })) << of.part;
}

TEST(Defaults, ReadAndRefuse) {
  Json defaults = test::tiny_config()["defaults"];
  const auto read_them = [&] { return read_defaults(JsonReader(defaults, "defaults")); };
  EXPECT_EQ(read_them().cfg_scale, 2.0F);
  EXPECT_FALSE(read_them().prior.has_value());
  const Json whole = defaults;
  for (const auto& [key, value] : whole.items()) {
    if (key == "prior") continue;
    for (const Json& bad : {Json(-1), Json(Json::array()), Json(nullptr)}) {
      defaults = whole;
      defaults[key] = bad;
      EXPECT_TRUE(throws_naming<FormatError>("defaults." + key, read_them)) << key << " = " << bad;
    }
    defaults = whole;
    defaults.erase(key);
    EXPECT_TRUE(throws_naming<FormatError>("defaults." + key + ": missing", read_them));
  }
}

TEST(Defaults, ThePriorFieldByField) {
  const Json prior = {{"mode", "nemo"},
                      {"epsilon", 0.1},
                      {"lookahead", 5},
                      {"left", 1},
                      {"right", 5},
                      {"estimate_layers", {1}},
                      {"apply_layers", {0, 1}},
                      {"start_step", 0},
                      {"skip_after", 8},
                      {"suppress_after", 10},
                      {"suppress", "upto"},
                      {"short_text", 5},
                      {"end_margin", 3},
                      {"count_end", true},
                      {"track_finish", false},
                      {"unfinished_grace", 5},
                      {"force_after", 20},
                      {"end_after", 0},
                      {"recompute", false}};
  Json defaults = test::tiny_config()["defaults"];
  const auto read_them = [&] { return read_defaults(JsonReader(defaults, "defaults")); };
  defaults["prior"] = prior;
  EXPECT_EQ(read_them().prior->apply_layers, (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(read_them().prior->right, std::nullopt);  // as lookahead: it follows
  defaults["prior"]["right"] = nullptr;
  EXPECT_EQ(read_them().prior->right, std::nullopt);
  defaults["prior"]["right"] = 3;
  EXPECT_EQ(read_them().prior->right, 3);
  // Engines of earlier versions call both generations "nemo".
  defaults["prior"]["suppress"] = "single";
  EXPECT_EQ(read_them().prior->mode, "nemo_2503");
  EXPECT_EQ(read_them().prior_mode, "nemo_2503");
  defaults["prior"]["mode"] = "window";  // which has no suppression
  EXPECT_EQ(read_them().prior->suppress, std::nullopt);
  defaults["prior_mode"] = "nemo_3";
  EXPECT_TRUE(throws_naming<FormatError>("defaults.prior_mode: expected", read_them));
  defaults.erase("prior_mode");
  for (const auto& [key, value] : prior.items()) {
    defaults["prior"] = prior;
    defaults["prior"][key] = -1;
    EXPECT_TRUE(throws_naming<FormatError>("prior." + key, read_them));
    defaults["prior"].erase(key);
    EXPECT_TRUE(throws_naming<FormatError>("prior." + key + ": missing", read_them));
  }
}

}  // namespace
}  // namespace ttsrt::model::magpie
