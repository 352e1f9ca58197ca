#include "decode/compile_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "support/errors.h"

namespace ttsrt::decode {
namespace {

using test::throws_naming;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Two codebooks, four decoder layers of which 1 and 3 attend to the text.
RuleFacts small_facts() {
  RuleFacts facts;
  facts.codebooks = 2;
  facts.eos_id = 14;
  facts.forbidden = {12, 13};
  facts.decoder_layers = 4;
  facts.text_layers = {1, 3};
  facts.temperature = 0.6F;
  facts.top_k = 5;
  facts.max_frames = 20;
  return facts;
}

CompiledRules compile(const Request& request, const RuleFacts& facts = small_facts()) {
  return compile_rules(request, facts, 3, 7);
}

TEST(CompileRules, DefaultsComeFromTheModel) {
  RuleFacts facts = small_facts();
  facts.cfg_scale = 2.5F;
  facts.min_frames = 4;
  facts.frame_stacking = 2;
  facts.max_frames = 21;
  facts.prior = AttentionPrior{};
  const CompiledRules rules = compile(Request{}, facts);
  EXPECT_EQ(rules.slot.text_len, 3);
  EXPECT_EQ(rules.slot.context_len, 7);
  EXPECT_EQ(rules.slot.cfg_scale, 2.5F);
  EXPECT_TRUE(rules.is_guided);
  EXPECT_EQ(rules.slot.sampler.temperature, 0.6F);
  EXPECT_EQ(rules.slot.sampler.top_k, 5);
  EXPECT_EQ(rules.slot.sampler.top_p, 1.0F);
  EXPECT_EQ(rules.slot.sampler.min_p, 0.0F);
  EXPECT_EQ(rules.slot.min_frames, 4);
  EXPECT_EQ(rules.slot.codebooks, 2);
  EXPECT_EQ(rules.slot.frame_stacking, 2);
  EXPECT_EQ(rules.slot.eos_id, 14);
  EXPECT_EQ(rules.slot.num_forbidden, 2);
  EXPECT_EQ(rules.slot.forbidden[1], 13);
  EXPECT_EQ(rules.slot.prior.mode, rules::PriorMode::nemo);
  EXPECT_EQ(rules.slot.prior.apply_layers, 0b1010U);
  EXPECT_FALSE(rules.slot.use_local_transformer);
  EXPECT_FALSE(rules.recomputes_prior);
  EXPECT_EQ(rules.max_steps, 10);  // whole steps that fit in 21 frames
}

TEST(CompileRules, OptionsOfARequestOverrideDefaults) {
  Request request;
  request.cfg_scale = 1.0F;
  request.temperature = 0.0F;
  request.top_k = 0;
  request.top_p = 0.5F;
  request.min_p = 0.25F;
  request.repetition_penalty = 1.0F;
  request.seed = UINT64_MAX;
  request.max_frames = 9;
  request.min_frames = 2;
  request.eos_method = "argmax_zero_cb";
  const CompiledRules rules = compile(request);
  EXPECT_FALSE(rules.is_guided);
  EXPECT_EQ(rules.slot.sampler.temperature, 0.0F);
  EXPECT_EQ(rules.slot.sampler.top_k, 0);
  EXPECT_EQ(rules.slot.sampler.top_p, 0.5F);
  EXPECT_EQ(rules.slot.sampler.min_p, 0.25F);
  EXPECT_EQ(rules.slot.sampler.seed, UINT64_MAX);
  EXPECT_EQ(rules.slot.eos_streams, rules::EosStreams::argmax);
  EXPECT_EQ(rules.slot.eos_codebooks, rules::EosCodebooks::zero);
  EXPECT_EQ(rules.slot.min_frames, 2);
  EXPECT_EQ(rules.max_steps, 9);
}

TEST(CompileRules, ThePriorComesFromTheModelOrTheRequestOrIsOff) {
  RuleFacts facts = small_facts();
  facts.prior = AttentionPrior{};
  Request request;
  request.use_default_prior = false;
  EXPECT_EQ(compile(request, facts).slot.prior.mode, rules::PriorMode::off);
  request.prior = AttentionPrior{};
  request.prior->mode = "window";
  request.prior->recompute = true;
  EXPECT_EQ(compile(request, facts).slot.prior.mode, rules::PriorMode::window);
  EXPECT_TRUE(compile(request, facts).recomputes_prior);
  request.prior->mode = "none";
  EXPECT_TRUE(throws_naming<ConfigError>("prior.mode", [&] { compile(request, facts); }));
}

TEST(CompileRules, EqualStepsMayEndSpeech) {
  Request request;
  EXPECT_EQ(compile(request).slot.stop_after_equal, 0);
  request.stop_after_equal = 5;
  EXPECT_EQ(compile(request).slot.stop_after_equal, 5);
  request.stop_after_equal = 0;
  EXPECT_TRUE(throws_naming<ConfigError>("stop_after_equal", [&] { compile(request); }));
}

TEST(CompileRules, AnAlignmentNeedsNoPrior) {
  Request request;
  EXPECT_EQ(compile(request).slot.prior.estimate_layers, 0U);
  request.return_alignment = true;
  const CompiledRules rules = compile(request);
  EXPECT_TRUE(rules.slot.keep_scores);
  EXPECT_EQ(rules.slot.prior.mode, rules::PriorMode::off);
  EXPECT_EQ(rules.slot.prior.estimate_layers, 0b1010U);
}

TEST(CompileRules, LocalTransformer) {
  RuleFacts facts = small_facts();
  Request request;
  request.use_local_transformer = true;
  EXPECT_TRUE(
      throws_naming<ConfigError>("use_local_transformer", [&] { compile(request, facts); }));
  facts.has_local_transformer = true;
  EXPECT_TRUE(compile(request, facts).slot.use_local_transformer);
  request.use_local_transformer = false;
  EXPECT_FALSE(compile(request, facts).slot.use_local_transformer);
}

TEST(CompileRules, MaskGitIsForModelsThatHaveIt) {
  RuleFacts facts = small_facts();
  facts.has_local_transformer = true;
  facts.use_local_transformer = true;
  Request request;
  const auto refuses = [&](const char* what) {
    return throws_naming<ConfigError>(what, [&] { compile(request, facts); });
  };
  request.maskgit.emplace();
  EXPECT_TRUE(refuses("maskgit: expected none"));
  facts.is_maskgit = true;
  request.maskgit->steps = 2;
  EXPECT_EQ(compile(request, facts).slot.maskgit.steps, 2);
  request.use_local_transformer = false;
  EXPECT_TRUE(refuses("maskgit: expected use_local_transformer"));
  request.use_local_transformer.reset();
  request.maskgit->steps = 0;
  EXPECT_TRUE(refuses("maskgit.steps"));
  request.maskgit.reset();
  EXPECT_EQ(compile(request, facts).slot.maskgit.steps, 3);
}

TEST(CompileRules, TheConfidenceTemperatureIsTheRequestsOrTheModels) {
  RuleFacts facts = small_facts();
  facts.has_local_transformer = facts.use_local_transformer = facts.is_maskgit = true;
  Request request;
  EXPECT_EQ(compile(request, facts).slot.sampler.confidence_temperature, 0.6F);
  EXPECT_FALSE(compile(request, facts).slot.sampler.ranks_apart);
  request.maskgit.emplace();
  request.maskgit->confidence_temperature = 1.5F;
  EXPECT_EQ(compile(request, facts).slot.sampler.confidence_temperature, 1.5F);
  EXPECT_TRUE(compile(request, facts).slot.sampler.ranks_apart);
  for (const float wrong : {0.0F, -1.0F, kNan, kInfinity}) {
    request.maskgit->confidence_temperature = wrong;
    EXPECT_TRUE(throws_naming<ConfigError>("maskgit.confidence_temperature",
                                           [&] { compile(request, facts); }));
  }
}

// The current original forbids ids K, K+2 .. K+7 always and K+1 before the minimum, wherever the
// configuration moves the end of speech (`clear_forbidden_logits` of NeMo 3.0.0).
TEST(CompileRules, AForcedEndIsMaskedAsInTheOriginalOrStrictly) {
  RuleFacts facts = small_facts();
  facts.forbidden = {8, 10, 11, 12, 13, 14, 15};
  facts.minimum_id = 9;
  facts.eos_id = 14;
  const auto forbids = [](const CompiledRules& rules, std::int32_t id) {
    const std::int32_t* end = rules.slot.forbidden + rules.slot.num_forbidden;
    return std::find(rules.slot.forbidden, end, id) != end;
  };
  Request request;
  EXPECT_EQ(compile(request, facts).slot.minimum_id, 9);
  EXPECT_TRUE(forbids(compile(request, facts), 14));
  request.strict_end = true;
  EXPECT_EQ(compile(request, facts).slot.minimum_id, -1);
  EXPECT_FALSE(forbids(compile(request, facts), 14));
  EXPECT_EQ(compile(request, facts).slot.num_forbidden, 6);
  request.strict_end = false;
  facts.eos_id = 9;  // not forced: both are the same
  EXPECT_EQ(compile(request, facts).slot.minimum_id, -1);
}

TEST(CompileRules, RefusesEachOptionByName) {
  struct Case {
    const char* option;
    void (*change)(Request&);
  };
  const Case cases[] = {
      {"cfg_scale", [](Request& of) { of.cfg_scale = -1.0F; }},
      {"cfg_scale", [](Request& of) { of.cfg_scale = kNan; }},
      {"cfg_scale", [](Request& of) { of.cfg_scale = 101.0F; }},
      {"temperature", [](Request& of) { of.temperature = -0.1F; }},
      {"temperature", [](Request& of) { of.temperature = kInfinity; }},
      {"top_k", [](Request& of) { of.top_k = -1; }},
      {"top_k", [](Request& of) { of.top_k = INT32_MAX; }},
      {"top_p", [](Request& of) { of.top_p = 0.0F; }},
      {"top_p", [](Request& of) { of.top_p = 1.1F; }},
      {"top_p", [](Request& of) { of.top_p = kNan; }},
      {"min_p", [](Request& of) { of.min_p = -0.1F; }},
      {"min_p", [](Request& of) { of.min_p = 1.1F; }},
      {"repetition_penalty", [](Request& of) { of.repetition_penalty = 1.1F; }},
      {"repetition_penalty", [](Request& of) { of.repetition_penalty = kNan; }},
      {"eos_method", [](Request& of) { of.eos_method = "sometimes"; }},
      {"min_frames", [](Request& of) { of.min_frames = -1; }},
      {"max_frames", [](Request& of) { of.max_frames = 0; }},
      {"max_frames", [](Request& of) { of.max_frames = -5; }},
      {"max_frames", [](Request& of) { of.max_frames = INT32_MAX; }},
  };
  for (const Case& of : cases) {
    Request request;
    of.change(request);
    EXPECT_TRUE(throws_naming<ConfigError>(of.option, [&] { compile(request); })) << of.option;
  }
}

TEST(CompileRules, MaxFramesHoldsAtLeastOneStack) {
  RuleFacts facts = small_facts();
  facts.frame_stacking = 4;
  Request request;
  request.max_frames = 3;
  EXPECT_TRUE(throws_naming<ConfigError>("max_frames: expected at least the 4 frames",
                                         [&] { compile(request, facts); }));
  request.max_frames = 7;
  EXPECT_EQ(compile(request, facts).max_steps, 1);
}

}  // namespace
}  // namespace ttsrt::decode
