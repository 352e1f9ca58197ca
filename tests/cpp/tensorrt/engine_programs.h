// The Programs of a tiny model's engine, with the state and limits that an executor would have.
#pragma once

#include "model/engine_data.h"
#include "model/run_limits.h"
#include "ops/backend.h"
#include "support/tiny_engine.h"
#include "tensorrt/program_networks.h"

namespace ttsrt::tensorrt::test {

class EnginePrograms {
 public:
  explicit EnginePrograms(const Json& config, DType dtype = DType::float32, bool trace = false)
      : engine_(config, options_of(dtype)), opened_(Engine::open(engine_.path())) {
    const EngineData& data = *opened_.data();
    const model::Limits limits = model::executor_limits(data, {});
    state_ = data.family->state(limits, {data.info.dtype, 0});
    weights_ = data.weights.use();
    programs_ = data.family->programs(data.weights, limits, trace);
    std::int32_t index = 0;
    for (const model::FamilyProgram& of : programs_)
      limits_.push_back({of.max_rows, of.max_draws, trace, false, index++, of.max_segments});
  }

  std::size_t size() const { return programs_.size(); }
  const ops::Program& program(std::size_t i) const { return programs_[i].program; }
  ProgramNetworks networks(std::size_t i) const {
    return ProgramNetworks(program(i), limits_[i], state_);
  }
  const ops::StateSpec& state() const { return state_; }
  const ops::ProgramLimits& limits(std::size_t i) const { return limits_[i]; }
  std::size_t find(const std::string& name) const {
    for (std::size_t i = 0; i < size(); ++i) {
      if (programs_[i].name == name) return i;
    }
    throw InternalError("no Program " + name);
  }

 private:
  static BuildOptions options_of(DType dtype) {
    BuildOptions options;
    options.dtype = dtype;
    options.max_batch_size = 3;
    return options;
  }

  ttsrt::test::TinyEngine engine_;
  Engine opened_;
  ops::StateSpec state_;
  std::shared_ptr<const void> weights_;
  std::vector<model::FamilyProgram> programs_;
  std::vector<ops::ProgramLimits> limits_;
};

}  // namespace ttsrt::tensorrt::test
