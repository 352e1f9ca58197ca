// A Program on the device: its activations, its steps, the graphs that were captured of them, and
// the launches that are on their way.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/device_memory.h"
#include "cuda/device_slots.h"
#include "cuda/device_weights.h"
#include "cuda/handles.h"
#include "cuda/launch_rows.h"
#include "cuda/lowering.h"
#include "ops/backend.h"
#include "ops/check.h"

namespace ttsrt::cuda {

class Compiled {
 public:
  // With a mode that counts, nothing can be launched. All arguments must outlive the object, but
  // for the Program, which is copied.
  Compiled(const ops::Program& program, const ops::ProgramLimits& limits, DeviceSlots& slots,
           DeviceWeights& weights, DeviceMemory::Mode mode);

  const ops::Program& program() const { return program_; }
  const ops::ProgramLimits& limits() const { return limits_; }
  std::size_t activation_bytes() const { return lowered_.activation_bytes; }
  std::size_t buffer_bytes() const { return memory_.bytes() - lowered_.activation_bytes; }

  void check(const step::RowBatch& rows) const;

  // Queues the launch on the stream and returns its number, for finish(). `rules` [slots] are those
  // of the slots as this launch finds them.
  std::int32_t launch(const step::RowBatch& rows, const std::vector<rules::SlotRules>& rules,
                      cudaStream_t stream);
  // Adds the seconds, the faults and the taps of a launch that has run.
  void finish(std::int32_t launch, step::StepOutput& output);
  // Gives the place of a launch free.
  void close(std::int32_t launch);

  const float* activation(ops::BufferId buffer, cudaStream_t stream);
  std::vector<StageTimes> stage_times() const;

 private:
  // A launch on its way; its place is a staging buffer of LaunchRows.
  struct OnItsWay {
    bool is_open = false;
    std::int32_t rows = 0;
    Event begin;
    Event end;
    PinnedBuffer faults;                // [max_rows]
    std::vector<step::TapOutput> taps;  // under trace
    std::vector<Event> step_ends;       // [steps] under profile
  };
  struct Captured {
    Bounds bounds;
    std::int32_t first_step = 0;
    std::int32_t last_step = 0;
    std::int32_t room = 0;  // DeviceSlots::max_draws() when it was captured
    Graph graph;
  };
  struct StageSum {
    std::uint64_t runs = 0;
    double seconds = 0.0;
  };

  std::int32_t open_launch();
  void check_rules(const step::RowBatch& rows, const std::vector<rules::SlotRules>& rules) const;
  Bounds bounds_of(const LaunchCounts& counts, const step::RowBatch& rows,
                   const std::vector<rules::SlotRules>& rules) const;
  std::int32_t step_at(std::int32_t part) const;
  void run_steps(const Bounds& bounds, std::int32_t first, std::int32_t last, cudaStream_t stream);
  void run_profiled(const Bounds& bounds, std::int32_t first, std::int32_t last, OnItsWay& launch,
                    cudaStream_t stream);
  const Graph& graph_of(const Bounds& bounds, std::int32_t first, std::int32_t last,
                        cudaStream_t stream);
  void keep_taps(const step::RowBatch& rows, OnItsWay& launch, cudaStream_t stream);
  void add_step_times(OnItsWay& launch);

  ops::Program program_;
  ops::ProgramLimits limits_;
  DeviceSlots& slots_;
  ops::BatchNeeds needs_;
  DeviceMemory memory_;
  std::uint32_t* faults_ = nullptr;  // [max_rows]
  LaunchRows rows_;
  std::byte* scratch_ = nullptr;
  Lowered lowered_;
  std::vector<OnItsWay> launches_;  // [LaunchRows::kStages]
  std::int32_t next_launch_ = 0;
  std::vector<Captured> graphs_;
  std::vector<StageSum> sums_;                      // [steps]
  mutable std::vector<std::vector<float>> copies_;  // of activations, for activation()
};

}  // namespace ttsrt::cuda
