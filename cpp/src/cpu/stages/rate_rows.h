// What stands before the rows of a segment in a buffer with a rate: kept rows of its slot, and how
// they are replaced.
#pragma once

#include "cpu/stages/stage.h"

namespace ttsrt::cpu {

// Rows of one sequence in a buffer with a rate: those of a segment, or of segments that continue
// each other where the op keeps past rows.
struct RateRun {
  const step::Segment* first = nullptr;
  std::int64_t first_row = 0;  // of the launch
  std::int64_t rows = 0;       // of the launch

  // Kept rows before these, or null for zeros.
  const float* past(const Site& site, std::int32_t past) const {
    if (past < 0 || first->slot == step::kNoSlot || first->position == 0) return nullptr;
    return site.slots->past(past, first->slot);
  }
};

// Calls `each` with the runs of a launch in order.
template <typename Each>
void for_runs(const Site& site, std::int32_t past, const Each& each) {
  const auto& segments = site.launch->batch->segments;
  for (std::size_t s = 0; s < segments.size();) {
    RateRun run{&segments[s], segments[s].first_row, segments[s].rows};
    for (++s; past >= 0 && s < segments.size() && step::continues(segments, s); ++s)
      run.rows += segments[s].rows;
    each(run);
  }
}

// Adds the stage that keeps the last rows of `x`, which has `rate` rows for each row of the launch.
void add_keep_past(const Site& site, std::int32_t past, const Rows& x, std::int64_t rate,
                   Stages& stages);

}  // namespace ttsrt::cpu
