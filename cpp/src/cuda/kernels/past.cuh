// The rows before a segment: those of its chain in this launch, or what the slot keeps of earlier
// launches (launch_rate.h, PastView).
#pragma once

#include "cuda/device.cuh"
#include "cuda/launch_rate.h"

namespace ttsrt::cuda {

// The chain of segments that a row of the launch belongs to, in rows of a buffer of some rate, and
// the halves of what its slot keeps.
struct Chain {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int32_t slot = -1;
  std::int32_t position = 0;      // of the chain's begin
  std::int32_t end_position = 0;  // behind its end
  std::int32_t half = -1;         // that is read; -1: zeros

  // Call it behind wait_for_previous_kernel(), and only for a row that is there.
  static __device__ Chain of(const RowsView& rows, const PastView& past, std::int32_t row,
                             std::int32_t rate) {
    Chain chain;
    const std::int32_t begin = rows.chain_begin[row];
    const std::int32_t end = rows.chain_end[row];
    chain.begin = std::int64_t{begin} * rate;
    chain.end = std::int64_t{end} * rate;
    chain.slot = rows.slot[row];
    chain.position = rows.position[begin];
    chain.end_position = chain.position + end - begin;
    if (past.data != nullptr && chain.position > 0 && chain.slot >= 0) {
      const std::int32_t* tags = past.tags + 2 * chain.slot;
      // Only the tag of the other half changes in this launch, and never to this position.
      chain.half = tags[0] == chain.position ? 0 : tags[1] == chain.position ? 1 : -1;
    }
    return chain;
  }

  __device__ std::byte* half_at(const PastView& past, std::int32_t which) const {
    return past.data + (std::int64_t{slot} * 2 + which) * past.half_bytes;
  }
  // What is read: null where that is zeros.
  __device__ const std::byte* kept(const PastView& past) const {
    return half < 0 ? nullptr : half_at(past, half);
  }
  // What is written: null where the row is kept nowhere.
  __device__ std::byte* next(const PastView& past) const {
    if (past.data == nullptr || slot < 0) return nullptr;
    return half_at(past, half == 0 ? 1 : 0);
  }
  // Says which position the written half is of; by one thread.
  __device__ void tag(const PastView& past) const {
    if (past.data == nullptr || slot < 0) return;
    std::int32_t* tags = past.tags + 2 * slot;
    if (half < 0) tags[1] = -1;
    tags[half == 0 ? 1 : 0] = end_position;
  }
};

}  // namespace ttsrt::cuda
