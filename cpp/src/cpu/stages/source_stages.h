// Stages of the ops of ops/source_ops.h. Sines are those of the C library: ten for each sample are
// a small part of what a sample costs.
#pragma once

#include "cpu/stages/stage.h"
#include "cpu/stages/stage_list.h"
#include "ops/program.h"

namespace ttsrt::cpu {

struct SourceRows {
  Rows pitch;               // [rows, 1]
  Rows noise;               // [rows, hop + harmonics]
  Rows out;                 // [rows, hop]
  std::int32_t beyond = 0;  // of the pitch

  // The rows of a segment, counted from its first, that have a source.
  std::int32_t first(const step::Segment& segment, std::int32_t halo) const {
    return segment.position == 0 ? 0 : halo;
  }
  std::int32_t last(const step::Segment& segment) const { return segment.rows - beyond; }
};

void add_harmonic_source(const StageList& list, const ops::HarmonicSource& op,
                         const SourceRows& rows, Stages& stages);
void add_fade_in(const Site& site, const ops::FadeIn& op, const Rows& x, std::int64_t rate,
                 Stages& stages);

}  // namespace ttsrt::cpu
