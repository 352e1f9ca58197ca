#include "decode/prior_options.h"

#include "decode/options_check.h"

namespace ttsrt::decode {
namespace {

constexpr std::int32_t kMaxCount = 1 << 20;

}  // namespace

std::uint64_t layer_mask(const char* what, const std::vector<std::int32_t>& layers,
                         const std::vector<std::int32_t>& text_layers,
                         std::int32_t decoder_layers) {
  std::uint64_t visible = 0;
  for (const std::int32_t layer : text_layers) visible |= std::uint64_t{1} << layer;
  if (layers.empty()) return visible;
  std::uint64_t mask = 0;
  for (const std::int32_t layer : layers) {
    TTSRT_CHECK(ConfigError, layer >= 0 && layer < decoder_layers, what,
                ": expected decoder layers in [0, ", decoder_layers - 1, "], got ", layer);
    mask |= std::uint64_t{1} << layer;
  }
  mask &= visible;
  TTSRT_CHECK(ConfigError, mask != 0, what,
              ": expected a layer that attends to the text, got none");
  return mask;
}

rules::PriorRules compile_prior(const AttentionPrior& prior,
                                const std::vector<std::int32_t>& text_layers,
                                std::int32_t decoder_layers) {
  using rules::PriorMode;
  rules::PriorRules rules;
  TTSRT_CHECK(ConfigError, prior.mode == "nemo" || prior.mode == "window",
              "prior.mode: expected \"nemo\" or \"window\", got \"", prior.mode,
              "\" (no prior at all: prior=None)");
  TTSRT_CHECK(ConfigError, prior.suppress == "upto" || prior.suppress == "single",
              "prior.suppress: expected \"upto\" or \"single\", got \"", prior.suppress, "\"");
  rules.mode = prior.mode == "nemo" ? PriorMode::nemo : PriorMode::window;
  rules.epsilon = checked_float("prior.epsilon", prior.epsilon, 0.0F, 1.0F);
  rules.lookahead = checked_int("prior.lookahead", prior.lookahead, 1, kMaxCount);
  rules.left = checked_int("prior.left", prior.left, 0, kMaxCount);
  rules.right = checked_int("prior.right", prior.right, 0, kMaxCount);
  rules.estimate_layers =
      layer_mask("prior.estimate_layers", prior.estimate_layers, text_layers, decoder_layers);
  rules.apply_layers =
      layer_mask("prior.apply_layers", prior.apply_layers, text_layers, decoder_layers);
  rules.start_step = checked_int("prior.start_step", prior.start_step, 0, kMaxCount);
  rules.skip_after = checked_int("prior.skip_after", prior.skip_after, 0, kMaxCount);
  rules.suppress_after = checked_int("prior.suppress_after", prior.suppress_after, 0, kMaxCount);
  rules.suppress_upto = prior.suppress == "upto";
  rules.short_text = checked_int("prior.short_text", prior.short_text, 0, kMaxCount);
  rules.end_margin = checked_int("prior.end_margin", prior.end_margin, 0, kMaxCount);
  rules.count_end = prior.count_end;
  rules.track_finish = prior.track_finish;
  rules.unfinished_grace =
      checked_int("prior.unfinished_grace", prior.unfinished_grace, 0, kMaxCount);
  rules.force_after = checked_int("prior.force_after", prior.force_after, 0, kMaxCount);
  rules.end_after = checked_int("prior.end_after", prior.end_after, 0, kMaxCount);
  return rules;
}

}  // namespace ttsrt::decode
