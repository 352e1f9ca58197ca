// Where in its cycle a pitch is.
//
// A source of harmonics multiplies the pitch's errors by all cycles before, so that it is summed in
// float64. It is kept as two floats, of which the second is what the first has lost, so that the
// slots' rows of float32 hold it; every row begins with what two floats hold, whether or not it
// lies in the same launch as the one before.
#pragma once

#include <cmath>

#include "rules/inline.h"

namespace ttsrt::rules {

struct Cycle {
  float high = 0.0F;
  float low = 0.0F;
};

// Returns a number in [0, 1], or NaN.
TTSRT_RULE double cycles_of(const Cycle& cycle) {
  return static_cast<double>(cycle.high) + static_cast<double>(cycle.low);
}

// Returns the cycles of so many samples of |hz|.
TTSRT_RULE double cycles_of_samples(float hz, double samples, double sample_rate) {
  return fabs(static_cast<double>(hz)) * samples / sample_rate;
}

// Returns where the pitch is after so many cycles, from `begin` on.
TTSRT_RULE Cycle cycle_behind(const Cycle& begin, double cycles) {
  const double sum = cycles_of(begin) + cycles;
  const double rest = sum - floor(sum);
  Cycle cycle;
  cycle.high = static_cast<float>(rest);
  cycle.low = static_cast<float>(rest - static_cast<double>(cycle.high));
  return cycle;
}

// Returns where it is after so many samples of |hz|.
TTSRT_RULE Cycle cycle_behind(const Cycle& begin, float hz, double samples, double sample_rate) {
  return cycle_behind(begin, cycles_of_samples(hz, samples, sample_rate));
}

}  // namespace ttsrt::rules
