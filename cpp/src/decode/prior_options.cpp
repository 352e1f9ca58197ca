#include "decode/prior_options.h"

#include <utility>

#include "core/quote.h"
#include "decode/options_check.h"

namespace ttsrt::decode {
namespace {

constexpr std::int32_t kMaxCount = 1 << 20;
const std::vector<std::int32_t> kAll;  // no layers: all of them

// The values of each mode by itself. The numbers of "nemo" are those of NeMo 3.0.0 and those of
// "nemo_2503" those of the code of that release; absent options do not exist in the mode.
AttentionPrior values_of(const std::string& mode) {
  TTSRT_CHECK(ConfigError, is_prior_mode(mode), "prior.mode: expected ", kPriorModes, ", got ",
              in_quotes(mode), " (no prior at all: prior=None)");
  const bool is_2503 = mode == kNemo2503Mode;
  AttentionPrior values;
  values.mode = mode;
  values.epsilon = is_2503 ? 1e-5F : 0.1F;
  values.lookahead = is_2503 ? 10 : 5;
  values.left = 1;
  if (mode != kNemoMode) values.right = 5;  // "nemo": as lookahead
  values.estimate_layers.emplace();
  values.apply_layers.emplace();
  values.skip_after = 8;
  values.recompute = false;
  if (mode == kWindowMode) {
    values.end_after = 20;
    return values;
  }
  values.start_step = is_2503 ? 10 : 0;
  values.suppress_after = 10;
  values.suppress = is_2503 ? "single" : "upto";
  values.short_text = 5;
  values.end_margin = 3;
  values.count_end = !is_2503;
  values.track_finish = is_2503;
  values.unfinished_grace = is_2503 ? 10 : 5;
  values.force_after = 20;
  return values;
}

// Refuses an option that the mode does not have, unless it asks for what the mode does anyway.
template <typename T>
void refuse(const char* what, const std::string& mode, const std::optional<T>& asked, T neutral) {
  TTSRT_CHECK(ConfigError, !asked.has_value() || *asked == neutral, what, ": mode \"", mode,
              "\" has no such option");
}

void refuse_foreign(const AttentionPrior& asked, const std::string& mode) {
  if (mode != kWindowMode) {
    refuse("prior.end_after", mode, asked.end_after, 0);
    return;
  }
  refuse("prior.start_step", mode, asked.start_step, 0);
  refuse("prior.suppress_after", mode, asked.suppress_after, 0);
  refuse("prior.short_text", mode, asked.short_text, 0);
  refuse("prior.end_margin", mode, asked.end_margin, 0);
  refuse("prior.count_end", mode, asked.count_end, true);
  refuse("prior.track_finish", mode, asked.track_finish, false);
  for (const auto& [what, is_given] :
       {std::pair("prior.suppress", asked.suppress.has_value()),
        std::pair("prior.unfinished_grace", asked.unfinished_grace.has_value()),
        std::pair("prior.force_after", asked.force_after.has_value())}) {
    TTSRT_CHECK(ConfigError, !is_given, what, ": mode \"", mode, "\" has no such option");
  }
}

// Refuses options whose effect another option switches off.
void refuse_idle(const AttentionPrior& asked, const AttentionPrior& base,
                 const AttentionPrior& result) {
  const auto check = [](const char* what, bool is_changed, bool is_used, const char* needed) {
    TTSRT_CHECK(ConfigError, is_used || !is_changed, what, ": expected ", needed, " with it");
  };
  const auto is_changed = [](const auto& of, const auto& from) {
    return of.has_value() && of != from;
  };
  const bool suppresses = result.suppress_after.value_or(0) > 0;
  check("prior.suppress", is_changed(asked.suppress, base.suppress), suppresses,
        "suppress_after above 0");
  const bool tracks = result.track_finish.value_or(false);
  check("prior.unfinished_grace", is_changed(asked.unfinished_grace, base.unfinished_grace), tracks,
        "track_finish");
  check("prior.force_after", is_changed(asked.force_after, base.force_after), tracks,
        "track_finish");
}

// Calls `visit` with each option of the priors but the mode.
template <typename Visit>
void for_each_option(AttentionPrior& to, const AttentionPrior& from, const Visit& visit) {
  visit(to.epsilon, from.epsilon);
  visit(to.lookahead, from.lookahead);
  visit(to.left, from.left);
  visit(to.right, from.right);
  visit(to.estimate_layers, from.estimate_layers);
  visit(to.apply_layers, from.apply_layers);
  visit(to.start_step, from.start_step);
  visit(to.skip_after, from.skip_after);
  visit(to.suppress_after, from.suppress_after);
  visit(to.suppress, from.suppress);
  visit(to.short_text, from.short_text);
  visit(to.end_margin, from.end_margin);
  visit(to.count_end, from.count_end);
  visit(to.track_finish, from.track_finish);
  visit(to.unfinished_grace, from.unfinished_grace);
  visit(to.force_after, from.force_after);
  visit(to.end_after, from.end_after);
  visit(to.recompute, from.recompute);
}

}  // namespace

bool is_prior_mode(const std::string& mode) {
  return mode == kNemoMode || mode == kNemo2503Mode || mode == kWindowMode;
}

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

AttentionPrior resolve_prior(const AttentionPrior& asked, const std::optional<AttentionPrior>& own,
                             const std::string& own_mode) {
  const std::string mode = asked.mode.value_or(own ? own->mode.value_or(own_mode) : own_mode);
  AttentionPrior base = values_of(mode);
  if (own && own->mode.value_or(own_mode) == mode) base = *own;
  base.mode = mode;
  refuse_foreign(asked, mode);
  AttentionPrior result = base;
  for_each_option(result, asked, [](auto& to, const auto& from) {
    if (from.has_value()) to = from;
  });
  refuse_idle(asked, base, result);
  return result;
}

rules::PriorRules compile_prior(const AttentionPrior& prior,
                                const std::vector<std::int32_t>& text_layers,
                                std::int32_t decoder_layers) {
  using rules::PriorMode;
  rules::PriorRules rules;
  const auto count = [](const char* what, const std::optional<std::int32_t>& value,
                        std::int32_t absent, std::int32_t minimum = 0) {
    return checked_int(what, value.value_or(absent), minimum, kMaxCount);
  };
  const std::string suppress = prior.suppress.value_or("upto");
  TTSRT_CHECK(ConfigError, suppress == "upto" || suppress == "single",
              "prior.suppress: expected \"upto\" or \"single\", got ", in_quotes(suppress));
  rules.mode = prior.mode == kWindowMode ? PriorMode::window : PriorMode::nemo;
  rules.epsilon = checked_float("prior.epsilon", prior.epsilon.value_or(0.1F), 0.0F, 1.0F);
  rules.lookahead = count("prior.lookahead", prior.lookahead, 5, 1);
  rules.left = count("prior.left", prior.left, 1);
  rules.right = count("prior.right", prior.right, rules.lookahead);
  rules.estimate_layers = layer_mask("prior.estimate_layers", prior.estimate_layers.value_or(kAll),
                                     text_layers, decoder_layers);
  rules.apply_layers = layer_mask("prior.apply_layers", prior.apply_layers.value_or(kAll),
                                  text_layers, decoder_layers);
  rules.start_step = count("prior.start_step", prior.start_step, 0);
  rules.skip_after = count("prior.skip_after", prior.skip_after, 8);
  rules.suppress_after = count("prior.suppress_after", prior.suppress_after, 0);
  rules.suppress_upto = suppress == "upto";
  rules.short_text = count("prior.short_text", prior.short_text, 0);
  rules.end_margin = count("prior.end_margin", prior.end_margin, 0);
  rules.count_end = prior.count_end.value_or(true);
  rules.track_finish = prior.track_finish.value_or(false);
  rules.unfinished_grace = count("prior.unfinished_grace", prior.unfinished_grace, 0);
  rules.force_after = count("prior.force_after", prior.force_after, 0);
  rules.end_after = count("prior.end_after", prior.end_after, 0);
  return rules;
}

}  // namespace ttsrt::decode
