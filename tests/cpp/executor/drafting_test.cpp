#include "executor/drafting.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace ttsrt::executor {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::int32_t kSteps = 100;

step::Itinerary after(Ids ids) {
  step::Itinerary itinerary;
  itinerary.rules.eos_id = 99;
  itinerary.draft_ids = std::make_shared<const Ids>(std::move(ids));
  return itinerary;
}

decode::SpeculationRules on() {
  decode::SpeculationRules rules;
  rules.source = decode::DraftSource::lookup;
  return rules;
}

Ids fed(const Drafting& drafting, std::int32_t drafts) {
  return {drafting.fed(), drafting.fed() + drafts + 1};
}

TEST(Drafting, AStepIsFedWithTheLastIdAndTheDrafts) {
  LookupDrafting drafting(on(), after({1, 2, 3, 4, 5, 6, 1, 2}), kSteps);
  ASSERT_EQ(drafting.propose(100), 4);
  EXPECT_EQ(fed(drafting, 4), (Ids{2, 3, 4, 5, 6}));
  ASSERT_EQ(drafting.propose(2), 2);  // the steps that are left
  EXPECT_EQ(fed(drafting, 2), (Ids{2, 3, 4}));
  EXPECT_EQ(drafting.propose(0), 0);
  drafting.append(7);
  EXPECT_EQ(drafting.propose(100), 0);  // 7 did not stand before
  EXPECT_EQ(fed(drafting, 0), Ids{7});
}

TEST(Drafting, DraftsEndBeforeAnEnd) {
  LookupDrafting drafting(on(), after({1, 2, 3, 99, 5, 1, 2}), kSteps);
  EXPECT_EQ(drafting.propose(100), 1);
}

TEST(Drafting, FewerAreTriedWhileTheyFail) {
  LookupDrafting drafting(on(), after({1, 1, 1, 1, 1, 1, 1, 1}), kSteps);
  const auto round = [&](std::int32_t accepted) {
    const std::int32_t drafted = drafting.propose(100);
    drafting.settle(drafted, std::min(accepted, drafted));
    return drafted;
  };
  EXPECT_EQ(round(0), 4);
  EXPECT_EQ(round(0), 2);
  EXPECT_EQ(round(0), 1);
  EXPECT_EQ(round(0), 0);  // a round's rest
  EXPECT_EQ(round(0), 1);
  EXPECT_EQ(round(0), 0);  // now two
  EXPECT_EQ(round(0), 0);
  EXPECT_EQ(round(1), 1);
  EXPECT_EQ(round(2), 2);
  EXPECT_EQ(round(3), 4);
  EXPECT_EQ(round(0), 4);
  EXPECT_EQ(drafting.stats().rounds, 11U);
  EXPECT_EQ(drafting.stats().drafted, 19U);
  EXPECT_EQ(drafting.stats().accepted, 6U);
  EXPECT_EQ(drafting.stats().tokens, 17U);
  EXPECT_EQ(drafting.stats().drafted_at[0], 8U);
  EXPECT_EQ(drafting.stats().accepted_at[0], 3U);
  EXPECT_EQ(drafting.stats().accepted_at[2], 1U);
  EXPECT_DOUBLE_EQ(drafting.stats().tokens_per_round(), 17.0 / 11.0);
}

TEST(Drafting, ShortMatchesThatFailDoNotHinderLongOnes) {
  LookupDrafting drafting(on(), after({1, 2, 3, 8, 4, 3}), kSteps);
  for (std::int32_t i = 0; i < 3; ++i) drafting.settle(drafting.propose(100), 0);  // behind one id
  EXPECT_EQ(drafting.propose(100), 0);
  for (const std::int32_t id : {1, 2, 3}) drafting.append(id);
  EXPECT_EQ(drafting.propose(100), 4);  // behind three
}

TEST(Drafting, CountsAreToldOnce) {
  LookupDrafting drafting(on(), after({1, 1, 1}), kSteps);
  drafting.settle(drafting.propose(100), 2);
  SpeculationStats sum;
  drafting.tell(sum);
  drafting.tell(sum);
  EXPECT_EQ(sum.rounds, 1U);
  EXPECT_EQ(sum.accepted, 2U);
  drafting.settle(drafting.propose(100), 1);
  drafting.tell(sum);
  EXPECT_EQ(sum.rounds, 2U);
  EXPECT_EQ(sum.accepted, 3U);
}

TEST(Drafting, RequestsDecideWhetherTheySpeculate) {
  Speculation asked;
  SpeculationSite site;
  const step::Itinerary itinerary = after({1});
  EXPECT_FALSE(speculation_of(std::nullopt, site, itinerary).is_on());
  asked.mode = "ngram";
  EXPECT_TRUE(speculation_of(asked, site, itinerary).is_on());
  site.rules.source = decode::DraftSource::lookup;
  EXPECT_TRUE(speculation_of(std::nullopt, site, itinerary).is_on());
  asked.mode = "none";
  EXPECT_FALSE(speculation_of(asked, site, itinerary).is_on());
  step::Itinerary forced = after({1});
  forced.forced_codes = std::make_shared<const Ids>(Ids{1, 2});
  EXPECT_FALSE(speculation_of(std::nullopt, site, forced).is_on());
  EXPECT_FALSE(speculation_of(std::nullopt, site, step::Itinerary()).is_on());
}

TEST(Drafting, ADraftModelMustBeThere) {
  Speculation asked;
  asked.mode = "draft";
  SpeculationSite site;
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("as this executor has no draft_engine, got \"draft\"",
                                       [&] { speculation_of(asked, site, after({1})); }));
  site.has_draft_engine = true;
  EXPECT_EQ(speculation_of(asked, site, after({1})).source, decode::DraftSource::model);
  site.refusal = "of a test";
  EXPECT_TRUE(test::throws_naming<ConfigError>("as of a test, got \"draft\"",
                                               [&] { speculation_of(asked, site, after({1})); }));
}

decode::SpeculationRules by_model() {
  decode::SpeculationRules rules;
  rules.source = decode::DraftSource::model;
  return rules;
}

// A round in which the model gives so many guesses; returns how many it was asked for.
std::int32_t round(ModelDrafting& drafting, std::int32_t given, std::int32_t accepted) {
  const std::int32_t wanted = drafting.wanted(100);
  EXPECT_TRUE(drafting.needs_guesses());
  for (std::int32_t i = 0; i < std::min(given, wanted); ++i) EXPECT_TRUE(drafting.take(50 + i));
  drafting.finish_guesses(0.0, wanted > 0);
  const std::int32_t drafted = drafting.propose(100);
  EXPECT_EQ(drafted, std::min(given, wanted));
  const std::int32_t came_true = std::min(accepted, drafted);
  for (std::int32_t i = 0; i <= came_true; ++i) drafting.append(60);
  drafting.settle(drafted, came_true);
  return wanted;
}

TEST(ModelDrafting, GuessesStandBehindTheText) {
  ModelDrafting drafting(by_model(), after({1, 2}), kSteps);
  const std::int32_t* text = drafting.text();
  EXPECT_TRUE(drafting.take(7));
  EXPECT_TRUE(drafting.take(8));
  EXPECT_FALSE(drafting.take(99));  // what stands behind an end is never checked
  drafting.finish_guesses(0.5, true);
  EXPECT_FALSE(drafting.needs_guesses());
  EXPECT_EQ(drafting.num_prompt(), 2);
  EXPECT_EQ(drafting.num_ids(), 2);
  EXPECT_EQ(drafting.num_guesses(), 2);
  EXPECT_EQ(drafting.propose(1), 1);  // the steps that are left
  EXPECT_EQ(drafting.propose(9), 2);
  EXPECT_EQ(Ids(drafting.fed(), drafting.fed() + 3), (Ids{2, 7, 8}));
  drafting.append(7);
  drafting.append(5);
  drafting.settle(2, 1);
  EXPECT_EQ(drafting.num_guesses(), 0);
  EXPECT_EQ(Ids(drafting.text(), drafting.text() + drafting.num_ids()), (Ids{1, 2, 7, 5}));
  EXPECT_EQ(drafting.text(), text);
  EXPECT_EQ(drafting.stats().draft_seconds, 0.5);
}

TEST(ModelDrafting, OneMoreIsWantedAfterAFullRoundAndOneLessAfterNone) {
  ModelDrafting drafting(by_model(), after({1}), 1000);
  EXPECT_EQ(round(drafting, 9, 0), 4);
  EXPECT_EQ(round(drafting, 9, 1), 3);  // a part came true
  EXPECT_EQ(round(drafting, 9, 9), 3);
  EXPECT_EQ(round(drafting, 9, 9), 4);
  EXPECT_EQ(round(drafting, 9, 0), 4);  // no more than the request allows
  EXPECT_EQ(round(drafting, 0, 0), 3);  // it was sure of nothing
  EXPECT_EQ(round(drafting, 1, 9), 2);
  EXPECT_EQ(round(drafting, 9, 0), 3);
  EXPECT_EQ(round(drafting, 9, 0), 2);
  EXPECT_EQ(round(drafting, 9, 0), 1);
  EXPECT_EQ(round(drafting, 9, 0), 0);  // a round's rest
  EXPECT_EQ(round(drafting, 9, 0), 1);
  for (std::int32_t rest = 2; rest <= 32; rest *= 2) {
    for (std::int32_t i = 0; i < std::min(rest, 16); ++i) EXPECT_EQ(round(drafting, 9, 0), 0);
    EXPECT_EQ(round(drafting, 9, rest == 32 ? 9 : 0), 1);
  }
  EXPECT_EQ(round(drafting, 9, 0), 2);
}

TEST(ModelDrafting, AModelWhoseNumbersAreNotFiniteIsNotAskedAgain) {
  ModelDrafting drafting(by_model(), after({1}), 1000);
  EXPECT_TRUE(drafting.take(5));
  drafting.give_up();
  EXPECT_EQ(drafting.num_guesses(), 0);
  drafting.finish_guesses(0.0, true);
  drafting.append(3);
  drafting.settle(0, 0);
  for (std::int32_t i = 0; i < 40; ++i) EXPECT_EQ(round(drafting, 9, 0), 0);
  EXPECT_EQ(drafting.stats().faults, 1U);
}

TEST(Drafting, WhereItCannotBeTheReasonIsTold) {
  Speculation asked;
  SpeculationSite site;
  site.refusal = "device \"cuda:0\" does not check drafts";
  EXPECT_FALSE(speculation_of(std::nullopt, site, after({1})).is_on());
  asked.mode = "ngram";
  EXPECT_TRUE(test::throws_naming<ConfigError>("device \"cuda:0\" does not check drafts",
                                               [&] { speculation_of(asked, site, after({1})); }));
}

}  // namespace
}  // namespace ttsrt::executor
