#include "model/magpie/manifest.h"

#include <gtest/gtest.h>

#include "support/tiny_checkpoint.h"

namespace ttsrt::model::magpie {
namespace {

using Shape = std::vector<std::int64_t>;

Manifest manifest_of(const Json& config) {
  return declare_tensors(read_config(JsonReader(config.at("model"), "model")));
}

TEST(MagpieManifest, ShapesAndRoles) {
  const Manifest manifest = manifest_of(test::tiny_config());
  EXPECT_EQ(manifest.components(),
            (std::vector<std::string>{"text_encoder", "decoder", "local_transformer", "voices"}));
  EXPECT_EQ(manifest.find("audio_embeddings")->shape, (Shape{2, 20, 8}));
  EXPECT_EQ(manifest.find("audio_embeddings")->role, Role::table);
  EXPECT_EQ(manifest.find("decoder.layers.0.cross_kv")->shape, (Shape{12, 8}));
  EXPECT_EQ(manifest.find("text_encoder.layers.0.ffn_in")->shape, (Shape{12, 8, 3}));
  EXPECT_EQ(manifest.find("final_proj")->shape, (Shape{40, 8}));
  EXPECT_EQ(manifest.find("local_transformer.heads")->shape, (Shape{2, 20, 4}));
  EXPECT_EQ(manifest.find("local_transformer.heads")->role, Role::heads);
  EXPECT_EQ(manifest.find("voices")->shape, (Shape{2, kAnySize, 8}));
  EXPECT_EQ(manifest.find("voice_lengths")->dtype, DType::int32);
}

TEST(MagpieManifest, OnlyWhatTheModelHas) {
  const Manifest manifest = manifest_of(test::multi_encoder_config());
  for (const char* absent :
       {"local_transformer.positions", "voices", "voice_lengths", "context_text_embedding"})
    EXPECT_EQ(manifest.find(absent), nullptr) << absent;
  EXPECT_EQ(manifest.find("context_encoder.positions")->component, "context_encoder");
  EXPECT_EQ(manifest.find("decoder.layers.1.ffn_out")->shape, (Shape{8, 12, 3}));
  Json config = test::tiny_config();
  config["model"]["decoder"]["text_layers"] = {1};
  EXPECT_EQ(manifest_of(config).find("decoder.layers.0.cross_q")->role, Role::unused);
  EXPECT_EQ(manifest_of(config).find("decoder.layers.1.cross_q")->role, Role::matrix);
  config["model"]["context_text"] = "own";
  config["model"]["context_text_vocab"] = 11;
  EXPECT_EQ(manifest_of(config).find("context_text_embedding")->shape, (Shape{11, 8}));
}

}  // namespace
}  // namespace ttsrt::model::magpie
