// How many cores the CPU quota of this process's control groups allows: containers limit their CPU
// time by it, and leave all cores of the machine visible.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ttsrt {

// Returns the smallest quota along the path of this process's groups, in cores, rounded up; nothing
// if there is no quota. Both versions of control groups are read. `root` stands before all paths,
// for tests.
std::optional<std::int32_t> quota_cores(const std::string& root = "");

}  // namespace ttsrt
