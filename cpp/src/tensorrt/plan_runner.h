// The plan of a Program, its contexts, and what is bound to it.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cuda/lowering.h"
#include "tensorrt/plan_folder.h"
#include "tensorrt/program_networks.h"

namespace ttsrt::tensorrt {

// What a launch may have, as a network was written for it.
struct LaunchNeeds {
  bool has_single_rows = false;  // only
  std::int32_t most_passes = 0;  // of MaskGit
};

class PlanRunner {
 public:
  // Addresses are asked for as a context is made: those of draws are known only then.
  using Addresses = std::function<std::vector<std::pair<std::string, void*>>()>;

  PlanRunner(std::string name, std::unique_ptr<Plan> plan, std::vector<RowRange> ranges,
             Addresses addresses, LaunchNeeds needs, std::byte** scratch, bool keeps_times);

  void run(const cuda::Bounds& bounds, cudaStream_t stream);
  bool has_run(const cuda::Bounds& bounds) const;
  void add_times(std::vector<StageTimes>& times) const;  // any thread may ask

 private:
  struct Made {
    std::int32_t rows = 0;
    std::unique_ptr<Context> context;
  };

  Context* find(std::int32_t rows) const;
  Context& make(std::int32_t rows, cudaStream_t stream);
  std::int32_t range_of(std::int32_t rows) const;

  std::string name_;
  std::unique_ptr<Plan> plan_;
  std::vector<RowRange> ranges_;
  Addresses addresses_;
  LaunchNeeds needs_;
  std::byte** scratch_;
  bool keeps_times_;
  mutable std::mutex mutex_;    // of the list, for add_times()
  std::vector<Made> contexts_;  // for each number of rows
};

// Throws InternalError unless a plan has exactly these tensors.
void check_tensors(const std::string& name, const Plan& plan, const std::vector<Binding>& bindings);

}  // namespace ttsrt::tensorrt
