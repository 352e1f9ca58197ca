#include "core/output_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>

#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

using test::throws_naming;

TEST(OutputFile, WritesAndReplaces) {
  const test::TempDir folder;
  const std::string path = folder.file("a");
  write_text(path, "a longer text");
  write_text(path, "short");
  EXPECT_EQ(test::read_file(path), "short");
  EXPECT_NO_THROW(sync_path(path));
  EXPECT_NO_THROW(sync_path(folder.path()));
}

TEST(OutputFile, NamesTheWholePath) {
  const test::TempDir folder;
  const std::string path = folder.file("absent/a");
  EXPECT_TRUE(throws_naming<ConfigError>(path + ": can't be created: No such file",
                                         [&] { OutputFile file(path); }));
  EXPECT_TRUE(throws_naming<ConfigError>(path, [&] { sync_path(path); }));
}

TEST(OutputFile, AFullDiskIsACapacityError) {
  OutputFile file("/dev/full");
  EXPECT_TRUE(throws_naming<CapacityError>("/dev/full: can't be written: No space left",
                                           [&] { file.write("x", 1); }));
}

TEST(OutputFile, AFileOverItsLimitIsACapacityError) {
  const test::TempDir folder;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 100;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string text(200, 'x');
  EXPECT_TRUE(
      throws_naming<CapacityError>(folder.path(), [&] { write_text(folder.file("a"), text); }));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
}

TEST(OutputFile, KindsOfErrors) {
  EXPECT_TRUE(throws_naming<CapacityError>("a: b: ", [] { throw_write_error("a", "b", EDQUOT); }));
  EXPECT_TRUE(throws_naming<DeviceError>("a: b: ", [] { throw_write_error("a", "b", EIO); }));
  EXPECT_TRUE(throws_naming<ConfigError>("a: b: ", [] { throw_write_error("a", "b", EROFS); }));
}

}  // namespace
}  // namespace ttsrt
