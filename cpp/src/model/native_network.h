// A network that runs a family's Programs on a Backend, one Executable each. It knows no family.
#pragma once

#include <memory>
#include <vector>

#include "model/engine_data.h"
#include "model/memory_fit.h"
#include "model/network.h"
#include "ops/backend.h"

namespace ttsrt::model {

struct NetworkOptions {
  Limits limits;  // the executor's, at most the engine's
  StateOptions state;
  CacheShare cache;
  bool profile = false;
  bool trace = false;
};

class NativeNetwork final : public Network {
 public:
  // Reads the weights and compiles every Program the model has. Throws as fitted_state, and
  // CapacityError before anything is allocated if the device has too little memory.
  NativeNetwork(const EngineData& engine, std::unique_ptr<ops::Backend> backend,
                const NetworkOptions& options);

  const NetworkInfo& info() const override { return info_; }
  void adopt_thread() override { backend_->adopt_thread(); }
  Ticket launch(const step::StepBatch& batch) override;
  const step::StepOutput& collect(Ticket ticket) override;
  std::vector<StageTimes> stage_times() const override;

 private:
  void compile(const FamilyProgram& program, const ops::ProgramLimits& limits, bool has_schedules);
  void queue(const step::StepBatch& batch);
  void reserve_rows(const FamilyProgram& of, std::size_t index);

  NetworkInfo info_;
  bool profile_ = false;
  bool trace_ = false;
  std::shared_ptr<const void> weights_;  // in memory while the network reads them there
  std::unique_ptr<ops::Backend> backend_;
  std::vector<std::unique_ptr<ops::Executable>> executables_;  // [programs]
  step::StepOutput output_;
};

}  // namespace ttsrt::model
