// A dictionary as engines keep it: one file of sorted words, which is read whole and searched as it
// is.
//
// All numbers are 32 bits, little endian:
//   "TTSRTDIC", version, words, symbols, bytes of words, of pronunciations and of symbols
//   SHA-256 of everything behind it (32 bytes)
//   ends of the words; ends of their first pronunciations; numbers of pronunciations; ends of the
//   symbols; then the words, the pronunciations and the symbols, in UTF-8. Words and symbols are
//   sorted by bytes, and no two are equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/dictionary.h"

namespace ttsrt::text {

constexpr std::size_t kMaxTableBytes = std::size_t{256} << 20;

// The contents of the file. Throws ConfigError if it would be larger than tables may be.
std::string write_table(const Dictionary& dictionary);

class WordTable {
 public:
  struct Word {
    std::string_view first;      // the first pronunciation
    std::uint32_t variants = 0;  // how many there are
  };

  // Throws FormatError naming `where` unless everything is as write_table writes it.
  WordTable(std::string file, const std::string& where);

  std::optional<Word> find(std::string_view word) const;
  std::size_t size() const { return words_; }
  const std::string& file() const { return file_; }
  std::vector<std::string> symbols() const;

 private:
  std::uint32_t number(std::size_t begin, std::size_t index) const;
  std::string_view text(std::size_t ends, std::size_t bytes, std::size_t index) const;
  void check_texts(const char* name, std::size_t ends, std::size_t count, std::size_t bytes,
                   std::size_t size, bool is_sorted, const std::string& where) const;

  std::string file_;
  std::size_t words_ = 0;
  std::size_t num_symbols_ = 0;
  // Where in the file the tables and the texts begin.
  std::size_t word_ends_ = 0, variant_ends_ = 0, variant_counts_ = 0, symbol_ends_ = 0;
  std::size_t word_bytes_ = 0, variant_bytes_ = 0, symbol_bytes_ = 0;
};

}  // namespace ttsrt::text
