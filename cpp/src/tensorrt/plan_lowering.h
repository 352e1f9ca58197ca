// Programs as steps of the CUDA backend that run plans. The first part of a Program is all of its
// plan, and the others are steps that do nothing.
//
// Pools, tables, slots, results and graphs are the backend's. A context is made for each number of
// rows that graphs are captured for, and its first launch, which TensorRT needs outside of any
// capture, runs over no rows as an executor starts.
#pragma once

#include <memory>
#include <string>

#include "cuda/lowering.h"
#include "tensorrt/plan_folder.h"

namespace ttsrt::tensorrt {

class PlanLowering final : public cuda::Lowerer {
 public:
  // The current device runs the plans. `weights` is the hash of the engine's. Throws as read_plans
  // and open_driver, and ConfigError for plans of another GPU, TensorRT, library or engine.
  PlanLowering(const std::string& engine_dir, const std::string& weights);

  bool takes(const ops::Program& program) const override;
  // Throws ConfigError where the plans were built for another network: for other limits, types, or
  // without what a trace keeps.
  cuda::Lowered lower(const ops::Program& program, const ops::ProgramLimits& limits,
                      const cuda::Site& site) override;
  std::size_t weight_bytes(const ops::Program& program) const override;
  std::string description() const;  // "TensorRT 8.6.0"

 private:
  const PlanRecord& record_of(const class ProgramNetworks& networks) const;

  std::string folder_;
  PlanDescription plans_;
  std::shared_ptr<Driver> driver_;
};

}  // namespace ttsrt::tensorrt
