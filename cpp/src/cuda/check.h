// Turns errors of the CUDA runtime into DeviceError, with the call and what the runtime says.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "ttsrt/error.h"

namespace ttsrt::cuda {

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw DeviceError(std::string("cuda: ") + what + ": " + cudaGetErrorString(error));
}

// Called behind every kernel launch.
inline void check_launch(const char* kernel) { check(cudaGetLastError(), kernel); }

}  // namespace ttsrt::cuda
