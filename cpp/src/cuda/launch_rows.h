// A RowBatch as the kernels read it (RowsView): packed into pinned memory on the host, and copied
// to arrays that an Executable keeps on the device.
//
// Several launches may be packed ahead of the device, each into a staging buffer of its own. The
// arrays on the device are written in the order of the stream.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "cuda/bounds.h"
#include "cuda/device_memory.h"
#include "cuda/rows_layout.h"
#include "cuda/views.h"
#include "step/batch.h"

namespace ttsrt::cuda {

struct RowLimits {
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;
  std::int32_t max_blocks = 0;     // of one segment's block table; 0: the Program reads no cache
  std::int32_t codebooks = 0;      // of the slots: forced codes of a draw
  std::int32_t code_width = 0;     // ids of a row of codes
  std::int64_t dim = 0;            // of given vectors; 0: there are none
  std::int32_t max_drafts = 0;     // of a draw
  bool has_items = false;          // ops of whole items ask for arrays of their own
  ItemTiles tiles = {};            // with items
  std::int32_t schedule_rows = 0;  // of the schedule that each slot keeps, as StateSpec
};

// Vectors of a segment that are on the device already: row `to` of the launch's vectors and behind.
struct DeviceRows {
  const float* from = nullptr;  // [rows, dim]
  std::int64_t to = 0;
  std::int64_t rows = 0;
};

inline bool no_slot(std::int32_t) { return false; }

// What rows depend on beside their batch, by slot.
struct SlotUses {
  std::function<bool(std::int32_t)> uses_picks;  // draws use the local transformer
  std::function<bool(std::int32_t)> keeps_scores;
  std::function<bool(std::int32_t)> counts_ids = no_slot;  // of drafts, too
  std::function<bool(std::int32_t)> tells_logprobs = no_slot;
};

// What the host knows of the slots, as the launch that is issued finds them [slots].
struct KnownSlots {
  std::vector<rules::SlotRules> rules;
  std::vector<TokenHead> tokens;
};
SlotUses uses_of(const KnownSlots& slots);

class LaunchRows {
 public:
  LaunchRows(const RowLimits& limits, DeviceMemory& memory);

  const RowsView& view() const { return view_; }

  // Packs a batch that ops::check_batch accepted into staging buffer `stage`, and queues the
  // copies. The passes are not counted.
  LaunchCounts copy(const step::RowBatch& batch, const SlotUses& uses, std::int32_t stage,
                    cudaStream_t stream);

  // Packs without a device: into `numbers` [num_numbers()] and `vectors` [max_rows, dim], of which
  // the result is the view. Vectors that are on the device are left out: device_rows() has them.
  RowsView pack(const step::RowBatch& batch, const SlotUses& uses, std::int32_t stage,
                std::int32_t* numbers, float* vectors);
  const std::vector<DeviceRows>& device_rows() const { return device_rows_; }
  std::int64_t num_numbers() const { return layout_.numbers(); }

 private:
  RowLimits limits_;
  RowsLayout layout_;
  RowsView view_;  // on the device
  std::int32_t* device_numbers_ = nullptr;
  float* device_vectors_ = nullptr;
  std::vector<PinnedBuffer> numbers_;  // [kStages]
  std::vector<PinnedBuffer> vectors_;
  std::int64_t used_blocks_ = 0;  // of the batch packed last
  std::int64_t used_ids_ = 0;
  std::int64_t used_rows_ = 0;  // of vectors
  std::vector<DeviceRows> device_rows_;
};

}  // namespace ttsrt::cuda
