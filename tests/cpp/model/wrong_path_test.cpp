#include "model/wrong_path.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/tiny_engine.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

class WrongPath : public ::testing::Test {
 protected:
  std::string path(const std::string& name) { return folder_.file(name); }
  std::string file(const std::string& name, const std::string& text = "x") {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    test::write_file(path(name), text);
    return path(name);
  }
  // What a caller who wants an engine, or a checkpoint, is told of `name`.
  ::testing::AssertionResult no_engine(const std::string& name, const std::string& part) {
    return throws_naming<FormatError>(part, [&] { check_is_engine(path(name)); });
  }
  ::testing::AssertionResult no_checkpoint(const std::string& name, const std::string& part) {
    return throws_naming<FormatError>(part, [&] { check_is_checkpoint(path(name)); });
  }

  test::TempDir folder_;
};

TEST_F(WrongPath, WhatIsAskedFor) {
  file("engine/engine.json");
  EXPECT_NO_THROW(check_is_engine(path("engine")));
  EXPECT_NO_THROW(check_is_engine(path("engine/")));
  file("ckpt/config.json", R"({"format": "ttsrt.checkpoint"})");
  EXPECT_NO_THROW(check_is_checkpoint(path("ckpt")));
}

TEST_F(WrongPath, NothingThere) {
  EXPECT_TRUE(throws_naming<NotFoundError>("absent: expected an engine folder",
                                           [&] { check_is_engine(path("absent")); }));
  EXPECT_TRUE(throws_naming<NotFoundError>("no file or folder of this name",
                                           [&] { check_is_checkpoint(path("a/b/c")); }));
  EXPECT_TRUE(throws_naming<NotFoundError>("no file or folder",
                                           [&] { check_is_engine(file("plain") + "/engine"); }));
  std::filesystem::create_symlink(path("gone"), path("link"));
  EXPECT_TRUE(throws_naming<NotFoundError>("link", [&] { check_is_engine(path("link")); }));
}

TEST_F(WrongPath, NamesThatAreNoPath) {
  EXPECT_TRUE(throws_naming<ConfigError>("an empty name", [&] { check_is_engine(""); }));
  file("engine/engine.json");
  const std::string zero = path("engine") + std::string("\0x", 2);
  EXPECT_TRUE(throws_naming<ConfigError>("a zero byte", [&] { check_is_engine(zero); }));
  const std::string loop = path("loop");
  std::filesystem::create_symlink(loop, loop);
  EXPECT_TRUE(throws_naming<ConfigError>("loop: expected", [&] { check_is_engine(loop); }));
}

TEST_F(WrongPath, CheckpointsOfOtherPrograms) {
  const std::string archive = file("magpie.nemo");
  const std::string command = "ttsrt convert " + archive + " CHECKPOINT && ttsrt build";
  EXPECT_TRUE(no_engine("magpie.nemo", "got a .nemo archive; convert and build it first"));
  EXPECT_TRUE(no_engine("magpie.nemo", command));
  EXPECT_TRUE(no_checkpoint("magpie.nemo", command));
  for (const char* name : {"t5.ckpt", "a.pt", "a.pth", "pytorch_model.bin", "a.safetensors"}) {
    file(name);
    EXPECT_TRUE(no_engine(name, "got a file of weights of another program; convert")) << name;
  }
  file("unpacked/model_config.yaml");
  EXPECT_TRUE(no_engine("unpacked", "an unpacked .nemo archive; convert"));
  file("fork/encoder/config.json");
  file("fork/decoder/config.json");
  EXPECT_TRUE(no_engine("fork", "in TensorRT-LLM's layout; convert"));
  EXPECT_TRUE(no_checkpoint("fork", "ttsrt convert " + path("fork")));
  file("snapshot/b.nemo");
  file("snapshot/a.nemo");
  file("snapshot/README.md");
  EXPECT_TRUE(no_engine("snapshot", "got a folder with several checkpoints of other programs"));
  EXPECT_TRUE(no_engine("snapshot", "convert one of them with ttsrt convert, and build it: "));
  EXPECT_TRUE(no_engine("snapshot", "a.nemo"));
  file("one/b.ckpt");
  file("one/page.nemo", "\n<!DOCTYPE html>");
  file("one/pointer.nemo", "version https://git-lfs.github.com/spec/v1");
  EXPECT_TRUE(no_engine("one", "ttsrt convert " + path("one/b.ckpt")));
  file("pages/h.nemo", "<html>");
  EXPECT_TRUE(no_engine("pages", "got a folder of another kind"));
}

TEST_F(WrongPath, OurOwnFolders) {
  file("ckpt/config.json", R"({"format": "ttsrt.checkpoint"})");
  file("ckpt/model.safetensors");
  EXPECT_TRUE(no_engine("ckpt",
                        "got a checkpoint that isn't built yet; build it first: ttsrt "
                        "build --checkpoint_dir " +
                            path("ckpt")));
  EXPECT_TRUE(no_engine("ckpt/config.json", "ttsrt build --checkpoint_dir " + path("ckpt")));
  EXPECT_TRUE(no_checkpoint("ckpt/config.json", "pass its folder: " + path("ckpt")));
  file("engine/engine.json");
  file("engine/weights.safetensors");
  EXPECT_TRUE(no_checkpoint("engine", "it is built already, run it: ttsrt run " + path("engine")));
  EXPECT_TRUE(no_engine("engine/engine.json", "pass its folder: " + path("engine")));
  EXPECT_TRUE(no_engine("engine/weights.safetensors", "pass its folder: " + path("engine")));
}

TEST_F(WrongPath, AnythingElse) {
  std::filesystem::create_directory(path("empty"));
  EXPECT_TRUE(no_engine("empty", "got an empty folder; ttsrt build writes engines"));
  EXPECT_TRUE(no_checkpoint("empty", "ttsrt convert writes checkpoints"));
  file("folder/other.txt");
  EXPECT_TRUE(no_engine("folder", "got a folder of another kind"));
  file("notes.txt");
  EXPECT_TRUE(no_engine("notes.txt", "got a file of another kind"));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(no_engine("pipe", "got neither a file nor a folder"));
}

// Root may enter every folder, so a child that is nobody looks.
TEST_F(WrongPath, FoldersThatMayNotBeEntered) {
  file("shut/engine.json");
  file("unlisted/other");
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path("shut").c_str(), 0600), 0);
  ASSERT_EQ(::chmod(path("unlisted").c_str(), 0711), 0);
  const auto denied = [&](const char* name) {
    return bool(
        throws_naming<ConfigError>("got: Permission denied", [&] { check_is_engine(path(name)); }));
  };
  const auto look = [&] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(3);
    ::_exit(denied("shut") && denied("unlisted") ? 0 : 1);
  };
  if (::geteuid() != 0) {
    ASSERT_EQ(::chmod(path("unlisted").c_str(), 0311), 0);
  }
  EXPECT_EXIT(look(), ::testing::ExitedWithCode(0), "");
  ::chmod(path("shut").c_str(), 0755);
  ::chmod(path("unlisted").c_str(), 0755);
}

TEST_F(WrongPath, CommandsCanBePasted) {
  file("my model's.nemo");
  EXPECT_TRUE(no_engine("my model's.nemo", "my model'\\''s.nemo' CHECKPOINT"));
}

}  // namespace
}  // namespace ttsrt::model
