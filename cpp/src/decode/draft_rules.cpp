#include "decode/draft_rules.h"

#include <algorithm>
#include <utility>

namespace ttsrt::decode {
namespace {

// Keeps the ids that the table has, in front; returns their number.
std::int32_t keep_known(std::int32_t* ids, std::int32_t count, std::int32_t vocab) {
  return static_cast<std::int32_t>(
      std::remove_if(ids, ids + count, [vocab](std::int32_t id) { return id >= vocab; }) - ids);
}

}  // namespace

DraftRules draft_rules(const rules::SlotRules& slot, const step::TokenRules* tokens,
                       std::int32_t vocab, bool tells_likeliest) {
  DraftRules made{slot, nullptr};
  made.slot.eos_id = std::min(slot.eos_id, vocab - 1);
  made.slot.num_stop_ids = keep_known(made.slot.stop_ids, slot.num_stop_ids, vocab);
  made.slot.num_forbidden = keep_known(made.slot.forbidden, slot.num_forbidden, vocab);
  if (tokens == nullptr && !tells_likeliest) return made;
  step::TokenRules of = tokens == nullptr ? step::TokenRules() : *tokens;
  of.seen.resize(static_cast<std::size_t>(
      keep_known(of.seen.data(), static_cast<std::int32_t>(of.seen.size()), vocab)));
  of.biases.erase(std::remove_if(of.biases.begin(), of.biases.end(),
                                 [vocab](const auto& bias) { return bias.id >= vocab; }),
                  of.biases.end());
  of.num_logprobs = tells_likeliest ? 1 : -1;
  made.tokens = std::make_shared<const step::TokenRules>(std::move(of));
  return made;
}

}  // namespace ttsrt::decode
