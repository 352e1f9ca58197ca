#include "core/input_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

using test::throws_naming;

std::string bytes_of(const InputFile& file, std::size_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  file.read(offset, reinterpret_cast<std::byte*>(text.data()), bytes);
  return text;
}

// Writes other bytes over the file's, without making a new file.
void overwrite(const std::string& path, const std::string& contents) {
  std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
  stream << contents;
  ASSERT_TRUE(stream.good());
}

TEST(InputFile, ReadsByOffset) {
  const test::TempDir folder;
  test::write_file(folder.file("a"), "hello");
  const InputFile file(folder.file("a"));
  ASSERT_EQ(file.size(), 5U);
  EXPECT_EQ(bytes_of(file, 0, 5), "hello");
  EXPECT_EQ(bytes_of(file, 3, 2), "lo");
  EXPECT_EQ(file.path(), folder.file("a"));
  EXPECT_NO_THROW(file.check_unchanged());
  EXPECT_NO_THROW(file.check_in_place());
}

TEST(InputFile, ReadsLargeFilesByThreads) {
  const test::TempDir folder;
  const std::size_t bytes = (200U << 20) + 12345;
  const std::size_t mark = (130U << 20) + 7;
  test::write_file(folder.file("a"), "begin");
  std::filesystem::resize_file(folder.file("a"), bytes);  // a hole, which takes no place on disk
  std::fstream stream(folder.file("a"), std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(static_cast<std::streamoff>(mark));
  stream << "middle";
  stream.seekp(static_cast<std::streamoff>(bytes - 3));
  stream << "end";
  stream.close();
  const InputFile file(folder.file("a"));
  std::string text(bytes, 'x');
  file.read_large(0, reinterpret_cast<std::byte*>(text.data()), bytes);
  EXPECT_EQ(text.compare(0, 6, std::string("begin\0", 6)), 0);
  EXPECT_EQ(text.compare(mark, 6, "middle"), 0);
  EXPECT_EQ(text.compare(bytes - 3, 3, "end"), 0);
  EXPECT_EQ(text.find('x'), std::string::npos);
  std::filesystem::resize_file(folder.file("a"), mark);  // an error of any thread arrives
  EXPECT_TRUE(throws_naming<FormatError>(folder.file("a") + ": changed while it was in use", [&] {
    file.read_large(0, reinterpret_cast<std::byte*>(text.data()), bytes);
  }));
}

TEST(InputFile, NamesWhatIsNoRegularFile) {
  const test::TempDir folder;
  EXPECT_TRUE(throws_naming<FormatError>("can't be opened: No such file",
                                         [&] { InputFile file(folder.file("absent")); }));
  EXPECT_TRUE(throws_naming<FormatError>("expected a regular file, got a folder",
                                         [&] { InputFile file(folder.path()); }));
  EXPECT_TRUE(throws_naming<FormatError>("expected a regular file, got a device",
                                         [&] { InputFile file("/dev/zero"); }));
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);  // opening it would wait for a writer
  EXPECT_TRUE(throws_naming<FormatError>("expected a regular file, got a pipe",
                                         [&] { InputFile file(folder.file("pipe")); }));
  std::filesystem::create_symlink("pipe", folder.file("link"));
  EXPECT_TRUE(throws_naming<FormatError>("expected a regular file, got a pipe",
                                         [&] { InputFile file(folder.file("link")); }));
}

TEST(InputFile, NoticesEveryChangeOfItsContents) {
  const test::TempDir folder;
  const std::string path = folder.file("a");
  const auto changes = [&](const std::function<void()>& change) {
    test::write_file(path, "hello");
    const InputFile file(path);
    change();
    return throws_naming<FormatError>(path + ": changed while it was in use",
                                      [&] { file.check_unchanged(); });
  };
  for (int i = 0; i < 20; ++i) {  // also within one tick of the clock that times changes
    EXPECT_TRUE(changes([&] { overwrite(path, "jello"); }));
    EXPECT_TRUE(changes([&] { std::filesystem::resize_file(path, 4); }));
    EXPECT_TRUE(changes([&] { std::filesystem::resize_file(path, 6); }));
    EXPECT_TRUE(changes([&] { test::write_file(path, "other"); }));
  }
}

TEST(InputFile, KeepsAFileThatIsReplacedOrDeleted) {
  const test::TempDir folder;
  const std::string path = folder.file("a");
  test::write_file(path, "hello");
  const InputFile file(path);
  test::write_file(folder.file("b"), "other");
  std::filesystem::rename(folder.file("b"), path);
  EXPECT_EQ(bytes_of(file, 0, 5), "hello");
  EXPECT_NO_THROW(file.check_unchanged());
  EXPECT_TRUE(throws_naming<FormatError>("replaced", [&] { file.check_in_place(); }));
  std::filesystem::remove(path);
  EXPECT_EQ(bytes_of(file, 0, 5), "hello");
  EXPECT_TRUE(throws_naming<FormatError>("replaced", [&] { file.check_in_place(); }));
}

TEST(InputFile, RefusesToReadPastAnEndThatMoved) {
  const test::TempDir folder;
  test::write_file(folder.file("a"), "hello");
  const InputFile file(folder.file("a"));
  std::filesystem::resize_file(folder.file("a"), 3);
  EXPECT_EQ(bytes_of(file, 0, 3), "hel");
  EXPECT_TRUE(throws_naming<FormatError>("expected 5 bytes, got 3", [&] { bytes_of(file, 2, 3); }));
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
