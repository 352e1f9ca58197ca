// The memory nodes (NUMA) of a machine, by the kernel's own interface: sysfs and system calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ttsrt {

// Returns the nodes that these cores belong to, in ascending order; none where the system does not
// tell. Nodes that have memory but no cores are not among them. `root` stands before all paths, for
// tests.
std::vector<std::int32_t> nodes_of_cores(const std::vector<std::int32_t>& cores,
                                         const std::string& root = "");

// Lets pages that are not there yet come from these nodes in turn, each huge page from one of them.
// Fewer than two nodes, and a process for which a policy was chosen (numactl), change nothing.
// Whether it was done.
bool spread_over_nodes(void* data, std::size_t bytes, const std::vector<std::int32_t>& nodes);

}  // namespace ttsrt
