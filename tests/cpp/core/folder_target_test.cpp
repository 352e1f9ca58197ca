#include "core/folder_target.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;
using test::throws_naming;

const FolderKind kKind = {"engine", "ttsrt.engine", "engine.json", {"weights.safetensors"}, {}};

class Target : public ::testing::Test {
 protected:
  fs::path file(const std::string& name) const { return fs::canonical(folder_.path()) / name; }
  test::TempDir folder_;
};

TEST_F(Target, AnAbsentOne) {
  const FolderTarget target = find_target(folder_.file("new/../deep/engine//"));
  EXPECT_EQ(target.path, file("deep/engine"));
  EXPECT_FALSE(target.exists || target.is_filled);
  EXPECT_EQ(target.home, file("deep"));
  EXPECT_FALSE(check_contents(target, kKind, false));
  EXPECT_FALSE(fs::exists(file("deep")));  // nothing is made yet
}

TEST_F(Target, LinksAreFollowed) {
  fs::create_directories(file("store/engine"));
  fs::create_symlink("store/engine", file("link"));
  fs::create_symlink(file("link"), file("chain"));
  fs::create_symlink("store/absent", file("dangling"));
  EXPECT_EQ(find_target(folder_.file("chain/")).path, file("store/engine"));
  EXPECT_TRUE(find_target(folder_.file("chain")).exists);
  EXPECT_EQ(find_target(folder_.file("dangling")).path, file("store/absent"));
  fs::create_symlink("circle", file("circle"));
  EXPECT_TRUE(throws_naming<ConfigError>("circle", [&] { find_target(folder_.file("circle")); }));
}

TEST_F(Target, WhatCantBeAFolder) {
  test::write_file(folder_.file("file"), "mine");
  for (const char* name : {"file", "file/engine", "file/deep/engine"}) {
    EXPECT_TRUE(throws_naming<ConfigError>(file("file").string(), [&] {
      find_target(folder_.file(name));
    })) << name;
  }
  EXPECT_TRUE(throws_naming<ConfigError>("empty path", [] { find_target(""); }));
  EXPECT_TRUE(throws_naming<ConfigError>("null", [] { find_target(std::string("a\0b", 3)); }));
  const std::string long_name = folder_.file(std::string(300, 'x'));
  EXPECT_TRUE(
      throws_naming<ConfigError>("output_dir: " + long_name + ": can't be used: File name too long",
                                 [&] { find_target(long_name); }));
}

TEST_F(Target, ACurrentFolderThatIsGone) {
  const fs::path before = fs::current_path();
  fs::create_directory(file("gone"));
  fs::current_path(file("gone"));
  fs::remove(file("gone"));
  const auto refused =
      throws_naming<ConfigError>("output_dir: engine: the current folder doesn't exist any more",
                                 [] { find_target("engine"); });
  fs::current_path(before);
  EXPECT_TRUE(refused);
}

TEST_F(Target, FoldersThatCantBeRenamed) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  const FolderTarget target = find_target(".");
  fs::current_path(before);
  EXPECT_TRUE(target.is_filled);
  EXPECT_EQ(target.path, fs::canonical(folder_.path()));
  EXPECT_EQ(target.home, target.path.parent_path());
}

TEST_F(Target, MountPoints) {
  struct stat own{};
  struct stat parent{};
  const bool is_mounted = ::stat("/dev/shm", &own) == 0 && ::stat("/dev", &parent) == 0 &&
                          own.st_dev != parent.st_dev && ::access("/dev/shm", W_OK) == 0;
  if (!is_mounted) GTEST_SKIP() << "/dev/shm is no mount point, or can't be written";
  EXPECT_TRUE(find_target("/dev/shm").is_filled);
  EXPECT_EQ(find_target("/dev/shm").home, "/dev/shm");
}

TEST_F(Target, NamesOfTemporaryFolders) {
  const FolderTarget target = find_target(folder_.file("engine"));
  EXPECT_TRUE(target.is_temporary(".engine.ttsrt-0123456789ab.tmp"));
  for (const char* other : {".engine.ttsrt-lock", ".engine.ttsrt-0123456789xy.tmp", "engine",
                            ".engine.ttsrt-a.ttsrt-0123456789ab.tmp",
                            ".engine2.ttsrt-0123456789ab.tmp", ".engine.ttsrt-0123456789ab"}) {
    EXPECT_FALSE(target.is_temporary(other)) << other;
  }
  const FolderTarget longest = find_target(folder_.file(std::string(255, 'x')));
  EXPECT_LE(fs::path(longest.lock()).filename().string().size(), 100U);
}

TEST_F(Target, Contents) {
  fs::create_directories(file("engine"));
  const FolderTarget target = find_target(folder_.file("engine"));
  EXPECT_FALSE(check_contents(target, kKind, false));
  const auto refuses = [&](const std::string& part, bool overwrite) {
    return throws_naming<ConfigError>(part, [&] { check_contents(target, kKind, overwrite); });
  };
  test::write_file(folder_.file("engine/weights.safetensors"), "w");
  EXPECT_TRUE(refuses("isn't an engine: ", true));
  test::write_file(folder_.file("engine/engine.json"), "{}");
  EXPECT_TRUE(refuses("isn't an engine: ", true));
  test::write_file(folder_.file("engine/engine.json"), R"({"format": "other"})");
  EXPECT_TRUE(refuses("got \"other\"", true));
  test::write_file(folder_.file("engine/engine.json"), R"({"format": "ttsrt.engine"})");
  EXPECT_TRUE(refuses("overwrite", false));
  EXPECT_TRUE(check_contents(target, kKind, true));
  fs::remove(file("engine/engine.json"));
  ASSERT_EQ(::mkfifo(file("engine/engine.json").c_str(), 0600), 0);
  EXPECT_TRUE(refuses("engine.json isn't a regular file", true));
  fs::remove(file("engine/engine.json"));
  test::write_file(folder_.file("engine/notes.txt"), "mine");
  EXPECT_TRUE(refuses("it holds notes.txt", true));
}

}  // namespace
}  // namespace ttsrt
