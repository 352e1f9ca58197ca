// Several devices in one word: "cpu,cpu", "cuda:all".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ttsrt {

// The devices that are named, in their order; names are not looked at. A name that ends in ":all"
// becomes one name for each of `num_numbered` devices, "cuda:0", "cuda:1" and so on, and at least
// the first, so that opening it tells why there is none. Throws ConfigError for more than 64.
std::vector<std::string> split_devices(const std::string& devices, std::int32_t num_numbered);

}  // namespace ttsrt
