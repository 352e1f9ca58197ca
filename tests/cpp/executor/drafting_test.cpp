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
  rules.is_on = true;
  return rules;
}

Ids fed(const Drafting& drafting, std::int32_t drafts) {
  return {drafting.fed(), drafting.fed() + drafts + 1};
}

TEST(Drafting, AStepIsFedWithTheLastIdAndTheDrafts) {
  Drafting drafting(on(), after({1, 2, 3, 4, 5, 6, 1, 2}), kSteps);
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
  Drafting drafting(on(), after({1, 2, 3, 99, 5, 1, 2}), kSteps);
  EXPECT_EQ(drafting.propose(100), 1);
}

TEST(Drafting, FewerAreTriedWhileTheyFail) {
  Drafting drafting(on(), after({1, 1, 1, 1, 1, 1, 1, 1}), kSteps);
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
  Drafting drafting(on(), after({1, 2, 3, 8, 4, 3}), kSteps);
  for (std::int32_t i = 0; i < 3; ++i) drafting.settle(drafting.propose(100), 0);  // behind one id
  EXPECT_EQ(drafting.propose(100), 0);
  for (const std::int32_t id : {1, 2, 3}) drafting.append(id);
  EXPECT_EQ(drafting.propose(100), 4);  // behind three
}

TEST(Drafting, CountsAreToldOnce) {
  Drafting drafting(on(), after({1, 1, 1}), kSteps);
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
  EXPECT_FALSE(speculation_of(std::nullopt, site, itinerary).is_on);
  asked.mode = "ngram";
  EXPECT_TRUE(speculation_of(asked, site, itinerary).is_on);
  site.rules.is_on = true;
  EXPECT_TRUE(speculation_of(std::nullopt, site, itinerary).is_on);
  asked.mode = "none";
  EXPECT_FALSE(speculation_of(asked, site, itinerary).is_on);
  step::Itinerary forced = after({1});
  forced.forced_codes = std::make_shared<const Ids>(Ids{1, 2});
  EXPECT_FALSE(speculation_of(std::nullopt, site, forced).is_on);
  EXPECT_FALSE(speculation_of(std::nullopt, site, step::Itinerary()).is_on);
}

TEST(Drafting, WhereItCannotBeTheReasonIsTold) {
  Speculation asked;
  SpeculationSite site;
  site.refusal = "device \"cuda:0\" does not check drafts";
  EXPECT_FALSE(speculation_of(std::nullopt, site, after({1})).is_on);
  asked.mode = "ngram";
  EXPECT_TRUE(test::throws_naming<ConfigError>("device \"cuda:0\" does not check drafts",
                                               [&] { speculation_of(asked, site, after({1})); }));
}

}  // namespace
}  // namespace ttsrt::executor
