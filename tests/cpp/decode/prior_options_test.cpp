#include "decode/prior_options.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>
#include <utility>

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

// The rules of a prior for a model without one of its own, whose generation is `own_mode`.
rules::PriorRules compile(const AttentionPrior& asked,
                          const std::optional<AttentionPrior>& own = std::nullopt,
                          const std::string& own_mode = kNemoMode) {
  return compile_prior(resolve_prior(asked, own, own_mode), kTextLayers, 6);
}

TEST(CompilePrior, EveryOptionIsConverted) {
  AttentionPrior prior;
  prior.mode = kNemoMode;
  prior.epsilon = 0.25F;
  prior.lookahead = 6;
  prior.left = 2;
  prior.right = 7;
  prior.estimate_layers = {{1}};
  prior.apply_layers = {{3, 5}};
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
  const auto rules = compile(prior);
  EXPECT_EQ(rules.mode, PriorMode::nemo);
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
  AttentionPrior window;
  window.mode = kWindowMode;
  window.end_after = 14;
  EXPECT_EQ(compile(window).mode, PriorMode::window);
  EXPECT_EQ(compile(window).end_after, 14);
}

TEST(CompilePrior, DefaultsEqualThoseOfTheRules) {
  const auto rules = compile({});
  EXPECT_EQ(rules.mode, PriorMode::nemo);
  EXPECT_EQ(rules.estimate_layers, 0b101010U);
  EXPECT_EQ(rules.apply_layers, 0b101010U);
  EXPECT_TRUE(rules.suppress_upto);
  const rules::PriorRules by_itself;
  EXPECT_EQ(rules.epsilon, by_itself.epsilon);
  EXPECT_EQ(rules.right, by_itself.right);
  EXPECT_EQ(rules.unfinished_grace, by_itself.unfinished_grace);
}

TEST(ResolvePrior, RightFollowsLookaheadInNemo) {
  AttentionPrior asked;
  asked.lookahead = 6;
  EXPECT_EQ(compile(asked).right, 6);
  EXPECT_EQ(compile(asked, std::nullopt, kNemo2503Mode).right, 5);
  asked.right = 2;
  EXPECT_EQ(compile(asked).right, 2);
}

TEST(ResolvePrior, AModeBringsTheQuirksOfItsGeneration) {
  const auto rules = compile({}, std::nullopt, kNemo2503Mode);
  EXPECT_EQ(rules.mode, PriorMode::nemo);
  EXPECT_EQ(rules.epsilon, 1e-5F);
  EXPECT_EQ(rules.lookahead, 10);
  EXPECT_EQ(rules.start_step, 10);
  EXPECT_FALSE(rules.suppress_upto);
  EXPECT_FALSE(rules.count_end);
  EXPECT_TRUE(rules.track_finish);
  EXPECT_EQ(rules.unfinished_grace, 10);
  EXPECT_EQ(compile({}, std::nullopt, kWindowMode).end_after, 20);
}

TEST(ResolvePrior, OneOptionChangesTheModelsPriorAndNoOther) {
  AttentionPrior own = resolve_prior({}, std::nullopt, kNemo2503Mode);
  own.epsilon = 0.5F;
  own.apply_layers = {{3}};
  AttentionPrior asked;
  asked.skip_after = 2;
  const auto rules = compile(asked, own, kNemo2503Mode);
  EXPECT_EQ(rules.skip_after, 2);
  EXPECT_EQ(rules.epsilon, 0.5F);
  EXPECT_EQ(rules.apply_layers, 0b1000U);
  EXPECT_FALSE(rules.count_end);
  asked.mode = kNemoMode;  // another mode starts from its own values
  EXPECT_EQ(compile(asked, own, kNemo2503Mode).epsilon, 0.1F);
  EXPECT_TRUE(compile(asked, own, kNemo2503Mode).count_end);
}

TEST(ResolvePrior, RefusesWhatWouldHaveNoEffect) {
  const auto refuses = [](const char* what, const char* mode, auto change) {
    AttentionPrior prior;
    prior.mode = mode;
    change(prior);
    return throws_naming<ConfigError>(what, [&] { resolve_prior(prior, std::nullopt, kNemoMode); });
  };
  EXPECT_TRUE(refuses("prior.end_after", kNemoMode, [](AttentionPrior& of) { of.end_after = 4; }));
  EXPECT_TRUE(
      refuses("prior.end_after", kNemo2503Mode, [](AttentionPrior& of) { of.end_after = 4; }));
  EXPECT_TRUE(
      refuses("prior.force_after", kNemoMode, [](AttentionPrior& of) { of.force_after = 4; }));
  EXPECT_TRUE(refuses("prior.suppress", kNemoMode, [](AttentionPrior& of) {
    of.suppress = "single";
    of.suppress_after = 0;
  }));
  const std::pair<const char*, void (*)(AttentionPrior&)> foreign[] = {
      {"prior.start_step", [](AttentionPrior& of) { of.start_step = 1; }},
      {"prior.suppress_after", [](AttentionPrior& of) { of.suppress_after = 1; }},
      {"prior.suppress", [](AttentionPrior& of) { of.suppress = "upto"; }},
      {"prior.short_text", [](AttentionPrior& of) { of.short_text = 1; }},
      {"prior.end_margin", [](AttentionPrior& of) { of.end_margin = 1; }},
      {"prior.count_end", [](AttentionPrior& of) { of.count_end = false; }},
      {"prior.track_finish", [](AttentionPrior& of) { of.track_finish = true; }},
      {"prior.unfinished_grace", [](AttentionPrior& of) { of.unfinished_grace = 1; }},
      {"prior.force_after", [](AttentionPrior& of) { of.force_after = 1; }}};
  for (const auto& [what, change] : foreign) EXPECT_TRUE(refuses(what, kWindowMode, change));
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
      {"prior.estimate_layers", [](AttentionPrior& of) { of.estimate_layers = {{9}}; }},
      {"prior.apply_layers", [](AttentionPrior& of) { of.apply_layers = {{0}}; }},
      {"prior.start_step", [](AttentionPrior& of) { of.start_step = -1; }},
      {"prior.skip_after", [](AttentionPrior& of) { of.skip_after = -1; }},
      {"prior.suppress_after", [](AttentionPrior& of) { of.suppress_after = -1; }},
      {"prior.short_text", [](AttentionPrior& of) { of.short_text = -1; }},
      {"prior.end_margin", [](AttentionPrior& of) { of.end_margin = -1; }},
      {"prior.unfinished_grace", [](AttentionPrior& of) { of.unfinished_grace = -1; }},
      {"prior.force_after", [](AttentionPrior& of) { of.force_after = -1; }},
  };
  for (const Case& of : cases) {
    AttentionPrior prior;
    prior.track_finish = true;
    of.change(prior);
    EXPECT_TRUE(throws_naming<ConfigError>(of.knob, [&] { compile(prior); })) << of.knob;
  }
}

}  // namespace
}  // namespace ttsrt::decode
