#include "core/device_list.h"

#include <algorithm>
#include <string_view>

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt {
namespace {

constexpr std::size_t kMostDevices = 64;
constexpr std::string_view kAll = ":all";

void append(const std::string& name, std::int32_t num_numbered, std::vector<std::string>& to) {
  if (!name.ends_with(kAll)) {
    to.push_back(name);
    return;
  }
  const std::string kind = name.substr(0, name.size() - kAll.size()) + ":";
  for (std::int32_t i = 0; i < std::max(num_numbered, 1); ++i)
    to.push_back(kind + std::to_string(i));
}

}  // namespace

std::vector<std::string> split_devices(const std::string& devices, std::int32_t num_numbered) {
  std::vector<std::string> names;
  for (std::size_t first = 0; first <= devices.size();) {
    const std::size_t end = std::min(devices.find(',', first), devices.size());
    append(devices.substr(first, end - first), num_numbered, names);
    first = end + 1;
    TTSRT_CHECK(ConfigError, names.size() <= kMostDevices, "device: expected at most ",
                kMostDevices, " devices, got ", in_quotes(devices));
  }
  return names;
}

}  // namespace ttsrt
