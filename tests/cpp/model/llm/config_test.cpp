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
  EXPECT_TRUE(config.has_head_bias);
  EXPECT_EQ(config.decoder.layers, 2);
}

TEST(LlmConfig, RefusesFieldsThatDoNotFit) {
  const auto refuses = [](const char* field, const Json& value) {
    Json model = test::llm_config().at("model");
    model[field] = value;
    return throws_naming<FormatError>(std::string("model.") + field, [&model] { read(model); });
  };
  EXPECT_TRUE(refuses("vocab", 0));
  EXPECT_TRUE(refuses("eos", 30));
  EXPECT_TRUE(refuses("head_bias", 1));
  EXPECT_TRUE(refuses("decoder", 1));
}

}  // namespace
}  // namespace ttsrt::model::llm
