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

/// How this machine's CPU multiplies matrices stored so, as in BuildOptions: "avx512_vnni: w8a8 by
/// vpdpbusd, in tiles of up to 8 rows by 48 outputs". TTSRT_CPU_ISA counts. Throws ConfigError for
/// names it doesn't know.
std::string describe_products(const std::string& dtype, const std::string& quantization);

}  // namespace ttsrt
