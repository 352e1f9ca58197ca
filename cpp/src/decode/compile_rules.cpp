#include "decode/compile_rules.h"

#include "decode/eos_method.h"
#include "decode/maskgit_schedule.h"
#include "decode/options_check.h"
#include "decode/prior_options.h"

namespace ttsrt::decode {
namespace {

constexpr std::int32_t kMaxFrames = 1 << 20;

void compile_sampler(const Request& request, const RuleFacts& facts, rules::SlotRules& rules) {
  rules.cfg_scale =
      checked_float("cfg_scale", request.cfg_scale.value_or(facts.cfg_scale), 0.0F, 100.0F);
  auto& sampler = rules.sampler;
  sampler.temperature =
      checked_float("temperature", request.temperature.value_or(facts.temperature), 0.0F, 100.0F);
  TTSRT_CHECK(ConfigError, sampler.temperature == 0.0F || sampler.temperature >= 1e-6F,
              "temperature: expected 0 (argmax) or at least 1e-6, got ", sampler.temperature);
  sampler.top_k = checked_int("top_k", request.top_k.value_or(facts.top_k), 0, kMaxFrames);
  sampler.top_p = checked_float("top_p", request.top_p.value_or(1.0F), 0.0F, 1.0F);
  TTSRT_CHECK(ConfigError, sampler.top_p > 0.0F, "top_p: expected a number in (0, 1], got ",
              sampler.top_p);
  sampler.min_p = checked_float("min_p", request.min_p.value_or(facts.min_p), 0.0F, 1.0F);
  sampler.confidence_temperature = facts.temperature > 0.0F ? facts.temperature : 1.0F;
  const bool has_penalty = facts.repetition_penalty > 0.0F;
  const float penalty =
      request.repetition_penalty.value_or(has_penalty ? facts.repetition_penalty : 1.0F);
  TTSRT_CHECK(ConfigError, has_penalty || penalty == 1.0F,
              "repetition_penalty: expected 1, as this model family has no penalty, got ", penalty);
  sampler.repetition_penalty = checked_float("repetition_penalty", penalty, 0.01F, 100.0F);
  sampler.seed = request.seed;
}

void compile_stop(const Request& request, const RuleFacts& facts, rules::SlotRules& rules) {
  const EosMethod method = parse_eos_method(request.eos_method.value_or(facts.eos_method));
  rules.eos_streams = method.streams;
  rules.eos_codebooks = method.codebooks;
  rules.eos_id = facts.eos_id;
  rules.min_frames =
      checked_int("min_frames", request.min_frames.value_or(facts.min_frames), 0, kMaxFrames);
  rules.num_forbidden = static_cast<std::int32_t>(facts.forbidden.size());
  TTSRT_CHECK(InternalError, rules.num_forbidden <= rules::kMaxForbidden,
              "too many forbidden ids: ", rules.num_forbidden);
  for (std::int32_t i = 0; i < rules.num_forbidden; ++i)
    rules.forbidden[i] = facts.forbidden[static_cast<std::size_t>(i)];
}

}  // namespace

CompiledRules compile_rules(const Request& request, const RuleFacts& facts, std::int32_t text_len,
                            std::int32_t context_len) {
  CompiledRules compiled;
  rules::SlotRules& rules = compiled.slot;
  rules.text_len = text_len;
  rules.context_len = context_len;
  rules.codebooks = facts.codebooks;
  rules.frame_stacking = facts.frame_stacking;
  compile_sampler(request, facts, rules);
  compile_stop(request, facts, rules);
  TTSRT_CHECK(
      ConfigError, !request.use_default_prior || !request.prior.has_value(),
      "prior: expected none while use_default_prior is true; set it to false to use this one");
  const std::optional<AttentionPrior>& prior =
      request.use_default_prior ? facts.prior : request.prior;
  if (prior.has_value()) {
    rules.prior = compile_prior(*prior, facts.text_layers, facts.decoder_layers);
    compiled.recomputes_prior = prior->recompute;
  } else if (request.return_alignment) {
    rules.prior.estimate_layers =
        layer_mask("prior.estimate_layers", {}, facts.text_layers, facts.decoder_layers);
  }
  rules.keep_scores = request.return_alignment;
  rules.use_local_transformer = request.use_local_transformer.value_or(facts.use_local_transformer);
  TTSRT_CHECK(ConfigError, !rules.use_local_transformer || facts.has_local_transformer,
              "use_local_transformer: this model has no local transformer");
  if (rules.use_local_transformer && facts.is_maskgit) {
    rules.maskgit = compile_maskgit(request.maskgit, facts.stack_codes());
  }
  const std::int32_t max_frames =
      checked_int("max_frames", request.max_frames.value_or(facts.max_frames), 1, kMaxFrames);
  compiled.max_steps = max_frames / facts.frame_stacking;  // whole steps, as in the original
  TTSRT_CHECK(ConfigError, compiled.max_steps >= 1, "max_frames: expected at least the ",
              facts.frame_stacking, " frames of one decoder step, got ", max_frames);
  compiled.is_guided = rules.cfg_scale != 1.0F;
  return compiled;
}

}  // namespace ttsrt::decode
