#include "decode/token_options.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "decode/compile_rules.h"
#include "support/errors.h"

namespace ttsrt::decode {
namespace {

using test::throws_naming;

RuleFacts facts_of_tokens() {
  RuleFacts facts;
  facts.vocab = 100;
  facts.num_tokens = 90;
  facts.eos_id = 2;
  facts.repetition_penalty = 1.0F;
  facts.has_token_options = true;
  facts.eos_method = "multinomial_any";
  return facts;
}

struct Compiled {
  rules::SlotRules slot;
  std::shared_ptr<const step::TokenRules> tokens;
};

Compiled compiled(const Request& request, const RuleFacts& facts = facts_of_tokens()) {
  Compiled made;
  made.slot = compile_rules(request, facts, 0, 0).slot;
  made.tokens = compile_tokens(request, facts, {7, 5, 7}, made.slot);
  return made;
}

Request with(TokenOptions tokens) {
  Request request;
  request.min_frames = 3;
  request.tokens = std::move(tokens);
  return request;
}

std::vector<std::int32_t> ends_of(const rules::SlotRules& slot) {
  std::vector<std::int32_t> ends = {slot.eos_id};
  ends.insert(ends.end(), slot.stop_ids, slot.stop_ids + slot.num_stop_ids);
  return ends;
}

TEST(TokenOptions, ARequestWithoutThemNeedsNoTokenRules) {
  const Compiled made = compiled(Request{});
  EXPECT_EQ(made.tokens, nullptr);
  EXPECT_EQ(made.slot.first_invalid, 0);
  EXPECT_EQ(made.slot.sampler.order[0], rules::Processor::temperature);
  EXPECT_EQ(compiled(with({})).tokens, nullptr);
}

TEST(TokenOptions, PaddingIdsAreMasked) {
  EXPECT_EQ(compiled(with({})).slot.first_invalid, 90);
  TokenOptions open;
  open.mask_padding_ids = false;
  EXPECT_EQ(compiled(with(open)).slot.first_invalid, 0);
}

TEST(TokenOptions, AllEndsAreForbiddenBeforeTheMinimum) {
  TokenOptions options;
  options.stop_ids = {9, 2, 4, 9};
  const Compiled made = compiled(with(options));
  EXPECT_EQ(ends_of(made.slot), (std::vector<std::int32_t>{2, 4, 9}));
  EXPECT_EQ(made.slot.min_frames, 3);
}

TEST(TokenOptions, AllEndsOfTheModelEndATextUnlessTheyAreIgnored) {
  RuleFacts facts = facts_of_tokens();
  facts.more_eos_ids = {9, 5};
  TokenOptions options;
  options.stop_ids = {7, 9};
  EXPECT_EQ(ends_of(compiled(Request{}, facts).slot), (std::vector<std::int32_t>{2, 5, 9}));
  EXPECT_EQ(ends_of(compiled(with(options), facts).slot), (std::vector<std::int32_t>{2, 5, 7, 9}));
  options.ignore_eos = true;
  EXPECT_EQ(ends_of(compiled(with(options), facts).slot), (std::vector<std::int32_t>{7, 9}));
}

TEST(TokenOptions, AnIgnoredEndIsAnOrdinaryToken) {
  TokenOptions options;
  options.ignore_eos = true;
  EXPECT_EQ(compiled(with(options)).slot.first_end_step, std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(compiled(with(options)).slot.min_frames, 0);
  options.stop_ids = {8};
  EXPECT_EQ(ends_of(compiled(with(options)).slot), (std::vector<std::int32_t>{8}));
  EXPECT_EQ(compiled(with(options)).slot.min_frames, 3);
}

TEST(TokenOptions, ThePenaltyCountsTheIdsOfItsScope) {
  Request request;
  request.repetition_penalty = 1.5F;
  Compiled made = compiled(request);
  ASSERT_NE(made.tokens, nullptr);
  EXPECT_EQ(made.tokens->seen, (std::vector<std::int32_t>{5, 7}));
  EXPECT_EQ(made.tokens->repetition_penalty, 1.5F);
  EXPECT_EQ(made.slot.sampler.repetition_penalty, 1.0F);
  EXPECT_EQ(made.tokens->names, "repetition_penalty");
  request.tokens = TokenOptions{};
  request.tokens->repetition_scope = "generated";
  EXPECT_TRUE(compiled(request).tokens->seen.empty());
}

TEST(TokenOptions, FewBadIdsAreRulesOfTheSlotAndManyAreBiases) {
  TokenOptions options;
  options.bad_ids = {3, 3, 1};
  const Compiled few = compiled(with(options));
  EXPECT_EQ(few.tokens, nullptr);
  EXPECT_EQ(few.slot.num_forbidden, 2);
  options.bad_ids.resize(40);
  std::iota(options.bad_ids.begin(), options.bad_ids.end(), 10);
  options.logit_bias = {{10, 5.0F}, {99, -1.5F}};
  options.presence_penalty = 0.5F;
  options.logprobs = 20;
  const Compiled many = compiled(with(options));
  ASSERT_NE(many.tokens, nullptr);
  ASSERT_EQ(many.tokens->biases.size(), 41U);  // a banned id stays banned
  EXPECT_EQ(many.tokens->biases.front().bias, rules::kNever);
  EXPECT_EQ(many.tokens->biases.back().bias, -1.5F);
  EXPECT_EQ(many.tokens->num_logprobs, 20);
  EXPECT_EQ(many.tokens->names, "presence_penalty bad_ids logit_bias logprobs");
}

TEST(TokenOptions, WrongValuesAreNamed) {
  const auto refuses = [](const TokenOptions& options, const char* name) {
    return throws_naming<ConfigError>(name, [&] { compiled(with(options)); });
  };
  TokenOptions options;
  options.stop_ids = {100};
  EXPECT_TRUE(refuses(options, "stop_ids"));
  options = {};
  options.stop_ids.resize(60);
  std::iota(options.stop_ids.begin(), options.stop_ids.end(), 10);
  EXPECT_TRUE(refuses(options, "stop_ids"));
  options = {};
  options.bad_ids = {-1};
  EXPECT_TRUE(refuses(options, "bad_ids"));
  options = {};
  options.logit_bias = {{1, std::numeric_limits<float>::infinity()}};
  EXPECT_TRUE(refuses(options, "logit_bias"));
  options = {};
  options.logprobs = 21;
  EXPECT_TRUE(refuses(options, "logprobs"));
  options = {};
  options.repetition_scope = "some";
  EXPECT_TRUE(refuses(options, "repetition_scope"));
  options = {};
  options.frequency_penalty = 101.0F;
  EXPECT_TRUE(refuses(options, "frequency_penalty"));
}

TEST(TokenOptions, OtherModelsRefuseThem) {
  RuleFacts facts = facts_of_tokens();
  facts.has_token_options = false;
  Request request = with({});
  EXPECT_TRUE(throws_naming<ConfigError>("tokens", [&] { compile_rules(request, facts, 0, 0); }));
  request.tokens.reset();
  request.score = true;
  EXPECT_TRUE(throws_naming<ConfigError>("score", [&] { compile_rules(request, facts, 0, 0); }));
}

}  // namespace
}  // namespace ttsrt::decode
