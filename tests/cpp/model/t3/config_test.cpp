#include "model/t3/config.h"

#include <gtest/gtest.h>

#include "support/causal_models.h"
#include "support/errors.h"

namespace ttsrt::model::t3 {
namespace {

using test::throws_naming;

Config read(const Json& model) { return read_config(JsonReader(model, "model")); }

TEST(T3Config, ReadsItsFields) {
  const Config config = read(test::t3_config().at("model"));
  EXPECT_EQ(config.speech_vocab, 40);
  EXPECT_EQ(config.text_vocab, 9);
  EXPECT_EQ(config.bos_id, 38);
  EXPECT_EQ(config.eos_id, 39);
  EXPECT_EQ(config.start_rows, 2);
  EXPECT_TRUE(config.restarts_positions());
  EXPECT_EQ(config.decoder.dim, 12);
}

TEST(T3Config, RefusesFieldsThatDoNotFit) {
  const auto refuses = [](const char* field, const Json& value) {
    Json model = test::t3_config().at("model");
    model[field] = value;
    return throws_naming<FormatError>(std::string("model.") + field, [&model] { read(model); });
  };
  EXPECT_TRUE(refuses("bos", 40));
  EXPECT_TRUE(refuses("eos", -1));
  EXPECT_TRUE(refuses("start_rows", 3));
  EXPECT_TRUE(refuses("speech_positions", 0));
  Json model = test::t3_config().at("model");
  model["decoder"]["learned_positions"] = true;
  EXPECT_TRUE(
      throws_naming<FormatError>("model.decoder.learned_positions", [&model] { read(model); }));
}

}  // namespace
}  // namespace ttsrt::model::t3
