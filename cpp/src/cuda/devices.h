// The GPUs of this machine.
#pragma once

#include <cstdint>
#include <string>

namespace ttsrt::cuda {

// Throws DeviceError, with the reason, unless the device can be used.
void require_device(std::int32_t index);

// Makes the device the current one of this thread.
void use_device(std::int32_t index);

// Does so until the end of its scope; threads of the application keep their own device.
class DeviceScope {
 public:
  explicit DeviceScope(std::int32_t index);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  std::int32_t before_ = 0;
};

// "NVIDIA H200, sm_90, 132 multiprocessors, 139 GiB".
std::string describe_device(std::int32_t index);

}  // namespace ttsrt::cuda
