#include "decode/compile_rules.h"

#include "decode/eos_method.h"
#include "decode/forced_codes.h"
#include "decode/maskgit_schedule.h"
#include "decode/options_check.h"
#include "decode/prior_options.h"

namespace ttsrt::decode {
namespace {

void compile_sampler(const Request& request, const RuleFacts& facts, rules::SlotRules& rules) {
  rules.cfg_scale =
      checked_float("cfg_scale", request.cfg_scale.value_or(facts.cfg_scale), 0.0F, 100.0F);
  auto& sampler = rules.sampler;
  sampler.temperature =
      checked_float("temperature", request.temperature.value_or(facts.temperature), 0.0F, 100.0F);
  TTSRT_CHECK(ConfigError, sampler.temperature == 0.0F || sampler.temperature >= 1e-6F,
              "temperature: expected 0 (argmax) or at least 1e-6, got ", sampler.temperature);
  sampler.top_k = checked_int("top_k", request.top_k.value_or(facts.top_k), 0, kMaxFrames);
  sampler.top_p = checked_float("top_p", request.top_p.value_or(facts.top_p), 0.0F, 1.0F);
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
  const bool is_as_original = !request.strict_end && facts.minimum_id != facts.eos_id;
  rules.minimum_id = is_as_original ? facts.minimum_id : -1;
  if (request.stop_after_equal.has_value())
    rules.stop_after_equal =
        checked_int("stop_after_equal", *request.stop_after_equal, 1, kMaxFrames);
  TTSRT_CHECK(InternalError, facts.forbidden.size() <= rules::kMaxForbidden,
              "too many forbidden ids: ", facts.forbidden.size());
  for (const std::int32_t id : facts.forbidden) {
    if (!request.strict_end || id != facts.eos_id) rules.forbidden[rules.num_forbidden++] = id;
  }
}

// The prior and the alignment.
void compile_attention(const Request& request, const RuleFacts& facts, CompiledRules& compiled) {
  rules::SlotRules& rules = compiled.slot;
  TTSRT_CHECK(
      ConfigError, !request.use_default_prior || !request.prior.has_value(),
      "prior: expected none while use_default_prior is true; set it to false to use this one");
  std::optional<AttentionPrior> prior = request.use_default_prior ? facts.prior : request.prior;
  if (prior.has_value()) {
    prior = resolve_prior(*prior, facts.prior, facts.prior_mode);
    rules.prior = compile_prior(*prior, facts.text_layers, facts.decoder_layers);
    compiled.recomputes_prior = prior->recompute.value_or(false);
  } else if (request.return_alignment || request.return_positions) {
    rules.prior.estimate_layers =
        layer_mask("prior.estimate_layers", {}, facts.text_layers, facts.decoder_layers);
  }
  rules.keep_scores = request.return_alignment || request.return_positions;
}

void compile_local_transformer(const Request& request, const RuleFacts& facts,
                               rules::SlotRules& rules) {
  rules.use_local_transformer = request.use_local_transformer.value_or(facts.use_local_transformer);
  TTSRT_CHECK(ConfigError, !rules.use_local_transformer || facts.has_local_transformer,
              "use_local_transformer: this model has no local transformer");
  TTSRT_CHECK(ConfigError, !request.maskgit || facts.is_maskgit,
              "maskgit: expected none, as this model has no MaskGit local transformer");
  TTSRT_CHECK(
      ConfigError, !request.maskgit || rules.use_local_transformer,
      "maskgit: expected use_local_transformer with it, as independent heads have no passes");
  if (!rules.use_local_transformer || !facts.is_maskgit) return;
  const MaskGit maskgit = request.maskgit.value_or(MaskGit{});
  rules.maskgit = compile_maskgit(maskgit, facts.stack_codes());
  if (!maskgit.confidence_temperature) return;
  rules.sampler.confidence_temperature = checked_float(
      "maskgit.confidence_temperature", *maskgit.confidence_temperature, 1e-6F, 100.0F);
  rules.sampler.ranks_apart = true;
}

void compile_block(const Request& request, const RuleFacts& facts, rules::SlotRules& rules) {
  rules.block = facts.block;
  if (!request.block) return;
  TTSRT_CHECK(ConfigError, facts.block.steps > 0,
              "block: expected none, as this model decides no blocks of codes");
  const BlockDiffusion& asked = *request.block;
  rules::BlockRules& block = rules.block;
  block.steps =
      checked_int("block.steps", asked.steps.value_or(block.steps), 1, rules::kMaxBlockSteps);
  block.early =
      checked_float("block.early", asked.early.value_or(block.early), 0.0F, kMaxBlockOption);
  block.shift = checked_float("block.shift", asked.shift.value_or(block.shift), kMinBlockShift,
                              kMaxBlockOption);
  block.noise =
      checked_float("block.noise", asked.noise.value_or(block.noise), 0.0F, kMaxBlockOption);
}

}  // namespace

CompiledRules compile_rules(const Request& request, const RuleFacts& facts, std::int32_t text_len,
                            std::int32_t context_len) {
  TTSRT_CHECK(ConfigError, !request.score || facts.has_token_options,
              "score: expected false, as only language models score ids");
  TTSRT_CHECK(ConfigError, request.shared_prefix == 0 || facts.has_token_options,
              "shared_prefix: expected 0, as only language models share what requests begin with");
  TTSRT_CHECK(ConfigError, !request.tokens.has_value() || facts.has_token_options,
              "tokens: expected none, as these are options of language models");
  CompiledRules compiled;
  rules::SlotRules& rules = compiled.slot;
  rules.text_len = text_len;
  rules.context_len = context_len;
  rules.codebooks = facts.codebooks;
  rules.frame_stacking = facts.frame_stacking;
  compile_sampler(request, facts, rules);
  compile_stop(request, facts, rules);
  compile_attention(request, facts, compiled);
  compile_local_transformer(request, facts, rules);
  compile_block(request, facts, rules);
  compiled.forced_codes = compile_forced_codes(request, facts);
  const std::int32_t max_frames =
      compiled.forced_codes != nullptr
          ? static_cast<std::int32_t>(request.forced_codes.rows)
          : checked_int("max_frames", request.max_frames.value_or(facts.max_frames), 1, kMaxFrames);
  compiled.max_steps = max_frames / facts.frame_stacking;  // whole steps, as in the original
  TTSRT_CHECK(ConfigError, compiled.max_steps >= 1, "max_frames: expected at least the ",
              facts.frame_stacking, " frames of one decoder step, got ", max_frames);
  compiled.is_guided = rules.cfg_scale != 1.0F;
  return compiled;
}

}  // namespace ttsrt::decode
