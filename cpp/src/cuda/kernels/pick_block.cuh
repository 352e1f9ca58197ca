// What the kernels that draw the codes of picks share.
#pragma once

#include <cstdint>

#include "cuda/kernels/draw_block.cuh"
#include "cuda/launch.h"

namespace ttsrt::cuda {

// Rows of a pick: one per branch.
__device__ inline std::int32_t num_branches(const RowsView& rows, std::int32_t p) {
  return rows.draw_unconditional[rows.pick_draw[p]] < 0 ? 1 : 2;
}

// The raw logits of a place of pick `p`.
__device__ inline RawLogits raw_of_pick(const PickDrawArgs& args, std::int32_t p,
                                        std::int32_t place, float scale) {
  const std::int64_t width = std::int64_t{args.slots.codebooks} * args.vocab;
  const float* first =
      args.logits + args.rows.pick_first[p] * width + std::int64_t{place} * args.vocab;
  return {first, num_branches(args.rows, p) > 1 ? first + width : nullptr, scale};
}

// Mixes and masks the raw logits of pick `p` into `row`, and adds a fault where the mix is not
// finite. The analyzer has no say in picks.
__device__ inline void mask_pick(ThreadBlock& block, const PickDrawArgs& args, const DrawSlot& slot,
                                 std::int32_t p, const RawLogits& raw, const BlockRow& row) {
  const RowsView& rows = args.rows;
  if (!mask_row(block, slot.rules, slot.state, raw, false, nullptr, row.logits, args.vocab)) {
    add_fault(args.faults, rows.draw_conditional[rows.pick_draw[p]], args.faults.not_finite);
  }
}

}  // namespace ttsrt::cuda
