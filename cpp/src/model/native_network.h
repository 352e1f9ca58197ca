// A network that runs Programs on a Backend: one Executable per row class, run in the order of
// RowClass.
#pragma once

#include <array>
#include <memory>

#include "model/engine_data.h"
#include "model/network.h"
#include "ops/backend.h"

namespace ttsrt::model {

struct NetworkOptions {
  Limits limits;  // the executor's, at most the engine's
  DType cache_dtype = DType::float32;
  std::int32_t cache_positions = 0;  // of the paged cache; 0: every slot's worst case
  bool profile = false;
  bool trace = false;
};

class NativeNetwork final : public Network {
 public:
  // Compiles every Program the model has. The engine's mapping must outlive the network.
  NativeNetwork(const EngineData& engine, std::unique_ptr<ops::Backend> backend,
                const NetworkOptions& options);

  const NetworkInfo& info() const override { return info_; }
  void adopt_thread() override { backend_->adopt_thread(); }
  Ticket launch(const step::StepBatch& batch) override;
  const step::StepOutput& collect(Ticket ticket) override;
  std::vector<StageTimes> stage_times() const override;

 private:
  void compile(step::RowClass row_class, const ops::Program& program, std::int32_t max_rows,
               std::int32_t max_draws);
  void queue(const step::StepBatch& batch);

  NetworkInfo info_;
  bool profile_ = false;
  bool trace_ = false;
  std::unique_ptr<ops::Backend> backend_;
  std::array<std::unique_ptr<ops::Executable>, step::kRowClasses>
      classes_;  // null: the model has no such class
  step::StepOutput output_;
};

}  // namespace ttsrt::model
