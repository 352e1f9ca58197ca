#include "cuda/devices.h"

#include <cuda_runtime_api.h>

#include "core/check.h"
#include "cuda/check.h"
#include "cuda/cuda_backend.h"

namespace ttsrt::cuda {
namespace {

// The number of GPUs, and why there is none.
std::int32_t count_devices(std::string& reason) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    reason = cudaGetErrorString(error);
    return 0;
  }
  if (count == 0) reason = "there is no NVIDIA GPU";
  return count;
}

}  // namespace

void require_device(std::int32_t index) {
  std::string reason;
  const std::int32_t count = count_devices(reason);
  TTSRT_CHECK(DeviceError, count > 0, "device cuda:", index, ": ", reason);
  TTSRT_CHECK(DeviceError, index >= 0 && index < count, "device cuda:", index, ": expected cuda:0",
              count > 1 ? message(" to cuda:", count - 1) : std::string(), ", as this machine has ",
              count, " GPUs");
}

void use_device(std::int32_t index) { check(cudaSetDevice(index), "cudaSetDevice"); }

std::string describe_device(std::int32_t index) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  return message(properties.name, ", sm_", properties.major, properties.minor, ", ",
                 properties.multiProcessorCount, " multiprocessors, ",
                 properties.totalGlobalMem >> 30, " GiB");
}

}  // namespace ttsrt::cuda

namespace ttsrt {

std::int32_t num_cuda_devices() {
  std::string reason;
  return cuda::count_devices(reason);
}

std::vector<DeviceInfo> list_cuda_devices() {
  std::string reason;
  const std::int32_t count = cuda::count_devices(reason);
  if (count == 0) return {{"cuda", "NVIDIA GPUs", false, reason}};
  std::vector<DeviceInfo> devices;
  for (std::int32_t i = 0; i < count; ++i)
    devices.push_back({message("cuda:", i), cuda::describe_device(i), true, ""});
  return devices;
}

}  // namespace ttsrt
