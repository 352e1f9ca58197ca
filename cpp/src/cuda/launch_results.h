// The results of a launch, in pinned memory of the host that the kernels of the launch write:
// times, faults, and the outcome of its draws.
#pragma once

#include <cstdint>

#include "cuda/bounds.h"
#include "cuda/device_memory.h"
#include "cuda/views.h"
#include "ops/backend.h"
#include "step/output.h"

namespace ttsrt::cuda {

class LaunchResults {
 public:
  LaunchResults(const ops::StateSpec& spec, std::int32_t max_rows, std::int32_t max_draws);

  // For the kernels.
  ResultsView view() const { return view_at(memory_.on_device<std::byte>()); }

  // Begins a launch with so many draws.
  void start(const LaunchCounts& counts) {
    draws_ = counts.draws;
    keeps_scores_ = counts.keeps_scores;
    tells_logprobs_ = counts.tells_logprobs;
  }

  // Once the launch has run.
  double seconds() const;
  const std::uint32_t* faults() const { return view_at(memory_.as<std::byte>()).faults; }
  // Sets codes, draws, scores and logarithms of probabilities, if the launch has draws.
  void read_draws(step::StepOutput& output) const;

 private:
  void read_logprobs(const DrawLogprobs* from, step::StepOutput& output) const;
  ResultsView view_at(std::byte* memory) const;

  std::int64_t max_rows_;
  std::int64_t max_draws_;
  std::int64_t codebooks_;
  std::int64_t max_text_len_;
  std::int64_t max_logprobs_;  // draws
  PinnedBuffer memory_;
  std::int32_t draws_ = 0;
  bool keeps_scores_ = false;
  bool tells_logprobs_ = false;
};

}  // namespace ttsrt::cuda
