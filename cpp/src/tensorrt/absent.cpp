// Stands for the TensorRT backend in builds without CUDA.
#include "tensorrt/plan_options.h"
#include "tensorrt/tensorrt_backend.h"
#include "ttsrt/error.h"
#include "ttsrt/tensorrt.h"

namespace ttsrt {
namespace {

constexpr const char* kReason =
    "device tensorrt: this build has no CUDA backend, which it needs; install it with "
    "TTSRT_CUDA=ON, TTSRT_PLUGINS=ON and TensorRT_ROOT, a folder with TensorRT's headers";

}  // namespace

std::unique_ptr<ops::Backend> make_tensorrt_backend(std::int32_t, const EngineData&) {
  throw DeviceError(kReason);
}

void build_plans(const std::string&, const PlanOptions& options, const BuildProgress&,
                 const std::atomic<bool>*) {
  tensorrt::check_plan_options(options);
  throw DeviceError(kReason);
}

}  // namespace ttsrt
