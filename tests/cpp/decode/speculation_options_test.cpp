#include "decode/speculation_options.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"

namespace ttsrt::decode {
namespace {

TEST(SpeculationOptions, WhatIsAbsentStays) {
  const SpeculationRules plain = compile_speculation({}, {});
  EXPECT_FALSE(plain.is_on());
  EXPECT_EQ(plain.num_draft_tokens, 4);
  EXPECT_EQ(plain.max_ngram, 3);
  EXPECT_EQ(plain.match, NgramMatch::last);
  EXPECT_EQ(plain.min_confidence, 0.4F);
  EXPECT_EQ(plain.speculate_below, 8);
  Speculation options;
  options.mode = "ngram";
  options.num_draft_tokens = 8;
  options.match = "first";
  const SpeculationRules of_executor = compile_speculation(options, plain);
  EXPECT_TRUE(of_executor.is_on());
  Speculation of_request;
  of_request.max_ngram = 2;
  const SpeculationRules rules = compile_speculation(of_request, of_executor);
  EXPECT_TRUE(rules.is_on());
  EXPECT_EQ(rules.num_draft_tokens, 8);
  EXPECT_EQ(rules.max_ngram, 2);
  EXPECT_EQ(rules.match, NgramMatch::first);
  of_request.mode = "draft";
  of_request.min_confidence = 0.0F;
  EXPECT_EQ(compile_speculation(of_request, of_executor).source, DraftSource::model);
  EXPECT_EQ(compile_speculation(of_request, of_executor).min_confidence, 0.0F);
  of_request.mode = "none";
  EXPECT_FALSE(compile_speculation(of_request, of_executor).is_on());
}

TEST(SpeculationOptions, WrongOnesAreNamed) {
  const auto refuses = [](const char* text, const auto& change) {
    Speculation options;
    change(options);
    return test::throws_naming<ConfigError>(text, [&] { compile_speculation(options, {}); });
  };
  EXPECT_TRUE(refuses("speculation.mode: expected \"none\", \"ngram\" or \"draft\", got \"model\"",
                      [](Speculation& of) { of.mode = "model"; }));
  for (const float wrong : {-0.1F, 1.1F, std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_TRUE(refuses("speculation.min_confidence: expected 0 to 1",
                        [=](Speculation& of) { of.min_confidence = wrong; }));
  }
  EXPECT_TRUE(refuses("speculation.match", [](Speculation& of) { of.match = "any"; }));
  EXPECT_TRUE(refuses("speculation.num_draft_tokens: expected 1 to 8, got 9",
                      [](Speculation& of) { of.num_draft_tokens = 9; }));
  EXPECT_TRUE(refuses("speculation.max_ngram", [](Speculation& of) { of.max_ngram = 0; }));
  EXPECT_TRUE(
      refuses("speculation.speculate_below", [](Speculation& of) { of.speculate_below = 0; }));
}

TEST(SpeculationOptions, RowsForDraftsFollowFromTheMostRequestsThatSpeculate) {
  SpeculationRules rules;
  EXPECT_EQ(draft_rows(rules, 1), 4);
  EXPECT_EQ(draft_rows(rules, 32), 28);
  rules.speculate_below = 1;
  EXPECT_EQ(draft_rows(rules, 32), 0);
}

}  // namespace
}  // namespace ttsrt::decode
