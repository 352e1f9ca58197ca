#include "cuda/devices.h"

#include <cuda_runtime_api.h>

#include "core/check.h"
#include "cuda/check.h"
#include "cuda/cuda_backend.h"
#include "cuda/launch.h"

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

// Why the library can't run on a GPU that is there; empty if it can.
std::string why_unusable(std::int32_t index) {
  const DeviceScope scope(index);
  if (has_kernels()) return "";
  return message("this build has no kernels for it (", describe_device(index),
                 "); set CMAKE_CUDA_ARCHITECTURES, of 80 or above");
}

}  // namespace

void require_device(std::int32_t index) {
  std::string reason;
  const std::int32_t count = count_devices(reason);
  TTSRT_CHECK(DeviceError, count > 0, "device cuda:", index, ": ", reason);
  TTSRT_CHECK(DeviceError, index >= 0 && index < count, "device cuda:", index, ": expected cuda:0",
              count > 1 ? message(" to cuda:", count - 1) : std::string(), ", as this machine has ",
              count, " GPUs");
  reason = why_unusable(index);
  TTSRT_CHECK(DeviceError, reason.empty(), "device cuda:", index, ": ", reason);
}

void use_device(std::int32_t index) { check(cudaSetDevice(index), "cudaSetDevice"); }

DeviceScope::DeviceScope(std::int32_t index) {
  check(cudaGetDevice(&before_), "cudaGetDevice");
  if (before_ != index) use_device(index);
}

DeviceScope::~DeviceScope() { static_cast<void>(cudaSetDevice(before_)); }

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

bool can_use_cuda() { return num_cuda_devices() > 0 && cuda::why_unusable(0).empty(); }

std::int32_t gpu_of(const void* address) {
  std::string reason;
  TTSRT_CHECK(DeviceError, cuda::count_devices(reason) > 0, "device cuda: ", reason);
  cudaPointerAttributes attributes{};
  const cudaError_t error = cudaPointerGetAttributes(&attributes, address);
  if (error != cudaSuccess) static_cast<void>(cudaGetLastError());
  const bool is_on_gpu = error == cudaSuccess && (attributes.type == cudaMemoryTypeDevice ||
                                                  attributes.type == cudaMemoryTypeManaged);
  TTSRT_CHECK(ConfigError, is_on_gpu, "expected the address of memory of a GPU, got ", address);
  return attributes.device;
}

void wait_for_cuda_stream(std::int32_t gpu, std::uintptr_t stream) {
  cuda::require_device(gpu);
  const cuda::DeviceScope scope(gpu);
  // The numbers 1 and 2 are cudaStreamLegacy and cudaStreamPerThread. A device is never waited for,
  // because that would break the capture of a graph on another thread.
  // Other libraries tell a stream by its number. NOLINTNEXTLINE(performance-no-int-to-ptr)
  auto* const writer = reinterpret_cast<cudaStream_t>(stream);
  cuda::check(cudaStreamSynchronize(writer), "the work that writes an input");
}

std::vector<DeviceInfo> list_cuda_devices() {
  std::string reason;
  const std::int32_t count = cuda::count_devices(reason);
  if (count == 0) return {{"cuda", "NVIDIA GPUs", false, reason}};
  std::vector<DeviceInfo> devices;
  for (std::int32_t i = 0; i < count; ++i) {
    const std::string why = cuda::why_unusable(i);
    devices.push_back({message("cuda:", i), cuda::describe_device(i), why.empty(), why});
  }
  return devices;
}

}  // namespace ttsrt
