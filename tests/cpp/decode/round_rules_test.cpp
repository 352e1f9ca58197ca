#include "decode/round_rules.h"

#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/facts.h"

namespace ttsrt::decode {
namespace {

using test::throws_naming;

Request chunked(std::vector<std::int32_t> chunks) {
  Request request;
  request.text_chunks = std::move(chunks);
  std::int32_t ids = 0;
  for (const std::int32_t count : request.text_chunks) ids += count;
  request.text_ids.assign(static_cast<std::size_t>(ids), 1);
  return request;
}

CompiledRules compiled(const Request& request) {
  return compile_rules(request, test::small_model().rules, 3, 0);
}

Request with_prior(AttentionPrior prior) {
  Request request = chunked({3, 4});
  request.use_default_prior = false;
  request.prior = std::move(prior);
  return request;
}

TEST(Rounds, WindowsKeepTheEndOfTheTextBefore) {
  struct Expected {
    std::int32_t first, rows, history;
  };
  const std::vector<step::Round> rounds = rounds_of(chunked({50, 3, 40, 25, 1}), 100);
  // As many ids as the chunk has, at most 20 and at most the window before has.
  const Expected expected[] = {{0, 50, 0}, {47, 6, 3}, {47, 46, 6}, {73, 45, 20}, {117, 2, 1}};
  ASSERT_EQ(rounds.size(), 5U);
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    EXPECT_EQ(rounds[i].first, expected[i].first) << i;
    EXPECT_EQ(rounds[i].rows, expected[i].rows) << i;
    EXPECT_EQ(rounds[i].history, expected[i].history) << i;
  }
}

TEST(Rounds, ARequestMayReadLessOfTheTextBefore) {
  Request request = chunked({50, 40});
  for (const auto& [asked, history] : {std::pair{1, 1}, {15, 15}, {45, 40}}) {
    request.text_history = asked;
    EXPECT_EQ(rounds_of(request, 100).at(1).history, history);
  }
  for (const std::int32_t wrong : {0, -1, 4097}) {
    request.text_history = wrong;
    EXPECT_TRUE(throws_naming<ConfigError>("text_history", [&] { rounds_of(request, 100); }));
  }
}

TEST(Rounds, RefusedChunksAreNamed) {
  const auto refuses = [](const char* what, const Request& request) {
    return throws_naming<ConfigError>(what, [&] { rounds_of(request, 30); });
  };
  EXPECT_TRUE(refuses("text_chunks[1]: expected at least 1 id, got 0", chunked({3, 0})));
  EXPECT_TRUE(refuses("text_chunks[0]: expected at most 30 ids", chunked({31, 2})));
  EXPECT_TRUE(refuses(
      "text_chunks[1]: expected at most 15 ids, as max_encoder_input_len is 30 and "
      "15 of the chunk before stay, got 16; of a text, split=\"phrases\" makes shorter chunks",
      chunked({15, 16})));
  EXPECT_NO_THROW(rounds_of(chunked({30, 15}), 30));
  Request request = chunked({3, 4});
  request.text_ids.pop_back();
  EXPECT_TRUE(refuses("text_chunks: expected 6 ids in all", request));
  request.text_ids.resize(9, 1);
  EXPECT_TRUE(refuses("text_chunks: expected 9 ids in all, as text_ids has, got 7", request));
  request.text_chunks = {INT32_MAX, INT32_MAX};
  EXPECT_TRUE(refuses("text_chunks[0]", request));
  request.text_chunks = {-1, 10};
  EXPECT_TRUE(refuses("text_chunks[0]", request));
}

TEST(Rounds, RefuseWhatHasNoRulesForThem) {
  const auto refuses = [](const char* what, const Request& request) {
    Request plain = request;
    plain.forced_codes = {};
    CompiledRules rules = compiled(plain);
    return throws_naming<ConfigError>(what, [&] { start_rounds(request, true, rules); });
  };
  AttentionPrior prior;
  prior.mode = "window";
  EXPECT_TRUE(refuses("prior: expected mode \"nemo\"", with_prior(prior)));
  prior.mode = "nemo_2503";
  EXPECT_TRUE(refuses("prior: expected mode \"nemo\"", with_prior(prior)));
  prior.mode = "nemo";
  prior.suppress = "single";
  EXPECT_TRUE(refuses("suppress \"upto\"", with_prior(prior)));
  prior.suppress.reset();
  prior.start_step = 2;
  EXPECT_TRUE(refuses("prior.start_step: expected 0", with_prior(prior)));
  Request request = chunked({3, 4});
  request.forced_codes = {2, 2, {1, 1, 1, 1}};
  EXPECT_TRUE(refuses("forced_codes: expected none with text_chunks", request));
}

TEST(Rounds, HaveRulesOfTheirOwn) {
  AttentionPrior prior;
  prior.mode = "nemo";
  prior.track_finish = true;
  const Request request = with_prior(prior);
  CompiledRules first = compiled(request);
  start_rounds(request, true, first);
  EXPECT_FALSE(first.slot.prior.is_later);
  EXPECT_EQ(first.slot.prior.round_end_after, 3);
  EXPECT_EQ(first.slot.prior.force_after, 20);
  const rules::SlotRules later = rules_of_round(first.slot, {10, 25, 7}, false, 13, -4);
  EXPECT_EQ(later.text_len, 25);
  EXPECT_EQ(later.first_step, 13);
  EXPECT_TRUE(later.prior.is_later);
  EXPECT_EQ(later.prior.start_focus, -4);
  EXPECT_EQ(later.prior.history, 7);
  EXPECT_EQ(later.prior.round_end_after, 3);
  EXPECT_EQ(later.prior.unfinished_grace, 1);
  EXPECT_EQ(later.prior.force_after, 5);
  const rules::SlotRules last = rules_of_round(later, {20, 26, 3}, true, 30, 6);
  EXPECT_EQ(last.text_len, 26);
  EXPECT_EQ(last.prior.round_end_after, 0);
  EXPECT_EQ(last.prior.unfinished_grace, 5);
  // The state begins by them.
  const rules::SlotState state = rules::start_state(last);
  EXPECT_EQ(state.step, 30);
  EXPECT_EQ(state.focus, 6);
  EXPECT_TRUE(state.has_prior && state.opens_round);
}

TEST(Rounds, WithoutAPriorOnlyTextAndStepsDiffer) {
  Request request = chunked({3, 4});
  CompiledRules first = compiled(request);
  start_rounds(request, true, first);
  EXPECT_EQ(first.slot.prior.round_end_after, 0);
  const rules::SlotRules later = rules_of_round(first.slot, {0, 7, 3}, false, 5, 0);
  EXPECT_EQ(later.text_len, 7);
  EXPECT_FALSE(rules::start_state(later).has_prior);
}

}  // namespace
}  // namespace ttsrt::decode
