// Turns errors of the CUDA runtime into DeviceError, with the call and what the runtime says, and a
// lack of memory, after which the device can be used on, into CapacityError.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "ttsrt/error.h"

namespace ttsrt::cuda {

// Throws CapacityError: what had no memory, what the device has free, and what to lower. Forgets
// the error of the runtime. `what` is a sentence without its end: "the graphs take more memory".
[[noreturn]] void throw_no_memory(const std::string& what);  // device_memory.cpp

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  if (error == cudaErrorMemoryAllocation) throw_no_memory(std::string(what) + " needs more memory");
  throw DeviceError(std::string("cuda: ") + what + ": " + cudaGetErrorString(error));
}

// Called behind every kernel launch.
inline void check_launch(const char* kernel) { check(cudaGetLastError(), kernel); }

}  // namespace ttsrt::cuda
