#include "model/held_weights.h"

#include <gtest/gtest.h>

#include <cstring>

#include "model/engine_data.h"
#include "support/causal_models.h"
#include "support/errors.h"
#include "support/tiny_engine.h"

namespace ttsrt::model {
namespace {

TEST(HeldWeights, AreThoseOfTheEngineInMemoryOfTheirOwn) {
  const test::TinyEngine engine(test::t3_config());
  const EngineData data(engine.path());
  const HeldWeights held(data.weights, {"conditioning.speaker", "speech_embedding"});
  const auto in_use = data.weights.use();
  for (const char* name : {"conditioning.speaker", "speech_embedding"}) {
    const ops::Weight& expected = data.weights.at(name);
    const ops::Weight& weight = held.at(name);
    EXPECT_NE(weight.data, expected.data);
    EXPECT_EQ(weight.rows, expected.rows);
    EXPECT_EQ(weight.cols, expected.cols);
    ASSERT_EQ(weight.dtype, expected.dtype);
    const auto bytes = static_cast<std::size_t>(weight.rows * weight.cols) * size_of(weight.dtype);
    EXPECT_EQ(std::memcmp(weight.data, expected.data, bytes), 0) << name;
  }
}

TEST(HeldWeights, NamesThatAreMissing) {
  const test::TinyEngine engine(test::t3_config());
  const EngineData data(engine.path());
  EXPECT_TRUE(test::throws_naming<FormatError>(
      "abacus: missing", [&] { const HeldWeights held(data.weights, {"abacus"}); }));
  const HeldWeights held(data.weights, {"speech_embedding"});
  EXPECT_TRUE(test::throws_naming<InternalError>("head: is not held", [&] { held.at("head"); }));
}

}  // namespace
}  // namespace ttsrt::model
