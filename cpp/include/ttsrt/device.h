// Devices an executor can run on.
#pragma once

#include <string>
#include <vector>

namespace ttsrt {

/// One place to run.
struct DeviceInfo {
  std::string name;         ///< what ExecutorOptions::device takes: "cpu", "reference"
  std::string description;  ///< for people: instruction set, cores
  bool available = false;
  std::string reason;  ///< why not, where unavailable
};

/// Every device this build knows, available or not. Thread safe.
std::vector<DeviceInfo> list_devices();

}  // namespace ttsrt
