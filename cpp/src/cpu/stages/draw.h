// One draw over one row of logits: the rules of rules/sampling.h with their long loops
// vectorised.
//
// Decided: the filters keep few values (top-k 80 of 2024), so what survives the k-th largest is
// gathered, and the rules' own loops run over that. Sums go in index order, as in the rules, so
// that equal logits give equal draws.
#pragma once

#include <cstdint>

#include "cpu/kernels/kernels.h"
#include "rules/sampling.h"

namespace ttsrt::cpu {

// Scratch of a draw: logits, survivors' weights and indices, [vocab] each.
struct DrawScratch {
  float* logits = nullptr;
  Survivors survivors{};

  static std::size_t bytes(std::int32_t vocab) {
    return 3 * sizeof(float) * (static_cast<std::size_t>(vocab) + kLanes);
  }
  static DrawScratch at(std::byte* memory, std::int32_t vocab);
};

// Guidance over `vocab` raw logits into scratch.logits; `unconditional` may be null.
void guide_logits(const Kernels& kernels, const float* conditional, const float* unconditional,
                  float scale, std::int32_t vocab, const DrawScratch& scratch);

// A code from the masked logits in scratch.logits.
rules::DrawOutcome draw_code(const Kernels& kernels, const rules::SamplerRules& sampler,
                             std::int32_t vocab, float uniform_number, const DrawScratch& scratch);

// The same, with probabilities that can stand as MaskGit's confidences (rules::maskgit_draw).
rules::DrawOutcome draw_guess(const Kernels& kernels, const rules::SamplerRules& sampler,
                              std::int32_t vocab, float uniform_number, const DrawScratch& scratch);

}  // namespace ttsrt::cpu
