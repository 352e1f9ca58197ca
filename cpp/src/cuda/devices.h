// The GPUs of this machine.
#pragma once

#include <cstdint>
#include <string>

namespace ttsrt::cuda {

// Throws DeviceError, with the reason, unless the device can be used.
void require_device(std::int32_t index);

// Makes the device the current one of this thread.
void use_device(std::int32_t index);

// "NVIDIA H200, sm_90, 132 multiprocessors, 139 GiB".
std::string describe_device(std::int32_t index);

}  // namespace ttsrt::cuda
