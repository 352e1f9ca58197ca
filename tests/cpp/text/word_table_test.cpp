// Packed dictionaries give what was packed, and every damaged one is refused.
#include "text/word_table.h"

#include <gtest/gtest.h>

#include <random>

#include "core/sha256.h"
#include "support/errors.h"

namespace ttsrt::text {
namespace {

Dictionary small() {
  Dictionary of;
  of.entries["B"] = {U"bi\u02d0", 1};
  of.entries["A"] = {U"e\u026a", 3};
  of.entries["\xC3\x84"] = {U"", 1};
  of.symbols = {"b", "e", "i", "\xC9\xAA", "\xCB\x90"};
  return of;
}

constexpr std::size_t kDigestAt = 32, kBody = 64;  // bytes

// With the hash that fits what was changed.
std::string with_hash(std::string file) {
  const std::string hex =
      sha256_hex(reinterpret_cast<const std::byte*>(file.data() + kBody), file.size() - kBody);
  for (std::size_t i = 0; i < 32; ++i)
    file[kDigestAt + i] = static_cast<char>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  return file;
}

TEST(WordTable, FindsWhatWasWritten) {
  const WordTable table(write_table(small()), "a.table");
  EXPECT_EQ(table.size(), 3U);
  EXPECT_EQ(table.find("A")->first, "e\xC9\xAA");
  EXPECT_EQ(table.find("A")->variants, 3U);
  EXPECT_EQ(table.find("B")->first, "bi\xCB\x90");
  EXPECT_EQ(table.find("\xC3\x84")->first, "");
  for (const char* word : {"", "AA", "a", "Z", "\xC3\x85"}) EXPECT_FALSE(table.find(word)) << word;
  const auto symbols = table.symbols();
  EXPECT_EQ(std::set<std::string>(symbols.begin(), symbols.end()), small().symbols);
}

TEST(WordTable, AnEmptyOneHasNothing) {
  const WordTable table(write_table({}), "a.table");
  EXPECT_FALSE(table.find("A"));
  EXPECT_TRUE(table.symbols().empty());
}

TEST(WordTable, CutAndGrownFilesAreRefused) {
  const std::string file = write_table(small());
  for (std::size_t size = 0; size < file.size(); ++size)
    EXPECT_TRUE(test::throws_naming<FormatError>("a.table: ", [&] {
      WordTable(file.substr(0, size), "a.table");
    })) << size;
  EXPECT_TRUE(
      test::throws_naming<FormatError>("bytes, got", [&] { WordTable(file + "x", "a.table"); }));
}

TEST(WordTable, EveryChangedBitIsNoticed) {
  const std::string file = write_table(small());
  for (std::size_t i = 0; i < file.size() * 8; ++i) {
    std::string changed = file;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
    EXPECT_TRUE(test::throws_naming<FormatError>("a.table: ", [&] {
      WordTable(changed, "a.table");
    })) << i;
  }
}

// Files whose hash fits what they hold are read or refused; whatever was read can be searched.
TEST(WordTable, HostileContentsAreRefusedOrSearched) {
  const std::string file = write_table(small());
  std::mt19937 random(7);
  int read = 0, refused = 0;
  bool is_end_named = false;
  for (int i = 0; i < 20000; ++i) {
    std::string changed = file;
    for (int edits = 0; edits < 3; ++edits) {
      std::size_t at = random() % file.size();
      if (at >= kDigestAt && at < kBody) at = kBody;
      changed[at] = static_cast<char>(random() % 4 == 0 ? random() : random() % 8);
    }
    try {
      const WordTable table(with_hash(changed), "a.table");
      for (const char* word : {"A", "B", "C", "\xC3\x84"}) table.find(word);
      table.symbols();
      ++read;
    } catch (const FormatError& error) {
      const std::string told = error.what();
      is_end_named = is_end_named || told.find("]: expected an end in [") != std::string::npos;
      ++refused;
    }
  }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 1000);
  EXPECT_TRUE(is_end_named);
}

TEST(WordTable, WordsOutOfOrderAreRefused) {
  std::string file = write_table(small());
  const std::size_t words = file.find("AB\xC3\x84");
  ASSERT_NE(words, std::string::npos);
  std::swap(file[words], file[words + 1]);
  EXPECT_TRUE(test::throws_naming<FormatError>("words: \"A\" isn't behind \"B\"",
                                               [&] { WordTable(with_hash(file), "a.table"); }));
}

}  // namespace
}  // namespace ttsrt::text
