// Publishing: what appears when, what is left behind, and what happens to what was there.
#include "core/folder_writer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "support/errors.h"
#include "support/fork.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;
using test::throws_naming;

const FolderKind kKind = {"engine", "ttsrt.engine", "engine.json", {"weights.safetensors"}, {}};

int has_none(const std::string& /*from*/, const std::string& /*to*/) { return EINVAL; }

class Writer : public ::testing::TestWithParam<bool> {
 protected:
  // A writer on this system, or on one without the two renames.
  std::unique_ptr<FolderWork> open(bool overwrite = false) {
    const Renames renames = GetParam() ? Renames{has_none, has_none} : system_renames();
    return std::make_unique<FolderWork>(target_, kKind, overwrite, renames);
  }
  static void fill(const FolderWork& writer, const std::string& weights) {
    test::write_file(writer.folder() + "/weights.safetensors", weights);
    test::write_file(writer.folder() + "/engine.json", R"({"format": "ttsrt.engine"})");
  }
  void write(const std::string& weights, bool overwrite = false) {
    const auto writer = open(overwrite);
    fill(*writer, weights);
    writer->publish();
  }
  std::string weights() const { return test::read_file(target_ + "/weights.safetensors"); }
  // The names in the folder that holds the target; only those that tests made may be there.
  std::vector<std::string> names() const { return names_in(folder_.path()); }
  static std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  const std::vector<std::string> files_ = {"engine.json", "weights.safetensors"};
  test::TempDir folder_;
  std::string target_ = folder_.file("engine");
};

TEST_P(Writer, ANewFolder) {
  const auto writer = open();
  fill(*writer, "one");
  EXPECT_FALSE(fs::exists(target_));
  EXPECT_EQ(writer->target(), fs::weakly_canonical(target_));
  writer->publish();
  EXPECT_EQ(weights(), "one");
  EXPECT_EQ(names(), std::vector<std::string>{"engine"});
}

TEST_P(Writer, WhatIsNotPublishedIsRemoved) {
  target_ = folder_.file("new/deep/engine");
  {
    const auto writer = open();
    fill(*writer, "one");
    EXPECT_TRUE(fs::exists(folder_.file("new/deep")));
  }
  EXPECT_TRUE(names().empty());
}

TEST_P(Writer, AForkedChildRemovesNothing) {
  auto writer = open();
  const std::vector<std::string> before = names();
  EXPECT_EQ(before.size(), 2U);  // the temporary folder and the lock
  EXPECT_TRUE(test::holds_in_child([&] {
    writer.reset();
    return names() == before;
  }));
  EXPECT_EQ(names(), before);
  EXPECT_TRUE(throws_naming<ConfigError>("is being written by", [&] { open(); }));
}

TEST_P(Writer, AnEmptyFolderKeepsItsPermissions) {
  fs::create_directories(target_);
  fs::permissions(target_, fs::perms::owner_all);
  write("one");
  EXPECT_EQ(weights(), "one");
  EXPECT_EQ(fs::status(target_).permissions(), fs::perms::owner_all);
}

TEST_P(Writer, Overwriting) {
  write("one");
  EXPECT_TRUE(throws_naming<ConfigError>("overwrite", [&] { write("two"); }));
  EXPECT_EQ(weights(), "one");
  const auto writer = open(true);
  fill(*writer, "two");
  EXPECT_EQ(weights(), "one");
  writer->publish();
  EXPECT_EQ(weights(), "two");
  EXPECT_EQ(names(), std::vector<std::string>{"engine"});
  EXPECT_EQ(names_in(target_), files_);
}

TEST_P(Writer, AFolderInsideIsReplacedWithAllThatItHolds) {
  const FolderKind kind = {
      "engine", "ttsrt.engine", "engine.json", {"weights.safetensors"}, {"voices"}};
  const Renames renames = GetParam() ? Renames{has_none, has_none} : system_renames();
  for (const char* voice : {"one", "two", ""}) {
    const auto writer = std::make_unique<FolderWork>(target_, kind, true, renames);
    fill(*writer, "weights");
    if (*voice != 0) {
      fs::create_directory(writer->folder() + "/voices");
      test::write_file(writer->folder() + "/voices/" + voice, voice);
    }
    writer->publish();
    if (*voice != 0) {
      EXPECT_EQ(names_in(target_ + "/voices"), std::vector<std::string>{voice});
    } else {
      EXPECT_EQ(names_in(target_), files_);
    }
  }
  test::write_file(target_ + "/voices", "no folder");
  EXPECT_TRUE(throws_naming<ConfigError>("voices isn't a folder", [&] {
    std::make_unique<FolderWork>(target_, kind, true, renames);
  }));
}

TEST_P(Writer, ALinkStaysAndItsTargetIsWritten) {
  fs::create_directories(folder_.file("store"));
  fs::create_symlink("store/engine", target_);
  write("one");
  EXPECT_TRUE(fs::is_symlink(target_));
  EXPECT_EQ(test::read_file(folder_.file("store/engine/weights.safetensors")), "one");
  write("two", true);
  EXPECT_EQ(weights(), "two");
  EXPECT_TRUE(fs::is_symlink(target_));
  EXPECT_EQ(names_in(folder_.file("store")), std::vector<std::string>{"engine"});
}

TEST_P(Writer, TheCurrentFolderStaysInItsPlace) {
  fs::create_directories(target_);
  const fs::path before = fs::current_path();
  fs::current_path(target_);
  const std::string real = std::exchange(target_, ".");
  write("one");
  write("two", true);
  EXPECT_EQ(test::read_file("weights.safetensors"), "two");  // of the same folder
  fs::current_path(before);
  target_ = real;
  EXPECT_EQ(weights(), "two");
  EXPECT_EQ(names(), std::vector<std::string>{"engine"});
}

TEST_P(Writer, WhatAppearedMeanwhileStays) {
  for (const bool overwrite : {false, true}) {
    const auto writer = open(overwrite);
    fill(*writer, "one");
    fs::create_directories(target_);
    test::write_file(target_ + "/weights.safetensors", "theirs");
    test::write_file(target_ + "/engine.json", "{}");
    EXPECT_TRUE(throws_naming<ConfigError>("appeared", [&] { writer->publish(); }));
    EXPECT_EQ(weights(), "theirs");
    fs::remove_all(target_);
  }
  const auto writer = open();
  fill(*writer, "one");
  test::write_file(target_, "a file");
  EXPECT_TRUE(throws_naming<ConfigError>("appeared", [&] { writer->publish(); }));
  EXPECT_EQ(test::read_file(target_), "a file");
}

TEST_P(Writer, AFolderThatTookTheTargetsPlaceStays) {
  write("one");
  const auto writer = open(true);
  fill(*writer, "two");
  fs::rename(target_, folder_.file("moved"));
  fs::create_directories(target_);
  test::write_file(target_ + "/engine.json", "theirs");
  EXPECT_TRUE(throws_naming<ConfigError>("appeared or changed", [&] { writer->publish(); }));
  EXPECT_EQ(test::read_file(target_ + "/engine.json"), "theirs");
  EXPECT_EQ(test::read_file(folder_.file("moved/weights.safetensors")), "one");
}

TEST_P(Writer, FilesThatAppearedInTheTargetStay) {
  fs::create_directories(target_);
  {
    const auto writer = open();
    fill(*writer, "one");
    test::write_file(target_ + "/notes.txt", "mine");
    EXPECT_TRUE(throws_naming<ConfigError>("appeared", [&] { writer->publish(); }));
  }
  EXPECT_EQ(names_in(target_), std::vector<std::string>{"notes.txt"});
  fs::remove(target_ + "/notes.txt");
  write("one");
  {
    const auto writer = open(true);
    fill(*writer, "two");
    test::write_file(target_ + "/notes.txt", "mine");
    EXPECT_TRUE(throws_naming<ConfigError>("appeared", [&] { writer->publish(); }));
  }
  EXPECT_EQ(weights(), "one");
  EXPECT_EQ(test::read_file(target_ + "/notes.txt"), "mine");
  EXPECT_EQ(names(), std::vector<std::string>{"engine"});
}

TEST_P(Writer, TwoAtOnce) {
  const auto writer = open();
  EXPECT_TRUE(throws_naming<ConfigError>("is being written by process", [&] { open(); }));
  fill(*writer, "one");
  writer->publish();
  EXPECT_TRUE(throws_naming<ConfigError>("overwrite", [&] { open(); }));
}

TEST_P(Writer, OneOfManyWins) {
  target_ = folder_.file("new/engine");
  std::atomic<int> wins{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      try {
        write("one");
        ++wins;
      } catch (const ConfigError&) {
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wins, 1);
  EXPECT_EQ(names_in(folder_.file("new")), std::vector<std::string>{"engine"});
}

TEST_P(Writer, LeftoversOfThisTargetAreRemoved) {
  const std::string other = ".engine2.ttsrt-0123456789ab.tmp";
  for (const std::string& name : {std::string(".engine.ttsrt-0123456789ab.tmp"), other})
    fs::create_directories(folder_.file(name + "/inside"));
  test::write_file(folder_.file(".engine.ttsrt-lock"), "process 1 on elsewhere\n");
  write("one");
  EXPECT_EQ(names(), (std::vector<std::string>{other, "engine"}));
}

// A writer that was killed while it moved files one by one, at each point of that.
TEST_P(Writer, AnInterruptedMoveIsRolledBack) {
  for (int moved = 0; moved <= 2; ++moved) {
    write("old");
    const fs::path left = folder_.file(".engine.ttsrt-0123456789ab.tmp");
    fs::create_directories(left);
    test::write_file((left / "moving").string(), "");
    for (const std::string& name : files_) test::write_file((left / name).string(), "new");
    if (moved > 0) fs::rename(target_ + "/engine.json", left / "old-engine.json");
    if (moved > 1) fs::rename(target_ + "/weights.safetensors", left / "old-weights.safetensors");
    if (moved > 1) fs::rename(left / "weights.safetensors", target_ + "/weights.safetensors");
    EXPECT_TRUE(throws_naming<ConfigError>("overwrite", [&] { open(); }));
    EXPECT_EQ(weights(), "old");
    EXPECT_EQ(names(), std::vector<std::string>{"engine"});
    fs::remove_all(target_);
  }
}

TEST_P(Writer, AMissingDescriptionIsNotPublished) {
  const auto writer = open();
  EXPECT_TRUE(throws_naming<InternalError>("engine.json", [&] { writer->publish(); }));
  EXPECT_FALSE(fs::exists(target_));
}

INSTANTIATE_TEST_SUITE_P(Renames, Writer, ::testing::Values(false, true),
                         [](const auto& of) { return of.param ? "Absent" : "OfTheSystem"; });

}  // namespace
}  // namespace ttsrt
