// Devices an executor can run on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ttsrt/export.h"

namespace ttsrt {

/// One device.
struct DeviceInfo {
  std::string name;         ///< the value for ExecutorOptions::device: "cpu", "cuda:0", "reference"
  std::string description;  ///< for people: instruction set, cores
  bool available = false;
  std::string reason;  ///< why the device is unavailable, if it is
};

/// Returns every device that this build knows, available or not. Thread safe.
TTSRT_API std::vector<DeviceInfo> list_devices();

/// Returns the index of the GPU in whose memory `address` lies (InputRows::on_gpu). Throws
/// ConfigError if it lies in none, DeviceError where this build or machine can't use GPUs.
TTSRT_API std::int32_t gpu_of(const void* address);

/// Waits until the work that was queued on a stream of a GPU has ended. `stream` is a cudaStream_t:
/// 0 or 1 for the default stream, which waits for all streams that weren't created as non-blocking,
/// and 2 for that of this thread. Throws DeviceError.
TTSRT_API void wait_for_cuda_stream(std::int32_t gpu, std::uintptr_t stream);

/// Returns the number of cores that this process may use, at least 1: those of its affinity mask,
/// or fewer if the CPU quota of its control groups (a container's limit) allows fewer, rounded up.
/// It is the default number of threads. Thread safe.
TTSRT_API std::int32_t usable_cores();

/// Describes how this machine's CPU multiplies matrices stored with these BuildOptions:
/// "avx512_vnni: w8a8 by vpdpbusd, in tiles of up to 8 rows by 48 outputs". The environment
/// variable TTSRT_CPU_ISA has an effect. Throws ConfigError for unknown names.
TTSRT_API std::string describe_products(const std::string& dtype, const std::string& quantization);

}  // namespace ttsrt
