#include "cpu/stages/draw.h"

namespace ttsrt::cpu {
namespace {

rules::DrawRow row_of(const DrawScratch& scratch, std::int32_t vocab, const std::uint32_t* seen) {
  return {scratch.logits, vocab, scratch.weights, scratch.indices, seen};
}

}  // namespace

DrawScratch DrawScratch::at(std::byte* memory, std::int32_t vocab) {
  const std::int64_t room = vocab + kLanes;
  DrawScratch scratch;
  scratch.logits = reinterpret_cast<float*>(memory);
  scratch.weights = scratch.logits + room;
  scratch.indices = reinterpret_cast<std::int32_t*>(scratch.weights + room);
  return scratch;
}

bool guide_logits(const Kernels& kernels, rules::Guidance form, const float* conditional,
                  const float* unconditional, float scale, std::int32_t vocab,
                  const DrawScratch& scratch) {
  if (unconditional == nullptr) return kernels.copy(conditional, vocab, scratch.logits);
  return form == rules::Guidance::extrapolate
             ? kernels.extrapolate(conditional, unconditional, scale, vocab, scratch.logits)
             : kernels.mix(conditional, unconditional, scale, vocab, scratch.logits);
}

rules::DrawOutcome draw_code(const Kernels& kernels, const rules::SamplerRules& sampler,
                             std::int32_t vocab, const std::uint32_t* seen, float uniform_number,
                             const DrawScratch& scratch) {
  return rules::draw_code(KernelPrimitives{kernels}, sampler, row_of(scratch, vocab, seen),
                          uniform_number);
}

rules::DrawOutcome draw_guess(const Kernels& kernels, const rules::SamplerRules& sampler,
                              std::int32_t vocab, const std::uint32_t* seen, float uniform_number,
                              const DrawScratch& scratch) {
  return rules::draw_guess(KernelPrimitives{kernels}, sampler, row_of(scratch, vocab, seen),
                           uniform_number);
}

}  // namespace ttsrt::cpu
