#include "tensorrt/engine_plans.h"

#include "core/sha256.h"
#include "cuda/devices.h"
#include "model/engine_data.h"
#include "model/run_limits.h"
#include "tensorrt/build_plans.h"
#include "tensorrt/plan_options.h"
#include "ttsrt/tensorrt.h"

namespace ttsrt {
namespace {

// The Programs of a family, and the records that point to them.
class Programs {
 public:
  Programs(const EngineData& engine, const model::Limits& limits)
      : engine_(engine), limits_(limits) {}

  void add(bool trace, std::vector<ops::SizedProgram>& sized) {
    written_.push_back(engine_.family->programs(engine_.weights, limits_, trace));
    std::int32_t index = 0;
    for (const model::FamilyProgram& of : written_.back())
      sized.push_back(
          {&of.program, {of.max_rows, of.max_draws, trace, false, index++, of.max_segments}});
  }

 private:
  const EngineData& engine_;
  const model::Limits limits_;
  std::vector<std::vector<model::FamilyProgram>> written_;
};

}  // namespace

std::string tensorrt::weights_hash(const EngineData& engine) {
  Sha256 hash;
  const auto add = [&hash](const std::string& text) {
    hash.update(reinterpret_cast<const std::byte*>(text.data()), text.size() + 1);  // with its end
  };
  for (const EngineTensor& tensor : engine.weights.tensors()) {
    add(tensor.name);
    add(tensor.sha256);
  }
  return hash.hex_digest();
}

void build_plans(const std::string& engine_dir, const PlanOptions& options,
                 const BuildProgress& progress, const std::atomic<bool>* stop) {
  tensorrt::check_plan_options(options);
  const Engine engine = Engine::open(engine_dir);
  const EngineData& data = *engine.data();
  const model::Limits limits = model::executor_limits(data, {});
  tensorrt::PlannedPrograms of;
  of.engine_dir = engine_dir;
  of.weights = tensorrt::weights_hash(data);
  of.state = data.family->state(limits, {model::cache_dtype_of("", data.info.dtype), 0});
  model::check_device(of.state, "tensorrt");
  of.max_batch_size = limits.max_batch_size;
  of.max_num_tokens = limits.max_num_tokens;
  Programs programs(data, limits);
  programs.add(false, of.programs);
  if (options.enable_debug_output) programs.add(true, of.programs);
  const auto weights = data.weights.use();
  cuda::require_device(options.device);
  const cuda::DeviceScope scope(options.device);
  tensorrt::build_plans(of, options, progress, stop);
}

}  // namespace ttsrt
