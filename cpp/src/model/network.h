// What the executor knows of a model: it takes a StepBatch and, asynchronously, gives a StepOutput.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "step/batch.h"
#include "step/facts.h"
#include "step/itinerary.h"
#include "step/output.h"
#include "ttsrt/stats.h"
#include "ttsrt/tensor.h"

namespace ttsrt::model {

struct NetworkInfo {
  std::string device;
  std::string description;
  std::int32_t pipeline_depth = 1;  // launches that may be in flight
  bool takes_token_rules = false;   // itineraries may have step::TokenRules
  DType cache_dtype = DType::float32;
  std::int32_t slots = 0;
  std::int32_t paused_slots = 0;  // of these, as many belong to paused requests at most
  std::int32_t num_blocks = 0;    // of the paged cache
  std::int32_t block_size = 0;    // positions
  step::Facts facts;
  std::vector<step::ProgramInfo> programs;  // in the order they run in
  std::size_t weight_bytes = 0;             // of its own copy; 0: it reads the engine's on the host
  std::size_t state_bytes = 0;
  std::size_t activation_bytes = 0;
  std::size_t scratch_bytes = 0;
  // Of the device's memory: what prepared launches took, as measured, and what was free at the end.
  std::size_t graph_bytes = 0;
  std::size_t free_bytes = 0;  // 0: the device is the host
};

using Ticket = std::uint64_t;

class Network {
 public:
  virtual ~Network() = default;
  virtual const NetworkInfo& info() const = 0;
  // As Backend::adopt_thread.
  virtual void adopt_thread() {}
  // Queues a launch. The batch must stay put until its ticket is collected, and at most
  // pipeline_depth launches may be open. Neither waits nor allocates.
  virtual Ticket launch(const step::StepBatch& batch) = 0;
  // Waits for a launch; tickets are collected in the order they were given. The output is valid
  // until the next collect.
  virtual const step::StepOutput& collect(Ticket ticket) = 0;
  // Where launches spent their time, where that is kept. Any thread may ask.
  virtual std::vector<StageTimes> stage_times() const { return {}; }
};

}  // namespace ttsrt::model
