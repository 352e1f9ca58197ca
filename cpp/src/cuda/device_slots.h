// The state of the slots in device memory, and the outcome of the flight that runs: what
// cpu/slots.h is to the CPU backend. The host keeps a copy of the rules, because they decide which
// kernels a launch needs.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/device_memory.h"
#include "cuda/launch_rate.h"
#include "cuda/views.h"
#include "ops/backend.h"

namespace ttsrt::cuda {

// Throws InternalError for a type that is no float.
Element element_of(DType dtype);

class DeviceSlots {
 public:
  DeviceSlots(const ops::StateSpec& spec, DeviceMemory::Mode mode);

  const ops::StateSpec& spec() const { return spec_; }
  ops::MemoryUse use() const { return use_; }
  const SlotsView& view() const { return view_; }
  CacheView cache(std::int32_t layer) const;
  std::int64_t cache_layer_bytes() const;
  MemoryView memory(std::int32_t layer, ops::Memory memory) const;
  HistoryView history(std::int32_t conv) const {
    return histories_[static_cast<std::size_t>(conv)];
  }
  RowArrayView array(std::int32_t index) const { return arrays_[static_cast<std::size_t>(index)]; }
  PastView past(std::int32_t index) const { return past_[static_cast<std::size_t>(index)]; }
  // The rows of the schedule as blocks of a cache of one layer, for copies; no data: there are
  // none. It has no blocks where each slot keeps a schedule.
  CacheView schedule_blocks() const;
  bool has_schedule_blocks() const { return spec_.schedule_width > 0 && spec_.schedule_rows == 0; }
  const HistoryView* device_histories() const { return device_histories_; }
  std::int32_t num_histories() const { return static_cast<std::int32_t>(histories_.size()); }

  // Allocates the outcome of so many draws, once more if a later Program has more.
  void make_room(std::int32_t max_draws);
  const OutcomeView* outcome() const { return &outcome_; }
  std::int32_t max_draws() const { return max_draws_; }
  std::size_t outcome_bytes() const { return outcome_memory_.bytes(); }

 private:
  void take_past(const ops::StateSpec::PastRows& past);
  void take_tokens();
  std::int64_t memory_blocks() const;  // of one slot and layer, text and context

  ops::StateSpec spec_;
  DeviceMemory memory_;
  DeviceMemory outcome_memory_;
  ops::MemoryUse use_;
  CacheView cache_;
  CacheView cross_;
  SlotsView view_;
  std::vector<HistoryView> histories_;
  std::vector<RowArrayView> arrays_;
  std::vector<PastView> past_;
  HistoryView* device_histories_ = nullptr;
  OutcomeView outcome_;
  std::int32_t max_draws_ = 0;
};

}  // namespace ttsrt::cuda
