// Stands for the CUDA backend in builds without it.
#include "cuda/cuda_backend.h"
#include "ttsrt/error.h"

namespace ttsrt {
namespace {

constexpr const char* kReason =
    "this build has no CUDA backend; install it with TTSRT_CUDA=ON, which needs nvcc: "
    "pip install . -C cmake.define.TTSRT_CUDA=ON";

}  // namespace

std::unique_ptr<ops::Backend> make_cuda_backend(std::int32_t) {
  throw DeviceError(std::string("device cuda: ") + kReason);
}

std::vector<DeviceInfo> list_cuda_devices() { return {{"cuda", "NVIDIA GPUs", false, kReason}}; }

std::int32_t num_cuda_devices() { return 0; }

bool can_use_cuda() { return false; }

std::int32_t gpu_of(const void*) { throw DeviceError(std::string("device cuda: ") + kReason); }

void wait_for_cuda_stream(std::int32_t, std::uintptr_t) {
  throw DeviceError(std::string("device cuda: ") + kReason);
}

}  // namespace ttsrt
