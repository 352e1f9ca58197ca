// Attacks on whole engines are in engine_data_test.cpp.
#include "model/weights.h"

#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "support/errors.h"
#include "support/tiny_engine.h"

namespace ttsrt::model {
namespace {

TEST(WeightsTest, ByName) {
  const test::TinyEngine engine;
  const EngineData data(engine.path());
  const ops::Weight& weight = data.weights.at("final_proj");
  EXPECT_EQ(weight.rows, 40);
  EXPECT_EQ(weight.cols, 8);
  EXPECT_TRUE(weight.is_present());
  EXPECT_TRUE(
      test::throws_naming<FormatError>("nothing: missing", [&] { data.weights.at("nothing"); }));
  EXPECT_EQ(data.weights.data("voices").shape, (std::vector<std::int64_t>{2, 3, 8}));
}

TEST(WeightsTest, EveryTensorIsListedOnce) {
  const test::TinyEngine engine;
  const EngineData data(engine.path());
  std::size_t heads = 0;
  for (const TensorSpec& spec : data.manifest.tensors())
    heads += spec.role == Role::heads ? static_cast<std::size_t>(spec.shape.at(0)) - 1 : 0;
  EXPECT_EQ(data.weights.tensors().size(), data.manifest.tensors().size() + heads);
}

// What the manifest asks for must be there in that shape, whatever the description says.
TEST(WeightsTest, AnotherManifest) {
  const test::TinyEngine engine;
  const Json json = parse_json(test::read_file(engine.description()), "engine.json");
  const JsonReader reader(json, "engine.json");
  Manifest manifest;
  manifest.begin("decoder");
  manifest.add(Role::matrix, "final_proj", {8, 40});
  Weights weights(engine.weights());
  EXPECT_TRUE(test::throws_naming<FormatError>("final_proj: expected [8, 40], got [40, 8]", [&] {
    weights.read(reader.object("components"), manifest, DType::float32, {});
  }));
}

}  // namespace
}  // namespace ttsrt::model
