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

// Returns where the pitch is after so many samples of |hz|, from `begin` on.
TTSRT_RULE Cycle cycle_behind(const Cycle& begin, float hz, double samples, double sample_rate) {
  const double sum = cycles_of(begin) + fabs(static_cast<double>(hz)) * samples / sample_rate;
  const double rest = sum - floor(sum);
  Cycle cycle;
  cycle.high = static_cast<float>(rest);
  cycle.low = static_cast<float>(rest - static_cast<double>(cycle.high));
  return cycle;
}

}  // namespace ttsrt::rules
