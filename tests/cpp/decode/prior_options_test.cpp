#include "decode/prior_options.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"

namespace ttsrt::decode {
namespace {

using rules::PriorMode;
using test::throws_naming;

const std::vector<std::int32_t> kTextLayers = {1, 3, 5};

TEST(LayerMask, EmptyMeansEveryTextLayer) {
  EXPECT_EQ(layer_mask("x", {}, kTextLayers, 6), 0b101010U);
  EXPECT_EQ(layer_mask("x", {}, {}, 6), 0U);
  EXPECT_EQ(layer_mask("x", {}, {63}, 64), std::uint64_t{1} << 63);
}

TEST(LayerMask, LayersWithoutTextAreLeftOut) {
  EXPECT_EQ(layer_mask("x", {0, 1, 2, 3}, kTextLayers, 6), 0b1010U);
  EXPECT_EQ(layer_mask("x", {5, 5}, kTextLayers, 6), 0b100000U);
}

TEST(LayerMask, RefusesByName) {
  EXPECT_TRUE(throws_naming<ConfigError>("x: expected decoder layers in [0, 5], got 6",
                                         [] { layer_mask("x", {6}, kTextLayers, 6); }));
  EXPECT_THROW(layer_mask("x", {-1}, kTextLayers, 6), ConfigError);
  EXPECT_TRUE(throws_naming<ConfigError>("attends to the text",
                                         [] { layer_mask("x", {0, 2}, kTextLayers, 6); }));
}

TEST(CompilePrior, EveryOptionIsConverted) {
  AttentionPrior prior;
  prior.mode = "window";
  prior.epsilon = 0.25F;
  prior.lookahead = 6;
  prior.left = 2;
  prior.right = 7;
  prior.estimate_layers = {1};
  prior.apply_layers = {3, 5};
  prior.start_step = 3;
  prior.skip_after = 4;
  prior.suppress_after = 11;
  prior.suppress = "single";
  prior.short_text = 8;
  prior.end_margin = 9;
  prior.count_end = false;
  prior.track_finish = true;
  prior.unfinished_grace = 12;
  prior.force_after = 13;
  prior.end_after = 14;
  const auto rules = compile_prior(prior, kTextLayers, 6);
  EXPECT_EQ(rules.mode, PriorMode::window);
  EXPECT_EQ(rules.epsilon, 0.25F);
  EXPECT_EQ(rules.lookahead, 6);
  EXPECT_EQ(rules.left, 2);
  EXPECT_EQ(rules.right, 7);
  EXPECT_EQ(rules.estimate_layers, 0b10U);
  EXPECT_EQ(rules.apply_layers, 0b101000U);
  EXPECT_EQ(rules.start_step, 3);
  EXPECT_EQ(rules.skip_after, 4);
  EXPECT_EQ(rules.suppress_after, 11);
  EXPECT_FALSE(rules.suppress_upto);
  EXPECT_EQ(rules.short_text, 8);
  EXPECT_EQ(rules.end_margin, 9);
  EXPECT_FALSE(rules.count_end);
  EXPECT_TRUE(rules.track_finish);
  EXPECT_EQ(rules.unfinished_grace, 12);
  EXPECT_EQ(rules.force_after, 13);
  EXPECT_EQ(rules.end_after, 14);
}

TEST(CompilePrior, DefaultsEqualThoseOfTheRules) {
  const auto rules = compile_prior({}, kTextLayers, 6);
  EXPECT_EQ(rules.mode, PriorMode::nemo);
  EXPECT_EQ(rules.estimate_layers, 0b101010U);
  EXPECT_EQ(rules.apply_layers, 0b101010U);
  EXPECT_TRUE(rules.suppress_upto);
}

TEST(CompilePrior, RefusesEachOptionByName) {
  struct Case {
    const char* knob;
    void (*change)(AttentionPrior&);
  };
  const Case cases[] = {
      {"prior.mode", [](AttentionPrior& of) { of.mode = "off"; }},
      {"prior.suppress:", [](AttentionPrior& of) { of.suppress = "all"; }},
      {"prior.epsilon", [](AttentionPrior& of) { of.epsilon = 1.5F; }},
      {"prior.epsilon",
       [](AttentionPrior& of) { of.epsilon = std::numeric_limits<float>::quiet_NaN(); }},
      {"prior.lookahead", [](AttentionPrior& of) { of.lookahead = 0; }},
      {"prior.left", [](AttentionPrior& of) { of.left = -1; }},
      {"prior.right", [](AttentionPrior& of) { of.right = INT32_MAX; }},
      {"prior.estimate_layers", [](AttentionPrior& of) { of.estimate_layers = {9}; }},
      {"prior.apply_layers", [](AttentionPrior& of) { of.apply_layers = {0}; }},
      {"prior.start_step", [](AttentionPrior& of) { of.start_step = -1; }},
      {"prior.skip_after", [](AttentionPrior& of) { of.skip_after = -1; }},
      {"prior.suppress_after", [](AttentionPrior& of) { of.suppress_after = -1; }},
      {"prior.short_text", [](AttentionPrior& of) { of.short_text = -1; }},
      {"prior.end_margin", [](AttentionPrior& of) { of.end_margin = -1; }},
      {"prior.unfinished_grace", [](AttentionPrior& of) { of.unfinished_grace = -1; }},
      {"prior.force_after", [](AttentionPrior& of) { of.force_after = -1; }},
      {"prior.end_after", [](AttentionPrior& of) { of.end_after = -1; }},
  };
  for (const Case& of : cases) {
    AttentionPrior prior;
    of.change(prior);
    EXPECT_TRUE(throws_naming<ConfigError>(of.knob, [&] { compile_prior(prior, kTextLayers, 6); }))
        << of.knob;
  }
}

}  // namespace
}  // namespace ttsrt::decode
