// A Program as calls of plugins, and as launches of what TensorRT has layers for: norms, products
// and gates.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "bound_plugin.h"
#include "cuda/device_memory.h"
#include "cuda/device_slots.h"
#include "cuda/device_weights.h"
#include "cuda/lowering.h"
#include "ops/program.h"

namespace ttsrt::plugins::test {

// A launch: the extent R, and whether every segment is one row that continues no other.
struct LaunchShape {
  std::int32_t rows = 0;
  bool has_single_rows = false;

  bool operator==(const LaunchShape&) const = default;
};
using PluginStep = std::function<void(const LaunchShape&, cudaStream_t)>;

// Most passes of MaskGit that the tests' requests make.
constexpr std::int32_t kMostPasses = 8;

// What the plugins of a Program bind.
struct PluginSite {
  const BoundPlugin::Common& common;
  cuda::DeviceSlots& slots;
  cuda::DeviceWeights& weights;
  cuda::DeviceMemory& memory;          // of the Program
  const std::vector<float*>& buffers;  // [activations]
  cuda::RowsView rows;
  std::uint32_t* faults = nullptr;  // [max_rows]
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;
  bool clears_at_begin = false;  // BeginLaunch clears the scores, and no ClearScores does
};

class PluginLowering {
 public:
  PluginLowering(const ops::Program& program, const PluginSite& site)
      : program_(program), site_(site), rows_{program, site.buffers, num_rows()} {}

  // Throws ConfigError for what the plugins do not offer.
  std::vector<PluginStep> run();
  // Those that BeginLaunch is to clear, if any: a Program has them once.
  std::optional<float*> cleared_scores() const { return cleared_scores_; }
  const std::vector<std::shared_ptr<const BoundPlugin>>& plugins() const { return plugins_; }

 private:
  void lower(const ops::EmbedRows& op);
  void lower(const ops::Norm& op);
  void lower(const ops::Linear& op);
  void lower(const ops::Gate& op);
  void lower(const ops::Unfold& op);
  void lower(const ops::SelfAttention& op);
  void lower(const ops::StoreMemory& op);
  void lower(const ops::CrossAttention& op);
  void lower(const ops::StoreContext& op);
  void lower(const ops::ClearScores& op);
  void lower(const ops::UpdatePrior& op);
  void lower(const ops::SampleCodes& op);
  void lower(const ops::PickCodes& op);
  void lower(const ops::FinishStep& op);
  // Of whole items (item_lowering.cpp).
  void lower(const ops::LoadRows& op);
  void lower(const ops::ModulatedNorm& op);
  void lower(const ops::AddModulated& op);
  void lower(const ops::GroupedConv& op);
  void lower(const ops::FlowStep& op);
  void lower(const ops::SaveRows& op);
  void lower(const ops::StoreSchedule& op);
  template <class Op>
  void lower(const Op&) {
    throw ConfigError("the plugins have no such op");
  }

  std::shared_ptr<const BoundPlugin> bound(PluginCall call);  // with the words of the op's faults
  void add(PluginCall call);
  // The fields of a memory of cross-attention.
  Fields memory_fields(std::int32_t layer, ops::Memory memory, std::int32_t heads,
                       std::int32_t head_dim) const;
  Addresses memory_address() const;
  Fields schedule_fields(std::int32_t width) const;
  void add_copy(const float* from, float* to, std::size_t width);
  const void* table(const ops::Weight& weight, cuda::Element element);
  float* buffer(ops::BufferId id) const { return rows_.buffer(id); }
  std::int32_t width_of(ops::BufferId id) const {
    return static_cast<std::int32_t>(rows_.width_of(id));
  }

  const std::int32_t* num_rows() const {
    static_assert(static_cast<std::int32_t>(cuda::Count::rows) == 0);
    return static_cast<const std::int32_t*>(site_.common.addresses.at("launch"));
  }

  const ops::Program& program_;
  const PluginSite site_;
  const cuda::RowBuffers rows_;
  std::optional<float*> cleared_scores_;
  std::size_t op_ = 0;
  Addresses head_scores_;  // shared by all layers
  std::vector<PluginStep> steps_;
  std::vector<std::shared_ptr<const BoundPlugin>> plugins_;
};

}  // namespace ttsrt::plugins::test
