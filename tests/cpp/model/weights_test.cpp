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
    weights.read(reader.object("components"), manifest);
  }));
}

TEST(WeightsTest, WhatALayerLeavesOutIsNotStored) {
  Json config = test::tiny_config();
  config["model"]["decoder"]["text_layers"] = {1};
  const test::TinyEngine engine(config);
  const EngineData data(engine.path());
  EXPECT_NO_THROW(data.weights.at("decoder.layers.1.cross_q"));
  EXPECT_THROW(data.weights.at("decoder.layers.0.cross_q"), FormatError);
}

// Layouts are a tensor's own: an engine with tensors of four kinds.
TEST(WeightsTest, TensorsOfSeveralLayouts) {
  const test::TinyEngine plain;
  BuildOptions options;
  options.quantization = "w4a16";
  options.group_size = 32;
  options.zero_points = true;
  const test::TinyEngine quantized(test::tiny_config(), options);
  options.wide_heads = true;
  options.dtype = DType::bfloat16;
  const test::TinyEngine wide(test::tiny_config(), options);
  const EngineData narrow(quantized.path());
  const ops::Weight& head = narrow.weights.at("final_proj");
  EXPECT_EQ(head.quantization, ops::Quantization::w4a16);
  EXPECT_EQ(head.group_size, 32);
  EXPECT_NE(head.scales, nullptr);
  EXPECT_TRUE(head.has_zeros);
  EXPECT_EQ(head.zeros, narrow.weights.at("final_proj.zeros").data);
  const EngineData data(wide.path());
  for (const char* name : {"final_proj", "local_transformer.heads.0"}) {
    EXPECT_EQ(data.weights.at(name).quantization, ops::Quantization::none) << name;
    EXPECT_EQ(data.weights.at(name).dtype, DType::bfloat16) << name;
  }
  EXPECT_EQ(data.weights.at("decoder.layers.0.self_qkv").quantization, ops::Quantization::w4a16);
  EXPECT_FALSE(EngineData(plain.path()).weights.at("final_proj").has_zeros);
}

// A manifest that says other roles: what they don't allow is refused.
TEST(WeightsTest, LayoutsThatARoleDoesntAllow) {
  const test::TinyEngine engine;
  const Json json = parse_json(test::read_file(engine.description()), "engine.json");
  const JsonReader components = JsonReader(json, "engine.json").object("components");
  const auto refuses = [&](Role role, const char* name, const std::vector<std::int64_t>& shape,
                           const char* part) {
    Manifest manifest;
    manifest.begin("decoder");
    manifest.add(role, name, shape);
    Weights weights(engine.weights());
    return test::throws_naming<FormatError>(part, [&] { weights.read(components, manifest); });
  };
  EXPECT_TRUE(
      refuses(Role::table, "final_proj", {40, 8}, "final_proj: expected dense for a table"));
  EXPECT_TRUE(refuses(Role::matrix, "audio_embeddings", {40, 8},
                      "audio_embeddings: expected panel16 for a matrix, got dense"));
}

}  // namespace
}  // namespace ttsrt::model
