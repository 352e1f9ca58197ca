// The Programs that a model's networks write: which operations, in which order, with what state.
#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "model/magpie/decoder.h"
#include "model/magpie/encoder.h"
#include "model/magpie/family.h"
#include "ops/nested.h"
#include "support/tiny_engine.h"

namespace ttsrt::model::magpie {
namespace {

using Names = std::vector<std::string>;

Names names_of(const ops::Program& program) {
  Names names;
  for (const ops::Op& op : program.ops) names.emplace_back(ops::name_of(op));
  return names;
}

template <typename Kind>
std::vector<Kind> all_of(const ops::Program& program) {
  std::vector<Kind> found;
  for (const ops::Op& op : program.ops) {
    if (const auto* record = std::get_if<Kind>(&op)) found.push_back(*record);
  }
  return found;
}

Names joined(std::initializer_list<Names> parts) {
  Names all;
  for (const Names& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

const Names kSelf = {"Norm", "Linear", "SelfAttention", "Linear"};
const Names kCross = {"Norm", "Linear", "CrossAttention", "Linear"};
const Names kFeed = {"Norm", "Linear", "Linear"};
const Names kConvFeed = {"Norm", "Unfold", "Linear", "Unfold", "Linear"};
const Names kProjection = {"Norm", "Linear", "StoreMemory"};

class Programs : public ::testing::Test {
 protected:
  void load(const Json& config) {
    engine_ = std::make_unique<test::TinyEngine>(config);
    data_ = std::make_unique<EngineData>(engine_->path());
  }

  Source source() const {
    return {dynamic_cast<const MagpieFamily&>(*data_->family).config(), data_->weights};
  }

  std::unique_ptr<test::TinyEngine> engine_;
  std::unique_ptr<EngineData> data_;
};

TEST_F(Programs, TextEncoder) {
  load(test::tiny_config());
  const ops::Program program = write_text_encoder(source(), false);
  EXPECT_EQ(
      names_of(program),
      joined({{"EmbedRows"}, kSelf, kConvFeed, {"Norm"}, kProjection, kProjection, {"EmitRows"}}));
  const auto attention = all_of<ops::SelfAttention>(program).at(0);
  EXPECT_EQ(attention.cache_layer, -1);
  EXPECT_FALSE(attention.causal);
  EXPECT_EQ(all_of<ops::Unfold>(program).at(0).history, -1);
  EXPECT_EQ(all_of<ops::StoreMemory>(program).at(1).layer, 1);
  EXPECT_TRUE(program.taps.empty());
}

TEST_F(Programs, MemoryProjection) {
  load(test::tiny_config());
  EXPECT_EQ(names_of(write_memory_projection(source())),
            joined({{"EmbedRows"}, kProjection, kProjection}));
}

TEST_F(Programs, Prefill) {
  load(test::tiny_config());
  const ops::Program program = write_prefill(source(), false);
  // Of the last layer only keys and values are wanted.
  EXPECT_EQ(names_of(program),
            joined({{"EmbedRows"}, kSelf, kCross, kFeed, {"Norm", "Linear", "SelfAttention"}}));
  EXPECT_EQ(all_of<ops::SelfAttention>(program).at(1).cache_layer, 1);
  EXPECT_EQ(all_of<ops::CrossAttention>(program).at(0).scores, ops::kNoBuffer);
}

TEST_F(Programs, Decode) {
  load(test::tiny_config());
  const ops::Program program = write_decode(source(), 40, false);
  EXPECT_EQ(names_of(program),
            joined({{"ClearScores", "EmbedRows"},
                    kSelf,
                    kCross,
                    kFeed,
                    kSelf,
                    kCross,
                    kFeed,
                    {"Norm", "Linear", "UpdatePrior", "SampleCodes", "PickCodes", "FinishStep"}}));
  const auto cross = all_of<ops::CrossAttention>(program);
  EXPECT_EQ(cross.at(1).layer, 1);
  EXPECT_EQ(cross.at(1).scores, all_of<ops::UpdatePrior>(program).at(0).scores);
  const ops::PickCodes pick = all_of<ops::PickCodes>(program).at(0);
  EXPECT_FALSE(pick.maskgit);
  EXPECT_EQ(pick.codebooks, 2);
  EXPECT_TRUE(pick.in_proj.is_present());
  EXPECT_EQ(names_of(*pick.network.program), joined({kSelf, kFeed}));
  EXPECT_EQ(ops::width_of(pick.network, pick.network.input), 4);
  EXPECT_EQ(pick.network.output, pick.network.input);  // no final norm
  EXPECT_TRUE(all_of<ops::SelfAttention>(*pick.network.program).at(0).causal);
  EXPECT_EQ(pick.head_weights.size(), 2U);
  EXPECT_EQ(pick.pick_logits, ops::kNoBuffer);
  for (const ops::Linear& linear : all_of<ops::Linear>(program)) {
    EXPECT_EQ(program.activations.at(static_cast<std::size_t>(linear.x)).width, linear.weight.cols);
    EXPECT_EQ(program.activations.at(static_cast<std::size_t>(linear.out)).width,
              linear.weight.rows);
  }
}

TEST_F(Programs, MultiEncoderLayersAndConvolutions) {
  load(test::multi_encoder_config());
  const ops::Program decode = write_decode(source(), 40, false);
  EXPECT_EQ(names_of(decode),
            joined({{"ClearScores", "EmbedRows"},
                    kSelf,
                    kCross,
                    kConvFeed,
                    kSelf,
                    kCross,
                    kConvFeed,
                    {"Norm", "Linear", "UpdatePrior", "SampleCodes", "FinishStep"}}));
  const auto cross = all_of<ops::CrossAttention>(decode);
  EXPECT_EQ(cross.at(0).memory, ops::Memory::text);
  EXPECT_NE(cross.at(0).scores, ops::kNoBuffer);
  EXPECT_EQ(cross.at(1).memory, ops::Memory::context);
  EXPECT_EQ(cross.at(1).scores, ops::kNoBuffer);
  std::vector<std::int32_t> histories;
  for (const ops::Unfold& unfold : all_of<ops::Unfold>(decode)) histories.push_back(unfold.history);
  EXPECT_EQ(histories, (std::vector<std::int32_t>{0, 1, 2, 3}));
  // With histories to keep, prefill computes its last layer too.
  EXPECT_EQ(names_of(write_prefill(source(), false)),
            joined({{"EmbedRows"}, kSelf, kCross, kConvFeed, kSelf, kCross, kConvFeed}));
}

TEST_F(Programs, TheContextEncoderKeepsAMemoryOrRows) {
  load(test::multi_encoder_config());
  const Names memory = names_of(write_context_encoder(source(), false));
  EXPECT_EQ(memory, joined({{"EmbedRows"}, kSelf, kFeed, {"Norm"}, kProjection}));
  EXPECT_EQ(all_of<ops::StoreMemory>(write_context_encoder(source(), false)).at(0).memory,
            ops::Memory::context);
  Json config = test::multi_encoder_config();
  config["model"]["context"] = "encoder";
  config["model"]["decoder"]["context_layers"] = Json::array();
  load(config);
  EXPECT_EQ(names_of(write_context_encoder(source(), false)),
            joined({{"EmbedRows"}, kSelf, kFeed, {"Norm", "StoreContext"}}));
}

TEST_F(Programs, WithoutNormsAndWithMaskGit) {
  Json config = test::tiny_config();
  config["model"]["decoder"]["norm_out"] = false;
  config["model"]["decoder"]["memory_norm"] = false;
  config["model"]["local_transformer"]["kind"] = "maskgit";
  load(config);
  const ops::Program program = write_decode(source(), 40, false);
  EXPECT_EQ(names_of(program),
            joined({{"ClearScores", "EmbedRows"},
                    kSelf,
                    kCross,
                    kFeed,
                    kSelf,
                    kCross,
                    kFeed,
                    {"Linear", "UpdatePrior", "SampleCodes", "PickCodes", "FinishStep"}}));
  const ops::PickCodes pick = all_of<ops::PickCodes>(program).at(0);
  EXPECT_TRUE(pick.maskgit);
  EXPECT_FALSE(all_of<ops::SelfAttention>(*pick.network.program).at(0).causal);
  EXPECT_EQ(pick.mask_id, 15);
  EXPECT_EQ(names_of(write_memory_projection(source())),
            (Names{"EmbedRows", "Linear", "StoreMemory", "Linear", "StoreMemory"}));
}

TEST_F(Programs, ATraceNamesItsStages) {
  load(test::tiny_config());
  Names taps;
  for (const ops::Tap& tap : write_decode(source(), 40, true).taps) taps.push_back(tap.name);
  EXPECT_EQ(taps, (Names{"decoder.layers.0", "decoder.layers.1", "dec_hidden", "logits",
                         "logits_guided", "align_scores", "lt_logits"}));
  EXPECT_EQ(write_text_encoder(source(), true).taps.back().name, "encoder_out");
}

}  // namespace
}  // namespace ttsrt::model::magpie
