#include "core/memory_nodes.h"

#ifdef __linux__
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

namespace ttsrt {
namespace {

constexpr const char* kNodes = "/sys/devices/system/node";

// Returns the numbers of "0-3,8"; what is no such list ends it.
std::vector<std::int32_t> numbers_of(const std::string& list) {
  constexpr std::int32_t kMost = 1 << 16;
  std::vector<std::int32_t> numbers;
  std::istringstream stream(list);
  for (std::int32_t first = 0; stream >> first;) {
    std::int32_t last = first;
    if (stream.peek() == '-' && !(stream.ignore() >> last)) break;
    if (first < 0 || last > kMost) break;
    for (; first <= last; ++first) numbers.push_back(first);
    if (stream.peek() != ',') break;
    stream.ignore();
  }
  return numbers;
}

std::vector<std::int32_t> list_in(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return numbers_of(line);
}

}  // namespace

std::vector<std::int32_t> nodes_of_cores(const std::vector<std::int32_t>& cores,
                                         const std::string& root) {
  std::vector<std::int32_t> nodes;
  for (const std::int32_t node : list_in(root + kNodes + "/online")) {
    const std::vector<std::int32_t> own =
        list_in(root + kNodes + "/node" + std::to_string(node) + "/cpulist");
    const bool is_used = std::any_of(own.begin(), own.end(), [&cores](std::int32_t core) {
      return std::find(cores.begin(), cores.end(), core) != cores.end();
    });
    if (is_used) nodes.push_back(node);
  }
  return nodes;
}

bool spread_over_nodes([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes,
                       const std::vector<std::int32_t>& nodes) {
  if (nodes.size() < 2) return false;
#if defined(__linux__) && defined(SYS_mbind) && defined(SYS_get_mempolicy)
  constexpr std::size_t kMostNodes = 1024;
  constexpr std::size_t kBits = std::numeric_limits<unsigned long>::digits;
  unsigned long mask[kMostNodes / kBits] = {};
  int policy = MPOL_DEFAULT;
  if (::syscall(SYS_get_mempolicy, &policy, nullptr, 0, nullptr, 0) != 0 || policy != MPOL_DEFAULT)
    return false;
  for (const std::int32_t node : nodes) {
    const auto at = static_cast<std::size_t>(node);
    if (at < kMostNodes) mask[at / kBits] |= 1UL << (at % kBits);
  }
  return ::syscall(SYS_mbind, data, bytes, MPOL_INTERLEAVE, mask, kMostNodes, 0) == 0;
#else
  return false;
#endif
}

}  // namespace ttsrt
