// A Program whose launches are plugins behind one adapter, from BeginLaunch to GiveResults, over
// tensors that it binds as a runner does.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bound_plugin.h"
#include "cuda/device_memory.h"
#include "cuda/device_slots.h"
#include "cuda/device_weights.h"
#include "cuda/handles.h"
#include "cuda/launch_rows.h"
#include "ops/backend.h"
#include "ops/check.h"
#include "plugin_lowering.h"

namespace ttsrt::plugins::test {

struct PluginSetup {
  const Harness* harness = nullptr;
  // Launches are captured in graphs, of which each serves all launches of its extent; BeginLaunch
  // clears the scores. Else plugins are called one by one, and ClearScores does.
  bool is_captured = false;
  // Counting, everything but the launches works without a device.
  cuda::DeviceMemory::Mode mode = cuda::DeviceMemory::Mode::take;
};

class PluginProgram {
 public:
  // All but the Program must outlive the object.
  PluginProgram(const ops::Program& program, const ops::ProgramLimits& limits,
                cuda::DeviceSlots& slots, cuda::DeviceWeights& weights, const PluginSetup& setup);

  // Asks every plugin for its outputs of a launch of so many rows, as TensorRT does before it runs
  // one; the kinds, in order. Needs no device.
  std::vector<std::string> configure(std::int32_t rows) const;

  void check(const step::RowBatch& rows) const;
  // `rules` [slots] are those of the slots as the launch finds them.
  void launch(const step::RowBatch& rows, const std::vector<rules::SlotRules>& rules,
              cudaStream_t stream);
  // Adds what GiveResults gave, once the launch has run.
  void finish(step::StepOutput& output) const;

  const float* activation(ops::BufferId buffer) const;
  std::size_t activation_bytes() const { return activation_bytes_; }

 private:
  // What GiveResults writes, of both stages.
  struct Given {
    cuda::PinnedBuffer times, faults, draws, codes, scores;
  };
  struct Captured {
    LaunchShape shape;
    cuda::Graph graph;
  };

  void take_activations();
  BoundPlugin::Common common(const Harness& harness);
  void take_given(Addresses& addresses);
  void run_steps(const LaunchShape& shape, cudaStream_t stream) const;
  void run_graph(const LaunchShape& shape, cudaStream_t stream);
  std::int32_t draws() const { return limits_.max_draws > 1 ? limits_.max_draws : 1; }
  std::int64_t rows_of(const ops::Activation& activation) const {
    return activation.space == ops::RowSpace::rows ? limits_.max_rows : draws();
  }

  const ops::Program program_;
  const ops::ProgramLimits limits_;
  const bool is_captured_;
  cuda::DeviceSlots& slots_;
  const ops::BatchNeeds needs_;
  cuda::DeviceMemory memory_;
  cuda::LaunchRows rows_;
  std::uint32_t* faults_ = nullptr;  // [max_rows]
  Given given_;
  std::vector<float*> buffers_;  // [activations]
  std::size_t activation_bytes_ = 0;
  std::vector<PluginStep> steps_;
  std::vector<std::shared_ptr<const BoundPlugin>> plugins_;
  std::vector<Captured> graphs_;
  std::int32_t stage_ = cuda::kStages - 1;  // of the newest launch
  std::int32_t launched_rows_ = 0;
  std::int32_t launched_draws_ = 0;
  bool keeps_scores_ = false;
  mutable std::vector<std::vector<float>> copies_;  // of activations
};

}  // namespace ttsrt::plugins::test
