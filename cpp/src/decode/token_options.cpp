#include "decode/token_options.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "core/check.h"
#include "decode/options_check.h"

namespace ttsrt::decode {
namespace {

constexpr std::size_t kMaxIds = 1024;
constexpr float kMaxPenalty = 100.0F;
constexpr rules::Processor kOrder[rules::kMaxProcessors] = {
    rules::Processor::temperature, rules::Processor::top_k, rules::Processor::top_p,
    rules::Processor::min_p};

void check_id(const char* what, std::int32_t id, const RuleFacts& facts) {
  TTSRT_CHECK(ConfigError, id >= 0 && id < facts.vocab, what, ": expected ids in [0, ",
              facts.vocab - 1, "], got ", id);
}

void check_ids(const char* what, const std::vector<std::int32_t>& ids, const RuleFacts& facts) {
  TTSRT_CHECK(ConfigError, ids.size() <= kMaxIds, what, ": expected at most ", kMaxIds,
              " ids, got ", ids.size());
  for (const std::int32_t id : ids) check_id(what, id, facts);
}

std::vector<std::int32_t> each_once(std::vector<std::int32_t> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// The ids that end a text. Where none does, an end is never looked for.
void set_ends(const TokenOptions& options, const RuleFacts& facts, rules::SlotRules& slot) {
  check_ids("tokens.stop_ids", options.stop_ids, facts);
  std::vector<std::int32_t> ends = options.stop_ids;
  if (!options.ignore_eos)
    ends.insert(ends.end(), facts.more_eos_ids.begin(), facts.more_eos_ids.end());
  ends = each_once(std::move(ends));
  if (!options.ignore_eos) {
    ends.erase(std::remove(ends.begin(), ends.end(), facts.eos_id), ends.end());
    ends.insert(ends.begin(), facts.eos_id);
  }
  TTSRT_CHECK(ConfigError, ends.size() <= std::size_t{1} + rules::kMaxStopIds,
              "tokens.stop_ids: expected at most ", 1 + rules::kMaxStopIds,
              " ids that end a text, the model's own included, got ", ends.size());
  if (ends.empty()) {
    slot.first_end_step = std::numeric_limits<std::int32_t>::max();
    slot.min_frames = 0;
    return;
  }
  slot.eos_id = ends.front();
  for (std::size_t i = 1; i < ends.size(); ++i) slot.stop_ids[slot.num_stop_ids++] = ends[i];
}

// Forbids ids: a few in the rules of the slot, many by biases.
void ban(const TokenOptions& options, const RuleFacts& facts, rules::SlotRules& slot,
         step::TokenRules& rules) {
  check_ids("tokens.bad_ids", options.bad_ids, facts);
  const std::vector<std::int32_t> ids = each_once(options.bad_ids);
  if (ids.size() + static_cast<std::size_t>(slot.num_forbidden) <= rules::kMaxForbidden) {
    for (const std::int32_t id : ids) slot.forbidden[slot.num_forbidden++] = id;
    return;
  }
  for (const std::int32_t id : ids) rules.biases.push_back({id, rules::kNever});
  rules.names += " bad_ids";
}

void add_biases(const TokenOptions& options, const RuleFacts& facts, step::TokenRules& rules) {
  TTSRT_CHECK(ConfigError, options.logit_bias.size() <= kMaxIds,
              "tokens.logit_bias: expected at most ", kMaxIds, " ids, got ",
              options.logit_bias.size());
  const std::size_t num_banned = rules.biases.size();
  for (const auto& [id, bias] : options.logit_bias) {
    check_id("tokens.logit_bias", id, facts);
    checked_float("tokens.logit_bias", bias, -1e9F, 1e9F);
    const auto end = rules.biases.begin() + static_cast<std::ptrdiff_t>(num_banned);
    const bool is_banned = std::any_of(rules.biases.begin(), end,
                                       [id = id](const auto& banned) { return banned.id == id; });
    if (!is_banned) rules.biases.push_back({id, bias});
  }
  if (!options.logit_bias.empty()) rules.names += " logit_bias";
}

void penalise(const TokenOptions& options, const std::vector<std::int32_t>& prompt,
              rules::SlotRules& slot, step::TokenRules& rules) {
  const std::string& scope = options.repetition_scope;
  TTSRT_CHECK(ConfigError, scope == "all" || scope == "generated",
              "tokens.repetition_scope: expected \"all\" or \"generated\", got \"", scope, "\"");
  rules.repetition_penalty = slot.sampler.repetition_penalty;
  slot.sampler.repetition_penalty = 1.0F;  // no seen sets
  if (rules.repetition_penalty != 1.0F) {
    if (scope == "all") rules.seen = each_once(prompt);
    rules.names += " repetition_penalty";
  }
  rules.presence_penalty =
      checked_float("tokens.presence_penalty", options.presence_penalty, -kMaxPenalty, kMaxPenalty);
  rules.frequency_penalty = checked_float("tokens.frequency_penalty", options.frequency_penalty,
                                          -kMaxPenalty, kMaxPenalty);
  if (rules.presence_penalty != 0.0F) rules.names += " presence_penalty";
  if (rules.frequency_penalty != 0.0F) rules.names += " frequency_penalty";
}

}  // namespace

std::shared_ptr<const step::TokenRules> compile_tokens(const Request& request,
                                                       const RuleFacts& facts,
                                                       const std::vector<std::int32_t>& prompt,
                                                       rules::SlotRules& slot) {
  const TokenOptions options = request.tokens.value_or(TokenOptions{});
  step::TokenRules rules;
  std::copy(std::begin(kOrder), std::end(kOrder), std::begin(slot.sampler.order));
  set_ends(options, facts, slot);
  // Without these options a request draws from the whole table, as transformers does.
  if (request.tokens.has_value() && options.mask_padding_ids && facts.num_tokens < facts.vocab)
    slot.first_invalid = facts.num_tokens;
  penalise(options, prompt, slot, rules);
  ban(options, facts, slot, rules);
  add_biases(options, facts, rules);
  if (options.logprobs.has_value()) {
    rules.num_logprobs = checked_int("tokens.logprobs", *options.logprobs, 0, rules::kMaxLogprobs);
    rules.names += " logprobs";
  }
  if (rules.names.empty()) return nullptr;
  rules.names.erase(0, 1);
  return std::make_shared<const step::TokenRules>(std::move(rules));
}

}  // namespace ttsrt::decode
