// From the raw logits of a place to the row that a draw reads: guidance, the analyzer's verdict and
// masks, by all threads of a block. The rules are rules::guide, apply_verdict and mask_logits.
#pragma once

#include <cstdint>

#include "cuda/kernels/cooperate.cuh"
#include "rules/analyzer.h"
#include "rules/sampling.h"

namespace ttsrt::cuda {

// The raw logits [vocab] of one place; `unconditional` is null without guidance.
struct RawLogits {
  const float* conditional = nullptr;
  const float* unconditional = nullptr;
  float scale = 1.0F;  // of the guidance
};

// What masks and the verdict do to every id, without those that mask single ids.
struct RowMask {
  bool ends = false;    // the end is the only choice
  bool floods = false;  // the verdict makes the end the likeliest by far
  bool forbids_end = false;
  std::int32_t end_id = 0;
  std::int32_t first_invalid = 0;

  TTSRT_DEVICE RowMask(const rules::SlotRules& rules, const rules::SlotState& state,
                       bool has_verdict)
      : ends(rules::forces_end(rules, state)),
        end_id(rules.eos_id),
        first_invalid(rules.first_invalid) {
    if (!has_verdict) return;
    const rules::Verdict verdict = state.analyzer.verdict;
    const bool may_end = rules.minimum_id >= 0 || !rules::is_below_minimum(rules, state);
    forbids_end = verdict == rules::Verdict::forbid_end;
    floods = verdict == rules::Verdict::force_end && may_end;
  }

  TTSRT_DEVICE float apply(std::int32_t id, float logit) const {
    if (ends) return id == end_id ? 0.0F : rules::kNever;
    if (first_invalid > 0 && id >= first_invalid) return rules::kNever;
    if (floods) return id == end_id ? rules::kForcedLogit : -rules::kForcedLogit;
    return forbids_end && id == end_id ? -rules::kForcedLogit : logit;
  }
};

// The ids that masks may forbid one by one are candidates 0 to kMaskedIds - 1. Returns the id of a
// candidate that they do forbid, or -1.
constexpr std::int32_t kMaskedIds = 2 + rules::kMaxStopIds + rules::kMaxForbidden;
TTSRT_DEVICE std::int32_t masked_id(const rules::SlotRules& rules, const rules::SlotState& state,
                                    std::int32_t candidate) {
  const bool is_early = rules::is_below_minimum(rules, state);
  const bool is_unfinished = rules.prior.track_finish && state.is_unfinished;
  const bool masks_ends = is_unfinished || (is_early && rules.minimum_id < 0);
  if (candidate == 0) return masks_ends ? rules.eos_id : -1;
  if (candidate == 1) return is_early ? rules.minimum_id : -1;
  const std::int32_t stop = candidate - 2;
  if (stop < rules::kMaxStopIds)
    return masks_ends && stop < rules.num_stop_ids ? rules.stop_ids[stop] : -1;
  const std::int32_t forbidden = stop - rules::kMaxStopIds;
  return forbidden < rules.num_forbidden ? rules.forbidden[forbidden] : -1;
}

// Returns rules::guide. On the device its roundings are explicit, so that all kernels give the same
// bits.
TTSRT_DEVICE float guided_logit(rules::Guidance form, float conditional, float unconditional,
                                float scale) {
#ifdef __CUDA_ARCH__
  if (form == rules::Guidance::extrapolate)
    return __fmaf_rn(scale, __fsub_rn(conditional, unconditional), conditional);
  return __fmaf_rn(scale, conditional, __fmul_rn(__fsub_rn(1.0F, scale), unconditional));
#else
  return rules::guide(form, conditional, unconditional, scale);
#endif
}

// Writes the masked row to `logits` [vocab], for all threads to read, and the mix before verdict
// and masks to `guided`, if that is not null. Returns whether all that this thread mixed is finite.
template <typename Block>
TTSRT_DEVICE bool mask_row(Block& block, const rules::SlotRules& rules,
                           const rules::SlotState& state, const RawLogits& raw, bool has_verdict,
                           float* guided, float* logits, std::int32_t vocab) {
  constexpr std::int32_t kBatch = 9;  // loads that overlap: 1024 threads take 9216 ids in one round
  const RowMask mask(rules, state, has_verdict);
  const bool is_guided = raw.unconditional != nullptr;
  bool is_finite = true;
  for (std::int32_t first = block.rank(); first < vocab; first += kBatch * block.size()) {
    float mix[kBatch];
    float unconditional[kBatch];
    for (std::int32_t i = 0; i < kBatch; ++i) {
      const std::int32_t id = first + i * block.size();
      mix[i] = id < vocab ? raw.conditional[id] : 0.0F;
      unconditional[i] = is_guided && id < vocab ? raw.unconditional[id] : 0.0F;
    }
    for (std::int32_t i = 0; i < kBatch; ++i) {
      const std::int32_t id = first + i * block.size();
      if (id >= vocab) break;
      if (is_guided) mix[i] = guided_logit(rules.guidance, mix[i], unconditional[i], raw.scale);
      if (guided != nullptr) guided[id] = mix[i];
      is_finite = is_finite && mix[i] - mix[i] == 0.0F;
      logits[id] = mask.apply(id, mix[i]);
    }
  }
  block.sync();
  for (std::int32_t i = block.rank(); i < kMaskedIds && !mask.ends; i += block.size()) {
    const std::int32_t id = masked_id(rules, state, i);
    if (id >= 0) logits[id] = rules::kNever;
  }
  block.sync();
  return is_finite;
}

}  // namespace ttsrt::cuda
