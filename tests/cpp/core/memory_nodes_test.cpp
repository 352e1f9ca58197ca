// Nodes of made-up machines.
#include "core/memory_nodes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <vector>

#include "core/thread_team.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;

using Numbers = std::vector<std::int32_t>;

class MemoryNodes : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::string file = folder_.file("sys/devices/system/node/" + path);
    fs::create_directories(fs::path(file).parent_path());
    test::write_file(file, text);
  }
  Numbers nodes_of(const Numbers& cores) { return nodes_of_cores(cores, folder_.path()); }

  test::TempDir folder_;
};

TEST_F(MemoryNodes, NothingIsTold) { EXPECT_EQ(nodes_of({0, 1}), Numbers{}); }

TEST_F(MemoryNodes, OneNode) {
  write("online", "0\n");
  write("node0/cpulist", "0-1\n");
  EXPECT_EQ(nodes_of({0, 1}), Numbers{0});
  EXPECT_EQ(nodes_of({2}), Numbers{});
}

// Two sockets with two threads per core, and memory without cores.
TEST_F(MemoryNodes, OnlyThoseOfTheCores) {
  write("online", "0-2\n");
  write("node0/cpulist", "0-7,16-23\n");
  write("node1/cpulist", "8-15,24-31\n");
  write("node2/cpulist", "\n");
  EXPECT_EQ(nodes_of({0, 1, 2, 3}), Numbers{0});
  EXPECT_EQ(nodes_of({20}), Numbers{0});
  EXPECT_EQ(nodes_of({24, 9}), Numbers{1});
  EXPECT_EQ(nodes_of({7, 8}), (Numbers{0, 1}));
  EXPECT_EQ(nodes_of({}), Numbers{});
}

// Nodes that are off have no folder, and those that are on need not follow each other.
TEST_F(MemoryNodes, NumbersHaveGaps) {
  write("online", "0,8\n");
  write("node0/cpulist", "0-3\n");
  write("node8/cpulist", "4-7\n");
  EXPECT_EQ(nodes_of({3, 4}), (Numbers{0, 8}));
}

TEST_F(MemoryNodes, BrokenListsEnd) {
  write("online", "0,1,x\n");
  write("node0/cpulist", "0-\n");
  write("node1/cpulist", "2,-5\n");
  EXPECT_EQ(nodes_of({0, 2}), Numbers{1});
  write("online", "0-99999999\n");
  EXPECT_EQ(nodes_of({0, 2}), Numbers{});
}

// With one node, or none, nothing is asked of the system.
TEST_F(MemoryNodes, OneNodeChangesNothing) {
  alignas(4096) static char page[4096];
  EXPECT_FALSE(spread_over_nodes(page, sizeof(page), {}));
  EXPECT_FALSE(spread_over_nodes(page, sizeof(page), {0}));
}

// The machine's own: pages hold what is written, wherever they come from.
TEST_F(MemoryNodes, OfThisMachine) {
  constexpr std::size_t kBytes = std::size_t{1} << 22;
  const Numbers nodes = nodes_of_cores(allowed_cores());
  const std::unique_ptr<void, decltype(&std::free)> bytes(std::aligned_alloc(1 << 16, kBytes),
                                                          &std::free);
  const bool is_spread = spread_over_nodes(bytes.get(), kBytes, nodes);
  EXPECT_TRUE(!is_spread || nodes.size() > 1);
  auto* begin = static_cast<char*>(bytes.get());
  std::fill(begin, begin + kBytes, 'a');
  EXPECT_EQ(std::count(begin, begin + kBytes, 'a'), static_cast<std::ptrdiff_t>(kBytes));
}

}  // namespace
}  // namespace ttsrt
