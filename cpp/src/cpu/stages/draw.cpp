#include "cpu/stages/draw.h"

#include <cstring>

namespace ttsrt::cpu {
namespace {

using rules::DrawOutcome;
using rules::SamplerRules;

// Drops survivors below `least`; returns the sum of the others and how many they are.
float drop_below(float least, const Survivors& survivors, std::int32_t& count) {
  float sum = 0.0F;
  std::int32_t kept = 0;
  for (std::int32_t i = 0; i < count; ++i) {
    if (survivors.weights[i] < least) continue;
    survivors.weights[kept] = survivors.weights[i];
    survivors.indices[kept] = survivors.indices[i];
    sum += survivors.weights[kept++];
  }
  count = kept;
  return sum;
}

DrawOutcome draw_warm(const Kernels& kernels, const SamplerRules& sampler, std::int32_t vocab,
                      float uniform_number, const DrawScratch& scratch) {
  const float* logits = scratch.logits;
  const Survivors& survivors = scratch.survivors;
  const bool keeps_all = sampler.top_k <= 0 || sampler.top_k >= vocab;
  const float threshold =
      keeps_all ? rules::kNever : kernels.kth_largest(logits, vocab, sampler.top_k);
  const float largest = logits[kernels.argmax(logits, vocab)];
  std::int32_t count =
      kernels.survivors(logits, vocab, threshold, largest, 1.0F / sampler.temperature, survivors);
  float sum = 0.0F;
  for (std::int32_t i = 0; i < count; ++i) sum += survivors.weights[i];
  float least = sampler.min_p;  // the largest weight is 1
  if (sampler.top_p < 1.0F) {
    const float nucleus = rules::nucleus_threshold(survivors.weights, count, sampler.top_p * sum);
    least = nucleus > least ? nucleus : least;
  }
  if (least > 0.0F) sum = drop_below(least, survivors, count);
  DrawOutcome outcome;
  if (count == 0) return outcome;  // every logit is NaN
  const std::int32_t index = rules::draw_index(survivors.weights, count, sum, uniform_number);
  outcome.code = survivors.indices[index];
  outcome.probability = survivors.weights[index] / sum;
  outcome.max_probability = 1.0F / sum;
  return outcome;
}

}  // namespace

DrawScratch DrawScratch::at(std::byte* memory, std::int32_t vocab) {
  const std::int64_t room = vocab + kLanes;
  DrawScratch scratch;
  scratch.logits = reinterpret_cast<float*>(memory);
  scratch.survivors.weights = scratch.logits + room;
  scratch.survivors.indices = reinterpret_cast<std::int32_t*>(scratch.survivors.weights + room);
  return scratch;
}

void guide_logits(const Kernels& kernels, const float* conditional, const float* unconditional,
                  float scale, std::int32_t vocab, const DrawScratch& scratch) {
  if (unconditional == nullptr) {
    std::memcpy(scratch.logits, conditional, static_cast<std::size_t>(vocab) * sizeof(float));
  } else {
    kernels.mix(conditional, unconditional, scale, vocab, scratch.logits);
  }
}

DrawOutcome draw_code(const Kernels& kernels, const SamplerRules& sampler, std::int32_t vocab,
                      float uniform_number, const DrawScratch& scratch) {
  if (sampler.temperature > 0.0F)
    return draw_warm(kernels, sampler, vocab, uniform_number, scratch);
  DrawOutcome outcome;
  outcome.code = kernels.argmax(scratch.logits, vocab);
  return outcome;
}

DrawOutcome draw_guess(const Kernels& kernels, const SamplerRules& sampler, std::int32_t vocab,
                       float uniform_number, const DrawScratch& scratch) {
  if (sampler.temperature > 0.0F)
    return draw_warm(kernels, sampler, vocab, uniform_number, scratch);
  SamplerRules warm = sampler;
  warm.temperature = sampler.confidence_temperature;
  DrawOutcome outcome = draw_warm(kernels, warm, vocab, 0.0F, scratch);
  outcome.code = kernels.argmax(scratch.logits, vocab);
  outcome.probability = outcome.max_probability;
  return outcome;
}

}  // namespace ttsrt::cpu
