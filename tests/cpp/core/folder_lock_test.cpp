#include "core/folder_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "core/check.h"
#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;
using test::throws_naming;

TEST(FolderLock, NamesWhoHoldsIt) {
  const test::TempDir folder;
  const std::string path = folder.file("lock");
  {
    const FolderLock first(path, "/some/target");
    ASSERT_TRUE(first.is_held());
    const std::string expected = message("/some/target is being written by process ", ::getpid());
    EXPECT_TRUE(throws_naming<ConfigError>(expected, [&] { FolderLock(path, "/some/target"); }));
    EXPECT_TRUE(throws_naming<ConfigError>(path, [&] { FolderLock(path, "/some/target"); }));
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_NO_THROW(FolderLock(path, "/some/target"));
}

TEST(FolderLock, WhatAKilledWriterLeftIsTaken) {
  const test::TempDir folder;
  test::write_file(folder.file("lock"), "process 1 on elsewhere\n");
  EXPECT_TRUE(FolderLock(folder.file("lock"), "target").is_held());
}

TEST(FolderLock, LinksAreRefused) {
  const test::TempDir folder;
  test::write_file(folder.file("mine"), "text");
  fs::create_symlink(folder.file("mine"), folder.file("lock"));
  EXPECT_TRUE(throws_naming<ConfigError>(folder.file("lock"),
                                         [&] { FolderLock(folder.file("lock"), "target"); }));
  EXPECT_EQ(test::read_file(folder.file("mine")), "text");
}

// Taking, removing and taking again never lets two in.
TEST(FolderLock, OneAtATime) {
  const test::TempDir folder;
  std::atomic<int> inside{0};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        try {
          const FolderLock lock(folder.file("lock"), "target");
          EXPECT_EQ(++inside, 1);
          ++taken;
          --inside;
        } catch (const ConfigError&) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(taken, 0);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace ttsrt
