// What the ops of ops/source_ops.h read and write (ops/uses.h).
#pragma once

#include "ops/source_ops.h"
#include "ops/use.h"

namespace ttsrt::ops {

// First the cycles of all rows, in order; then the samples of each row on its own.
inline Uses uses_of(const HarmonicSource& op) {
  const auto& [pitch, noise, out, weight, bias, cycles, halo, sample_rate, least_hz, sine,
               voiced_noise, unvoiced_noise] = op;
  Uses uses = {{Part::rows, cycles, Access::update, Share::draw}};
  add_buffer(uses, pitch, Access::read, Share::whole);
  uses.push_back({Part::rows, cycles, Access::read, Share::whole, 1});
  add_buffer(uses, pitch, Access::read, Share::row, 1);
  add_buffer(uses, noise, Access::read, Share::row, 1);
  add_buffer(uses, out, Access::write, Share::row, 1);
  return uses;
}

inline Uses uses_of(const FadeIn& op) {
  const auto& [x, factors] = op;
  Uses uses;
  add_buffer(uses, x, Access::update, Share::row);
  return uses;
}

}  // namespace ttsrt::ops
