// The outcome of a flight's draws on its way to the host, in pinned memory of the flight.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "cuda/device_memory.h"
#include "cuda/device_slots.h"
#include "step/batch.h"
#include "step/output.h"

namespace ttsrt::cuda {

class OutcomeCopy {
 public:
  // Sizes the memory for DeviceSlots::max_draws().
  void make_room(const DeviceSlots& slots);
  // Begins a flight without draws.
  void start();
  // Queues the copies behind the launch that has the draws. `rules` [slots] are those it found.
  void queue(const DeviceSlots& slots, const step::RowBatch& rows,
             const std::vector<rules::SlotRules>& rules, cudaStream_t stream);
  // Once the flight is over.
  void read(const ops::StateSpec& spec, step::StepOutput& output) const;

 private:
  PinnedBuffer results_;  // DrawResult [room], then codes [room, codebooks]
  PinnedBuffer scores_;
  std::int32_t room_ = 0;
  std::int32_t draws_ = 0;
  bool keeps_scores_ = false;
};

}  // namespace ttsrt::cuda
