// The residual sums of a stage, which both halves of a codec have.
#pragma once

#include <cstddef>

#include "model/nanocodec/config.h"
#include "ops/rate_ops.h"

namespace ttsrt::model::nanocodec {

// Adds the input `x` of a block to what its last convolution gives: in a chain of blocks the chain
// itself, behind its last block the chain's share of the mean over the chains of the stage.
inline void add_residual(ops::TimeConv& out, ops::BufferId x, const HalfConfig& half,
                         std::size_t chain, std::size_t block) {
  const bool is_last = block + 1 == half.dilations.size();
  if (block == 0 || is_last) out.addend = x;
  if (is_last) {
    out.scale = 1.0F / static_cast<float>(half.kernels.size());
    out.accumulate = chain > 0;
  } else {
    out.accumulate = block > 0;  // onto the chain itself
  }
}

}  // namespace ttsrt::model::nanocodec
