#include "ops/check.h"

#include "core/check.h"
#include "rules/seen.h"

namespace ttsrt::ops {
namespace {

void check_seen(const rules::SamplerRules& sampler, const StateSpec& spec) {
  TTSRT_CHECK(InternalError, sampler.repetition_penalty > 0.0F,
              "repetition_penalty: expected a number above 0, got ", sampler.repetition_penalty);
  if (!rules::counts_seen(sampler)) return;
  TTSRT_CHECK(InternalError, spec.seen_vocab > 0,
              "repetition_penalty: the state keeps no ids that were seen");
  TTSRT_CHECK(
      InternalError, sampler.num_seen_first >= 0 && sampler.num_seen_first <= rules::kMaxSeenFirst,
      "num_seen_first: expected at most ", rules::kMaxSeenFirst, ", got ", sampler.num_seen_first);
  for (std::int32_t i = 0; i < sampler.num_seen_first; ++i) {
    TTSRT_CHECK(
        InternalError, sampler.seen_first[i] >= 0 && sampler.seen_first[i] < spec.seen_vocab,
        "seen_first: expected ids below ", spec.seen_vocab, ", got ", sampler.seen_first[i]);
  }
}

}  // namespace

void check_admission(const step::Admission& admission, const StateSpec& spec) {
  const rules::SlotRules& rules = admission.rules;
  TTSRT_CHECK(InternalError, admission.slot >= 0 && admission.slot < spec.slots, "admission: slot ",
              admission.slot, " of ", spec.slots);
  TTSRT_CHECK(InternalError, rules.text_len >= 0 && rules.text_len <= spec.max_text_len,
              "text_len: expected at most ", spec.max_text_len, ", got ", rules.text_len);
  TTSRT_CHECK(InternalError, rules.context_len >= 0 && rules.context_len <= spec.max_context_memory,
              "context_len: expected at most ", spec.max_context_memory, ", got ",
              rules.context_len);
  TTSRT_CHECK(
      InternalError, rules.num_forbidden >= 0 && rules.num_forbidden <= rules::kMaxForbidden,
      "num_forbidden: expected at most ", rules::kMaxForbidden, ", got ", rules.num_forbidden);
  TTSRT_CHECK(InternalError, rules.num_stop_ids >= 0 && rules.num_stop_ids <= rules::kMaxStopIds,
              "num_stop_ids: expected at most ", rules::kMaxStopIds, ", got ", rules.num_stop_ids);
  TTSRT_CHECK(
      InternalError, rules.maskgit.steps >= 1 && rules.maskgit.steps <= rules::kMaxMaskGitSteps,
      "maskgit.steps: expected 1 to ", rules::kMaxMaskGitSteps, ", got ", rules.maskgit.steps);
  check_seen(rules.sampler, spec);
}

void check_copy(const step::BlockCopy& copy, const StateSpec& spec) {
  TTSRT_CHECK(
      InternalError,
      copy.from >= 0 && copy.from < spec.num_blocks && copy.to >= 0 && copy.to < spec.num_blocks,
      "block copy: ", copy.from, " to ", copy.to, " of ", spec.num_blocks);
}

}  // namespace ttsrt::ops
