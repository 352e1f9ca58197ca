// How a MaskGit local transformer decides the codes of a stack in passes (NeMo's `sample_maskgit`).
//
// Each pass keeps the codes with the highest confidence so far, samples the others again and
// records the confidence of each. It differs from the original in three points. Ties between
// confidences go to the lower place. At temperature 0, which the original does not support here,
// the code is the argmax, and its confidence is the softmax at the checkpoint's temperature. A
// single pass with a rising guidance scale uses the full scale, where the original divides by zero.
#pragma once

#include <cmath>
#include <cstdint>

#include "rules/filter_chain.h"
#include "rules/inline.h"
#include "rules/philox.h"
#include "rules/sampling.h"
#include "rules/slot_rules.h"

namespace ttsrt::rules {

constexpr float kFixedConfidence = 5.0F;        // of a code that is kept
constexpr float kIneligibleConfidence = -1.0F;  // of a code whose frame is not eligible yet

TTSRT_RULE bool unmasks_in_order(MaskGitSampling sampling) {
  return sampling == MaskGitSampling::causal || sampling == MaskGitSampling::purity_causal;
}

TTSRT_RULE bool takes_purity(MaskGitSampling sampling) {
  return sampling == MaskGitSampling::purity || sampling == MaskGitSampling::purity_causal;
}

// Places below the returned one may be fixed in `pass`. The arithmetic is in doubles, as in the
// original.
TTSRT_RULE std::int32_t maskgit_eligible(const SlotRules& rules, std::int32_t pass) {
  if (!unmasks_in_order(rules.maskgit.sampling)) return rules.codebooks * rules.frame_stacking;
  const double progress = static_cast<double>(pass) / rules.maskgit.steps;
  return static_cast<std::int32_t>(floor(progress * rules.frame_stacking + 1.0)) * rules.codebooks;
}

// Returns the guidance scale of a pass.
TTSRT_RULE float maskgit_scale(const SlotRules& rules, std::int32_t pass) {
  if (!rules.maskgit.dynamic_cfg_scale || rules.maskgit.steps <= 1) return rules.cfg_scale;
  const float progress = static_cast<float>(pass) / static_cast<float>(rules.maskgit.steps - 1);
  return (rules.cfg_scale - 1.0F) * progress + 1.0F;
}

// Chooses the `num_fixed` most confident of `count` places: chosen[place] is 1 or 0. Ties go to the
// lower place.
TTSRT_RULE void maskgit_choose(const float* confidences, std::int32_t count, std::int32_t num_fixed,
                               std::uint8_t* chosen) {
  for (std::int32_t i = 0; i < count; ++i)
    chosen[i] = is_among_largest(confidences, count, num_fixed, i) ? 1 : 0;
}

// Returns the confidence of a sampled code; `place` is its place in the stack.
TTSRT_RULE float maskgit_confidence(const SlotRules& rules, const SlotState& state,
                                    std::int32_t pass, std::int32_t place,
                                    const DrawOutcome& outcome) {
  const float confidence =
      takes_purity(rules.maskgit.sampling) ? outcome.max_probability : outcome.probability;
  if (rules.maskgit.noise_scale <= 0.0F) return confidence;
  const float number =
      uniform(rules.sampler.seed, state.step, place, pass, DrawKind::maskgit_noise);
  const float fading =
      1.0F - static_cast<float>(pass + 2) / static_cast<float>(rules.maskgit.steps);
  return confidence + (number - 0.5F) * rules.maskgit.noise_scale * fading;
}

}  // namespace ttsrt::rules
