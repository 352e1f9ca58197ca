#include "core/folder_entries.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;

TEST(FolderEntries, NamesWhatIsThere) {
  const test::TempDir folder;
  EXPECT_TRUE(names_in(folder.path()).empty());
  test::write_file(folder.file("b"), "");
  test::write_file(folder.file(".hidden"), "");
  fs::create_directory(folder.file("inner"));
  std::vector<std::string> names = names_in(folder.path());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{".hidden", "b", "inner"}));
  EXPECT_TRUE(test::throws_naming<ConfigError>("absent: can't be read",
                                               [&] { names_in(folder.file("absent")); }));
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("b: can't be read", [&] { names_in(folder.file("b")); }));
}

TEST(FolderEntries, RemovesAllButWhatLinksNameOutside) {
  const test::TempDir folder;
  fs::create_directories(folder.file("old/inner/deep"));
  test::write_file(folder.file("old/a"), "x");
  test::write_file(folder.file("old/inner/deep/b"), "x");
  fs::create_directory(folder.file("kept"));
  test::write_file(folder.file("kept/c"), "x");
  fs::create_directory_symlink(folder.file("kept"), folder.file("old/link"));
  remove_folder(folder.file("old"));
  EXPECT_FALSE(fs::exists(folder.file("old")));
  EXPECT_TRUE(fs::exists(folder.file("kept/c")));
  fs::create_directory_symlink(folder.file("kept"), folder.file("link"));
  remove_folder(folder.file("link"));
  remove_folder(folder.file("absent"));
  EXPECT_TRUE(fs::exists(folder.file("kept/c")));
}

}  // namespace
}  // namespace ttsrt
