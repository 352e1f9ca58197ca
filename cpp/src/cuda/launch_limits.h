// What the launches of a Program may have, as its ops say.
#pragma once

#include "cuda/bounds.h"
#include "cuda/launch_rows.h"
#include "ops/backend.h"
#include "ops/check.h"

namespace ttsrt::cuda {

// Other attention without a cache (float32 keys, a rope of all heads or none, no norms of heads)
// needs no prepared heads, and is lowered as that of other segments.
bool is_item_attention(const ops::SelfAttention& op);

// Whether ops of a Program read the arrays of whole items in RowsView.
bool asks_for_items(const ops::Program& program);
inline ItemTiles item_tiles_of(const ops::ProgramLimits& limits) {
  return {limits.max_segments > 0 ? limits.max_segments : limits.max_rows};
}

RowLimits row_limits(const ops::Program& program, const ops::ProgramLimits& limits,
                     const ops::BatchNeeds& needs, const ops::StateSpec& spec);
BoundsLimits bounds_limits(const ops::Program& program, const ops::ProgramLimits& limits,
                           const ops::BatchNeeds& needs, const ops::StateSpec& spec);

}  // namespace ttsrt::cuda
