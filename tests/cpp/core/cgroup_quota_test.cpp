#include "core/cgroup_quota.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/thread_team.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;

class Quota : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::string file = folder_.file(path);
    fs::create_directories(fs::path(file).parent_path());
    test::write_file(file, text);
  }
  void mounts(const std::string& lines) { write("proc/self/mountinfo", lines); }
  void groups(const std::string& lines) { write("proc/self/cgroup", lines); }
  std::optional<std::int32_t> cores() { return quota_cores(folder_.path()); }

  test::TempDir folder_;
};

constexpr const char* kUnified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
constexpr const char* kCpu =
    "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 23 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";

TEST_F(Quota, NothingIsNoQuota) {
  EXPECT_EQ(cores(), std::nullopt);
  mounts(kUnified);
  groups("0::/a/b\n");
  EXPECT_EQ(cores(), std::nullopt);
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cores(), std::nullopt);
  for (const char* broken : {"", "-1 100000", "100000", "100000 0", "x y"}) {
    write("sys/fs/cgroup/a/b/cpu.max", broken);
    EXPECT_EQ(cores(), std::nullopt) << broken;
  }
}

TEST_F(Quota, Version2) {
  mounts(kUnified);
  groups("0::/a/b\n");
  for (const auto& [text, expected] : {std::pair{"150000 100000\n", 2},
                                       {"100000 100000", 1},
                                       {"5000 100000", 1},
                                       {"400001 100000", 5}}) {
    write("sys/fs/cgroup/a/b/cpu.max", text);
    EXPECT_EQ(cores(), expected) << text;
  }
}

TEST_F(Quota, TheSmallestAlongThePath) {
  mounts(kUnified);
  groups("0::/a/b\n");
  write("sys/fs/cgroup/a/b/cpu.max", "800000 100000");
  write("sys/fs/cgroup/a/cpu.max", "300000 100000");
  write("sys/fs/cgroup/other/cpu.max", "100000 100000");
  EXPECT_EQ(cores(), 3);
  write("sys/fs/cgroup/cpu.max", "200000 100000");
  EXPECT_EQ(cores(), 2);
}

TEST_F(Quota, Version1) {
  mounts(kCpu);
  groups("5:cpuset:/c\n4:cpu,cpuacct:/a/b\n0::/x\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores(), std::nullopt);
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores(), 3);
}

TEST_F(Quota, BothVersions) {
  mounts(std::string(kCpu) + kUnified);
  groups("4:cpu,cpuacct:/a\n0::/a\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores(), 3);
  write("sys/fs/cgroup/a/cpu.max", "200000 100000");
  EXPECT_EQ(cores(), 2);
}

// A container sees its own part of the hierarchy, under names of the host.
TEST_F(Quota, Containers) {
  mounts("30 23 0:26 /docker/a /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
  write("sys/fs/cgroup/cpu.max", "400000 100000");
  write("sys/fs/cgroup/inner/cpu.max", "200000 100000");
  for (const auto& [group, expected] : {std::pair{"0::/docker/a\n", 4},
                                        {"0::/docker/a/inner\n", 2},
                                        {"0::/docker/ab/inner\n", 4},
                                        {"0::/../b\n", 4},
                                        {"0::/\n", 4}}) {
    groups(group);
    EXPECT_EQ(cores(), expected) << group;
  }
}

TEST_F(Quota, MountPointsWithSpaces) {
  mounts("30 23 0:26 / /sys/fs\\040x/cgroup rw - cgroup2 cgroup2 rw\n");
  groups("0::/\n");
  write("sys/fs x/cgroup/cpu.max", "200000 100000");
  EXPECT_EQ(cores(), 2);
}

TEST(UsableCores, AreAtMostTheQuota) {
  const auto quota = quota_cores();
  EXPECT_GE(usable_cores(), 1);
  EXPECT_LE(usable_cores(), quota.value_or(usable_cores()));
}

}  // namespace
}  // namespace ttsrt
