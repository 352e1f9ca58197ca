// A Program on the device: its activations, its steps, the graphs that were captured of them, and
// the launches that are on their way.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cuda/bounds.h"
#include "cuda/device_memory.h"
#include "cuda/device_slots.h"
#include "cuda/device_weights.h"
#include "cuda/handles.h"
#include "cuda/launch_results.h"
#include "cuda/launch_rows.h"
#include "cuda/lowering.h"
#include "ops/backend.h"
#include "ops/check.h"

namespace ttsrt::cuda {

class Compiled {
 public:
  // With a mode that counts, nothing can be launched. All arguments must outlive the object, but
  // for the Program, which is copied. `lowerer` may be null.
  Compiled(const ops::Program& program, const ops::ProgramLimits& limits, DeviceSlots& slots,
           DeviceWeights& weights, DeviceMemory::Mode mode, Lowerer* lowerer);

  std::size_t activation_bytes() const { return lowered_.activation_bytes; }
  std::size_t buffer_bytes() const { return memory_.bytes() - lowered_.activation_bytes; }

  void check(const step::RowBatch& rows) const;

  // Makes the graphs of the launches that an executor makes (usual_bounds), in device memory, so
  // that these take none later. All Programs of the slots must be compiled. Throws CapacityError.
  void prepare(cudaStream_t stream);

  // Queues the launch on the stream and returns its number, for finish(). `slots` are as this
  // launch finds them.
  std::int32_t launch(const step::RowBatch& rows, const KnownSlots& slots, cudaStream_t stream);
  // Adds the seconds, the faults and the taps of a launch that has run, and sets its draws.
  void finish(std::int32_t launch, step::StepOutput& output);
  // Gives the place of a launch free.
  void close(std::int32_t launch);

  const float* activation(ops::BufferId buffer, cudaStream_t stream);
  std::vector<StageTimes> stage_times() const;

 private:
  // A launch that was not collected yet; its place is a staging buffer of LaunchRows.
  struct InFlight {
    explicit InFlight(LaunchResults of) : results(std::move(of)) {}

    bool is_open = false;
    std::int32_t rows = 0;
    LaunchResults results;
    PinnedBuffer emitted;  // [max_rows, values], where the Program emits rows
    bool has_emitted = false;
    std::vector<step::TapOutput> taps;  // under trace
    Event begin;                        // under profile
    std::vector<Event> step_ends;       // [steps] under profile
  };
  struct Captured {
    Bounds bounds;
    std::int32_t first_step = 0;
    std::int32_t last_step = 0;
    std::int32_t room = 0;  // DeviceSlots::max_draws() when it was captured
    Graph graph;
  };
  // Written by the thread that collects, and read by any.
  struct StageSum {
    std::atomic<std::uint64_t> runs{0};
    std::atomic<double> seconds{0.0};
  };

  std::int32_t open_launch();
  void queue(const step::RowBatch& rows, const KnownSlots& slots, std::int32_t index,
             cudaStream_t stream);
  void check_rules(const step::RowBatch& rows, const std::vector<rules::SlotRules>& rules) const;
  std::int32_t step_at(std::int32_t part) const;
  void begin(const Bounds& bounds, std::int32_t first, cudaStream_t stream) const;
  void give(const Bounds& bounds, cudaStream_t stream) const;
  bool can_capture(const Bounds& bounds, std::int32_t first, std::int32_t last) const;
  void run_empty(const Bounds& bounds, cudaStream_t stream);
  void run_steps(const Bounds& bounds, std::int32_t first, std::int32_t last, cudaStream_t stream);
  void run_parts(const Bounds& bounds, const step::RowBatch& rows, InFlight& launch,
                 cudaStream_t stream);
  void run_profiled(const Bounds& bounds, std::int32_t first, std::int32_t last, InFlight& launch,
                    cudaStream_t stream);
  void run_graph(const Bounds& bounds, std::int32_t first, std::int32_t last, cudaStream_t stream);
  const Graph& graph_of(const Bounds& bounds, std::int32_t first, std::int32_t last,
                        cudaStream_t stream);
  void queue_emitted(InFlight& launch, cudaStream_t stream);
  void read_emitted(const InFlight& launch, step::StepOutput& output) const;
  std::int64_t row_values(ops::BufferId buffer) const {  // for each row
    return program_.activations[static_cast<std::size_t>(buffer)].values();
  }
  void keep_taps(const step::RowBatch& rows, InFlight& launch, cudaStream_t stream);
  void add_step_times(InFlight& launch);

  ops::Program program_;
  ops::ProgramLimits limits_;
  DeviceSlots& slots_;
  ops::BatchNeeds needs_;
  ops::FinishStep finish_;  // of the Program; no codebooks: it has none
  bool finishes_blocks_ = false;
  bool convolves_ = false;  // over time
  BoundsLimits bounds_limits_;
  DeviceMemory memory_;
  std::uint32_t* faults_ = nullptr;  // [max_rows]
  LaunchRows rows_;
  std::byte* scratch_ = nullptr;
  Lowered lowered_;
  std::vector<InFlight> launches_;  // [kStages]
  std::int32_t next_launch_ = 0;
  std::vector<Captured> graphs_;
  std::vector<StageSum> sums_;              // [steps]
  std::vector<std::vector<float>> copies_;  // of activations, for activation()
};

}  // namespace ttsrt::cuda
