// Stages at the end of a vocoder: PolarSpectrum and OverlapAdd. Exponentials, cosines and sines are
// those of the C library, in float32: they are a small part of the time.
#pragma once

#include "cpu/stages/stage.h"
#include "ops/program.h"

namespace ttsrt::cpu {

void add_polar_spectrum(const Site& site, const ops::PolarSpectrum& op, const Rows& x,
                        const Rows& out, std::int64_t rate, Stages& stages);

struct OverlapRows {
  Rows x;
  Rows out;
  std::int64_t rate = 1;
  std::int64_t beyond = 0;  // rows of x behind the item
};
void add_overlap_add(const Site& site, const ops::OverlapAdd& op, const OverlapRows& rows,
                     Stages& stages);

}  // namespace ttsrt::cpu
