#include "cuda/bounds.h"

#include <algorithm>

#include "cuda/views.h"
#include "rules/slot_rules.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kRowStep = 128;

// The smallest power of two that holds `count`, at most `most`.
std::int32_t bucket(std::int32_t count, std::int32_t most) {
  std::int32_t size = 1;
  while (size < count && size < most) size *= 2;
  return std::min(size, most);
}

// A multiple of a sixteenth of the next power of two, and of kRowStep.
std::int32_t fine_bucket(std::int32_t count, std::int32_t most) {
  const std::int32_t step = std::max(bucket(count, 1 << 30) / 16, kRowStep);
  return std::min((count + step - 1) / step * step, most);
}

std::int32_t rows_bound(std::int32_t count, const BoundsLimits& limits) {
  return limits.has_many_rows ? fine_bucket(count, limits.max_rows)
                              : bucket(count, limits.max_rows);
}

}  // namespace

Bounds bounds_of(const LaunchCounts& counts, const BoundsLimits& limits) {
  Bounds bounds;
  bounds.rows = rows_bound(counts.rows, limits);
  bounds.draws = counts.draws == 0 ? 0 : std::min(limits.max_draws, bounds.rows);
  bounds.has_single_rows = counts.has_single_rows && limits.uses_cache;
  if (counts.picks == 0) return bounds;
  bounds.picks = bounds.draws;
  bounds.passes = counts.passes;
  return bounds;
}

std::vector<Bounds> usual_bounds(const BoundsLimits& limits) {
  std::vector<Bounds> all;
  const auto add = [&](const LaunchCounts& counts) {
    const Bounds bounds = bounds_of(counts, limits);
    if (std::find(all.begin(), all.end(), bounds) == all.end()) all.push_back(bounds);
  };
  const bool draws = limits.max_draws > 0;
  for (std::int32_t rows = draws ? limits.rows_per_draw : 1;;) {
    LaunchCounts counts;
    counts.rows = rows_bound(rows, limits);
    counts.draws = draws ? 1 : 0;
    counts.has_single_rows = !draws || limits.rows_per_draw == 1;
    add(counts);
    if ((!draws || limits.has_drafts) && counts.rows > 1) {
      counts.has_single_rows = false;
      add(counts);
    }
    if (draws && limits.has_picks) {
      counts.picks = 1;
      counts.passes = rules::MaskGitRules{}.steps;
      add(counts);
    }
    if (counts.rows >= limits.max_rows) return all;
    rows = counts.rows + 1;
  }
}

}  // namespace ttsrt::cuda
