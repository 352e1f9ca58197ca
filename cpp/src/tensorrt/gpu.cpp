#include "tensorrt/gpu.h"

#include <cuda_runtime_api.h>

#include "cuda/check.h"

namespace ttsrt::tensorrt {

Gpu current_gpu() {
  int index = 0;
  cuda::check(cudaGetDevice(&index), "cudaGetDevice");
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  return {properties.name, 10 * properties.major + properties.minor};
}

}  // namespace ttsrt::tensorrt
