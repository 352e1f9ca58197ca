// How large a launch is, rounded up so that few sizes stand for all: grids are sized by these
// bounds, and a graph is captured for each of them.
#pragma once

#include <cstdint>
#include <vector>

namespace ttsrt::cuda {

// Bounds on what a launch has.
struct Bounds {
  std::int32_t rows = 0;
  std::int32_t draws = 0;
  std::int32_t picks = 0;        // 0: no draw uses the local transformer
  std::int32_t passes = 0;       // of MaskGit, at most
  bool has_single_rows = false;  // as SelfAttentionArgs

  bool operator==(const Bounds&) const = default;
  std::int32_t pick_rows() const { return rows < 2 * picks ? rows : 2 * picks; }
};

// What a launch has, for the choice of kernels and grids.
struct LaunchCounts {
  std::int32_t rows = 0;
  std::int32_t draws = 0;
  std::int32_t picks = 0;
  std::int32_t passes = 0;       // of MaskGit: the most that a pick makes
  bool has_single_rows = false;  // every segment is one row and continues no other
  bool keeps_scores = false;     // of any draw
  bool tells_logprobs = false;   // of any draw
};

// What the launches of a Program may have.
struct BoundsLimits {
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;      // 0: it draws nothing
  std::int32_t rows_per_draw = 1;  // of one branch: more than 1 for blocks
  bool uses_cache = false;         // else single rows are like any others
  bool has_picks = false;
  bool has_drafts = false;     // several rows of one sequence may be drawn from
  bool has_many_rows = false;  // as ops::Program
};

// Powers of two, or the limits where these are smaller. Programs of many rows have eight sizes
// between one power of two and the next: half of a grid would be empty else.
Bounds bounds_of(const LaunchCounts& counts, const BoundsLimits& limits);

// The bounds of the launches that an executor makes, so that their graphs can be made before the
// first request comes. Left out are launches without draws of a Program that draws, which it never
// makes, and passes of MaskGit in another number than the usual one.
std::vector<Bounds> usual_bounds(const BoundsLimits& limits);

}  // namespace ttsrt::cuda
