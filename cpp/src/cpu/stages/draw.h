// Draws from one row of logits: the chain of rules/filter_chain.h over kernels, and its scratch.
//
// The filters keep few values (top-k 80 of 2024), so only argmax, the k-th largest value and the
// gathering of survivors have kernels; the plain loops of the chain run over the survivors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/kernels/kernels.h"
#include "cpu/stages/stage.h"
#include "rules/filter_chain.h"

namespace ttsrt::cpu {

// The primitives of the chain for one instruction set.
struct KernelPrimitives {
  const Kernels& kernels;

  std::int32_t argmax(const float* values, std::int32_t count) const {
    return kernels.argmax(values, count);
  }
  float kth_largest(const float* values, std::int32_t count, std::int32_t k) const {
    return kernels.kth_largest(values, count, k);
  }
  std::int32_t survivors(const float* values, std::int32_t count, float threshold, float largest,
                         float inverse_temperature, float* weights, std::int32_t* indices) const {
    return kernels.survivors(values, count, threshold, largest, inverse_temperature,
                             {indices, weights});
  }
  void exponentials(float* values, std::int32_t count) const { kernels.exp(values, count, values); }
  float nucleus_threshold(const float* weights, std::int32_t count, float mass) const {
    return rules::nucleus_threshold(weights, count, mass);
  }
};

// Scratch of a draw: logits, survivors' weights and indices, [vocab] each.
struct DrawScratch {
  float* logits = nullptr;
  float* weights = nullptr;
  std::int32_t* indices = nullptr;

  static std::size_t bytes(std::int32_t vocab) {
    return 3 * sizeof(float) * (static_cast<std::size_t>(vocab) + kLanes);
  }
  static DrawScratch at(std::byte* memory, std::int32_t vocab);
};

// Writes guided logits from `vocab` raw logits to scratch.logits; `unconditional` may be null.
// Returns whether all of them are finite, which they are only if the raw ones are.
bool guide_logits(const Kernels& kernels, rules::Guidance form, const float* conditional,
                  const float* unconditional, float scale, std::int32_t vocab,
                  const DrawScratch& scratch);

// Says what was wrong with a draw of this op, if anything was.
inline void add_fault_of(const Site& site, const rules::DrawOutcome& drawn, std::int32_t row) {
  if (drawn.fault == rules::DrawFault::none) return;
  site.add_fault(row, drawn.fault == rules::DrawFault::no_choice ? ops::FaultKind::no_choice
                                                                 : ops::FaultKind::not_finite);
}

// Draws a code from the masked logits in scratch.logits; `seen` is as in rules::DrawRow.
rules::DrawOutcome draw_code(const Kernels& kernels, const rules::SamplerRules& sampler,
                             std::int32_t vocab, const std::uint32_t* seen, float uniform_number,
                             const DrawScratch& scratch);

// Does the same, with probabilities that serve as MaskGit's confidences.
rules::DrawOutcome draw_guess(const Kernels& kernels, const rules::SamplerRules& sampler,
                              std::int32_t vocab, const std::uint32_t* seen, float uniform_number,
                              const DrawScratch& scratch);

}  // namespace ttsrt::cpu
