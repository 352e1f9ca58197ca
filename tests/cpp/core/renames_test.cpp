#include "core/renames.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "support/temp_dir.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;

TEST(Renames, ToANewNameOnly) {
  const test::TempDir folder;
  fs::create_directories(folder.file("a"));
  fs::create_directories(folder.file("b"));
  const int problem = system_renames().to_new(folder.file("a"), folder.file("b"));
  if (problem == ENOSYS || problem == EINVAL) GTEST_SKIP() << "no such rename on this file system";
  EXPECT_EQ(problem, EEXIST);
  EXPECT_EQ(system_renames().to_new(folder.file("a"), folder.file("c")), 0);
  EXPECT_FALSE(fs::exists(folder.file("a")));
  EXPECT_EQ(system_renames().to_new(folder.file("a"), folder.file("d")), ENOENT);
}

TEST(Renames, Exchange) {
  const test::TempDir folder;
  fs::create_directories(folder.file("a/in_a"));
  fs::create_directories(folder.file("b/in_b"));
  const int problem = system_renames().exchange(folder.file("a"), folder.file("b"));
  if (problem == ENOSYS || problem == EINVAL) GTEST_SKIP() << "no exchange on this file system";
  EXPECT_EQ(problem, 0);
  EXPECT_TRUE(fs::exists(folder.file("a/in_b")) && fs::exists(folder.file("b/in_a")));
}

}  // namespace
}  // namespace ttsrt
