#include "core/cgroup_quota.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

namespace ttsrt {
namespace {

// A mounted hierarchy of groups, or the part of one from the group `root` on.
struct Hierarchy {
  bool is_unified = false;  // version 2
  std::string root;
  std::string mount_point;
};

bool has_part(const std::string& list, const std::string& part) {
  std::istringstream parts(list);
  for (std::string each; std::getline(parts, each, ',');) {
    if (each == part) return true;
  }
  return false;
}

// The system writes spaces in paths as \040.
std::string unescaped(const std::string& text) {
  std::string path;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && text.find_first_not_of("01234567", i + 1) >= i + 4 &&
        i + 3 < text.size()) {
      path += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      path += text[i];
    }
  }
  return path;
}

std::vector<Hierarchy> mounted_hierarchies(const std::string& root) {
  std::vector<Hierarchy> found;
  std::ifstream lines(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(lines, line);) {
    const std::size_t separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    std::istringstream before(line.substr(0, separator));
    std::istringstream after(line.substr(separator + 3));
    std::string id;
    std::string parent;
    std::string device;
    std::string type;
    std::string source;
    std::string options;
    Hierarchy hierarchy;
    before >> id >> parent >> device >> hierarchy.root >> hierarchy.mount_point;
    after >> type >> source >> options;
    hierarchy.is_unified = type == "cgroup2";
    if (!hierarchy.is_unified && !(type == "cgroup" && has_part(options, "cpu"))) continue;
    hierarchy.root = unescaped(hierarchy.root);
    hierarchy.mount_point = unescaped(hierarchy.mount_point);
    found.push_back(hierarchy);
  }
  return found;
}

// This process's group in the hierarchies of one version; empty if it is in none.
std::string group_of_process(const std::string& root, bool is_unified) {
  std::ifstream lines(root + "/proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (is_unified ? controllers.empty() : has_part(controllers, "cpu"))
      return line.substr(second + 1);
  }
  return "";
}

// The group's path below the mount point; empty for a group that isn't below it, as in a container
// that sees only its own part.
std::string path_below(const Hierarchy& hierarchy, const std::string& group) {
  const std::string base = hierarchy.root == "/" ? "" : hierarchy.root;
  const bool is_below = group.size() > base.size() && group.compare(0, base.size(), base) == 0 &&
                        group[base.size()] == '/' && group.find("/..") == std::string::npos;
  const std::string path = is_below ? group.substr(base.size()) : "";
  return path == "/" ? "" : path;
}

template <typename Number>
std::optional<Number> read_number(std::istream& stream) {
  Number value = 0;
  if (stream >> value) return value;
  return std::nullopt;
}

// The quota of one group in cores; nothing without one.
std::optional<double> quota_of(const std::string& folder, bool is_unified) {
  std::optional<double> quota;
  std::optional<double> period;
  if (is_unified) {
    std::ifstream file(folder + "/cpu.max");  // "max 100000" or "150000 100000"
    quota = read_number<double>(file);
    if (quota) period = read_number<double>(file);
  } else {
    std::ifstream quota_file(folder + "/cpu.cfs_quota_us");  // -1 without a quota
    std::ifstream period_file(folder + "/cpu.cfs_period_us");
    quota = read_number<double>(quota_file);
    period = read_number<double>(period_file);
  }
  if (!quota || !period || !(*quota > 0) || !(*period > 0)) return std::nullopt;
  return *quota / *period;
}

}  // namespace

std::optional<std::int32_t> quota_cores(const std::string& root) {
  constexpr double kMost = 1 << 20;
  std::optional<double> least;
  for (const Hierarchy& hierarchy : mounted_hierarchies(root)) {
    const std::string group = group_of_process(root, hierarchy.is_unified);
    if (group.empty()) continue;
    // A parent's quota limits all groups below it.
    for (std::string path = path_below(hierarchy, group);; path.erase(path.find_last_of('/'))) {
      std::string folder = root;
      folder += hierarchy.mount_point;
      folder += path;
      const auto quota = quota_of(folder, hierarchy.is_unified);
      if (quota) least = std::min(least.value_or(kMost), *quota);
      if (path.empty()) break;
    }
  }
  if (!least) return std::nullopt;
  return std::max(1, static_cast<std::int32_t>(std::ceil(*least)));
}

}  // namespace ttsrt
