// Draws over rows held in vectors, with room of their own.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "rules/filter_chain.h"

namespace ttsrt::test {

// A row to draw from.
struct Draws {
  std::vector<float> logits;
  std::vector<float> weights;
  std::vector<std::int32_t> indices;
  std::vector<std::uint32_t> seen;  // where the penalty counts any

  explicit Draws(std::vector<float> values)
      : logits(std::move(values)), weights(logits.size() + 16), indices(logits.size() + 16) {}

  void see(const std::vector<std::int32_t>& ids) {
    seen.resize(static_cast<std::size_t>(rules::seen_words(vocab())));
    for (const std::int32_t id : ids) rules::mark_seen(seen.data(), id);
  }

  std::int32_t vocab() const { return static_cast<std::int32_t>(logits.size()); }
  rules::DrawRow row() {
    return {logits.data(), vocab(), weights.data(), indices.data(),
            seen.empty() ? nullptr : seen.data()};
  }
};

inline rules::DrawOutcome draw(const rules::SamplerRules& sampler, std::vector<float> logits,
                               float number) {
  Draws draws(std::move(logits));
  return rules::draw_code(rules::PlainPrimitives{}, sampler, draws.row(), number);
}

inline rules::DrawOutcome guess(const rules::SamplerRules& sampler, std::vector<float> logits,
                                float number) {
  Draws draws(std::move(logits));
  return rules::draw_guess(rules::PlainPrimitives{}, sampler, draws.row(), number);
}

}  // namespace ttsrt::test
