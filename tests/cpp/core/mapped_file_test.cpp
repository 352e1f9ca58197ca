#include "core/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

using test::throws_naming;

TEST(MappedFile, ReturnsTheBytes) {
  const test::TempDir folder;
  test::write_file(folder.file("a"), "hello");
  const MappedFile file(folder.file("a"));
  ASSERT_EQ(file.size(), 5U);
  EXPECT_EQ(std::memcmp(file.data(), "hello", 5), 0);
  EXPECT_EQ(file.path(), folder.file("a"));
}

TEST(MappedFile, RefusesFilesItCannotMap) {
  const test::TempDir folder;
  EXPECT_TRUE(throws_naming<FormatError>("can't be opened",
                                         [&] { MappedFile file(folder.file("absent")); }));
  EXPECT_TRUE(throws_naming<FormatError>("expected a regular file",
                                         [&] { MappedFile file(folder.path()); }));
  test::write_file(folder.file("empty"), "");
  EXPECT_TRUE(
      throws_naming<FormatError>("empty file", [&] { MappedFile file(folder.file("empty")); }));
}

TEST(MappedFile, DoesntHangOnAPipe) {
  const test::TempDir folder;
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(throws_naming<FormatError>("expected a regular file",
                                         [&] { MappedFile file(folder.file("pipe")); }));
}

TEST(ReadText, LimitsTheSize) {
  const test::TempDir folder;
  test::write_file(folder.file("a"), "12345");
  EXPECT_EQ(read_text(folder.file("a"), 5), "12345");
  EXPECT_TRUE(
      throws_naming<FormatError>("at most 4 bytes", [&] { read_text(folder.file("a"), 4); }));
  test::write_file(folder.file("empty"), "");
  EXPECT_EQ(read_text(folder.file("empty"), 4), "");
}

TEST(ReadText, RefusesFilesItCannotRead) {
  const test::TempDir folder;
  EXPECT_TRUE(
      throws_naming<FormatError>("can't be opened", [&] { read_text(folder.file("absent"), 4); }));
  EXPECT_TRUE(throws_naming<FormatError>(folder.path(), [&] { read_text(folder.path(), 4); }));
}

}  // namespace
}  // namespace ttsrt
