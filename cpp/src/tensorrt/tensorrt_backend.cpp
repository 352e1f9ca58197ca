#include "tensorrt/tensorrt_backend.h"

#include <utility>

#include "core/check.h"
#include "cuda/cuda_backend.h"
#include "cuda/devices.h"
#include "tensorrt/engine_plans.h"
#include "tensorrt/plan_lowering.h"

namespace ttsrt {

std::unique_ptr<ops::Backend> make_tensorrt_backend(std::int32_t index, const EngineData& engine) {
  try {
    cuda::require_device(index);  // before anything is asked of TensorRT
  } catch (const DeviceError& problem) {
    throw DeviceError(message("device tensorrt:", index, ": ", problem.what()));
  }
  const cuda::DeviceScope scope(index);
  auto lowering =
      std::make_unique<tensorrt::PlanLowering>(engine.path, tensorrt::weights_hash(engine));
  const std::string what = lowering->description() + " on ";
  return make_lowered_backend(index, std::move(lowering), "tensorrt", what);
}

}  // namespace ttsrt
