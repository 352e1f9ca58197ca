// Pronunciation dictionaries: the files of archives, and what the original makes of them.
//
// A file has a word and its pronunciation per line, in the layout of the CMU dictionary. A later
// word that has the same key as an earlier one replaces all its pronunciations, and so the order of
// words is kept until the keys are made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ttsrt::text {

constexpr std::size_t kMaxDictionaryBytes = std::size_t{64} << 20;  // of one file
constexpr std::size_t kMaxDictionaryWords = std::size_t{1} << 22;

enum class LetterCase : std::int32_t { upper, lower, mixed };

std::u32string in_case(const std::u32string& word, LetterCase letter_case);

// The words of one or several files in the order in which they come first, each with its
// pronunciations. A symbol is a code point.
class RawDictionary {
 public:
  struct Word {
    std::u32string word;
    std::vector<std::u32string> variants;
  };

  // Adds the lines of a file. Throws FormatError naming file and line for text that isn't UTF-8, a
  // word without a pronunciation, and what is too long.
  void add(std::string_view file, const std::string& where);

  const std::vector<Word>& words() const { return words_; }

 private:
  void add_line(std::string_view bytes, const std::string& where, std::size_t line);

  std::vector<Word> words_;
  std::unordered_map<std::u32string, std::size_t> places_;
};

struct DictionaryOptions {
  LetterCase letter_case = LetterCase::upper;
  std::string grapheme_prefix;
  bool use_chars = true;
  bool use_stresses = true;
};

// A dictionary as texts are looked up in it.
struct Dictionary {
  struct Entry {
    std::u32string first;        // the first pronunciation
    std::uint32_t variants = 0;  // how many there are
  };
  std::unordered_map<std::string, Entry> entries;  // keys in UTF-8
  std::set<std::string> symbols;                   // of pronunciations and spelled words, in UTF-8
};

// `fixed_vocab`, if it isn't empty, replaces the symbols, and what has others is left out.
Dictionary make_dictionary(const RawDictionary& raw, const DictionaryOptions& options,
                           const std::set<std::string>& fixed_vocab);

// The lines of a list of heteronyms, without white space at their ends. Throws FormatError naming
// file and line.
std::vector<std::u32string> read_heteronyms(std::string_view file, const std::string& where);

}  // namespace ttsrt::text
