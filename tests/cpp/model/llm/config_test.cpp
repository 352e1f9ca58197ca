#include "model/llm/config.h"

#include <gtest/gtest.h>

#include "support/causal_models.h"
#include "support/errors.h"

namespace ttsrt::model::llm {
namespace {

using test::throws_naming;

Config read(const Json& model) { return read_config(JsonReader(model, "model")); }

TEST(LlmConfig, ReadsItsFields) {
  const Config config = read(test::llm_config().at("model"));
  EXPECT_EQ(config.vocab, 30);
  EXPECT_EQ(config.eos_id, 2);
  EXPECT_TRUE(config.more_eos_ids.empty());
  EXPECT_TRUE(config.has_head_bias);
  EXPECT_EQ(config.decoder.layers, 2);
}

TEST(LlmConfig, ReadsMoreIdsThatEndAText) {
  Json model = test::llm_config().at("model");
  model["more_eos"] = {4, 29};
  EXPECT_EQ(read(model).more_eos_ids, (std::vector<std::int32_t>{4, 29}));
}

TEST(LlmConfig, RefusesFieldsThatDoNotFit) {
  const auto refuses = [](const char* field, const Json& value) {
    Json model = test::llm_config().at("model");
    model[field] = value;
    return throws_naming<FormatError>(std::string("model.") + field, [&model] { read(model); });
  };
  EXPECT_TRUE(refuses("vocab", 0));
  EXPECT_TRUE(refuses("eos", 30));
  EXPECT_TRUE(refuses("more_eos", {30}));
  EXPECT_TRUE(refuses("more_eos", std::vector<int>(33, 4)));
  EXPECT_TRUE(refuses("tokens", 31));
  EXPECT_TRUE(refuses("head_bias", 1));
  EXPECT_TRUE(refuses("decoder", 1));
}

TEST(LlmConfig, RefusesAnEndAmongTheIdsThatPadTheTable) {
  Json model = test::llm_config().at("model");
  model["tokens"] = 2;
  EXPECT_TRUE(throws_naming<FormatError>("model.eos", [&model] { read(model); }));
}

}  // namespace
}  // namespace ttsrt::model::llm
