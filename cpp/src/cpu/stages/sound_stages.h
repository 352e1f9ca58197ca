// Stages at the end of a vocoder: PolarSpectrum and OverlapAdd. Exponentials, cosines and sines are
// those of the C library, in float32: they are a small part of the time.
#pragma once

#include "cpu/stages/stage.h"
#include "ops/program.h"

namespace ttsrt::cpu {

void add_polar_spectrum(const Site& site, const ops::PolarSpectrum& op, const Rows& x,
                        const Rows& out, Stages& stages);
void add_overlap_add(const Site& site, const ops::OverlapAdd& op, const Rows& x, const Rows& out,
                     Stages& stages);

}  // namespace ttsrt::cpu
