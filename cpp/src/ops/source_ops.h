// Ops of vocoders that filter a source: sines at the multiples of a pitch, and noise.
//
// Both know where in its item a row is (step::Segment::position), so that windows of an item, one
// after the other, give the samples of the whole.
#pragma once

#include <cstdint>

#include "ops/activation.h"
#include "ops/weight.h"

namespace ttsrt::ops {

// The source of a row is `hop` samples of one pitch: with c the cycles of the pitch from the first
// sample of the item to this one, including it, a_h = 2 pi (h c mod 1) + phase_h of harmonic h from
// 1 on, and n the noise, a sample is
//   tanh(sum over h of weight_h * (sine * sin a_h) * voiced + noise * norm(weight) * n + bias),
// where voiced is 1 and noise is voiced_noise where |pitch| > least_hz, and otherwise 0 and
// unvoiced_noise. That is the source of NSF (https://arxiv.org/abs/1904.12088), in which each
// harmonic has noise of its own: the weighted sum of those is normal, with the norm as its
// deviation.
//
// What the pitch has behind each row lies in an array of the slots, as two floats (rules/cycle.h),
// from which the row behind goes on. A window of an item, which doesn't begin at position 0, knows
// no pitch in its first `halo` rows, which become zeros; the cycles behind them are those of the
// window before. Rows beyond the item, as Activation::beyond of the pitch says, are zeros.
struct HarmonicSource {
  BufferId pitch = kNoBuffer;  // [rows, 1] in Hz; the sign is ignored
  BufferId noise = kNoBuffer;  // [rows, hop + harmonics]: n of the samples, then each phase
  BufferId out = kNoBuffer;    // [rows, hop]
  Weight weight;               // [harmonics] float32
  Weight bias;                 // [1] float32
  std::int32_t cycles = 0;     // array of the slots, of width 2
  std::int32_t halo = 0;       // rows
  float sample_rate = 24000.0F;
  float least_hz = 10.0F;
  float sine = 0.1F;
  float voiced_noise = 0.003F;
  float unvoiced_noise = 0.1F / 3.0F;
};

// Multiplies the first values of an item, in order, by one factor each.
struct FadeIn {
  BufferId x = kNoBuffer;  // [rows * rate, width]
  Weight factors;          // [values] float32
};

}  // namespace ttsrt::ops
