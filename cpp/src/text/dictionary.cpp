#include "text/dictionary.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "text/normalize.h"
#include "text/traced.h"
#include "text/unicode.h"
#include "text/word_characters.h"

namespace ttsrt::text {
namespace {

constexpr std::size_t kMaxWord = 256;       // code points
constexpr std::size_t kMaxVariant = 1024;   // symbols
constexpr std::size_t kMaxVariants = 1024;  // of a word
constexpr char32_t kPrimaryStress = 0x2C8, kSecondaryStress = 0x2CC;

// Calls use(line, number of the line) for each; lines end as in Python's text files.
template <typename Use>
void for_each_line(std::string_view file, Use use) {
  std::size_t number = 1;
  for (std::size_t at = 0; at < file.size(); ++number) {
    const std::size_t end = std::min(file.find_first_of("\r\n", at), file.size());
    use(file.substr(at, end - at), number);
    at = end + 1;
    if (end + 1 < file.size() && file[end] == '\r' && file[end + 1] == '\n') ++at;
  }
}

std::u32string decoded(std::string_view line, const std::string& where, std::size_t number) {
  std::u32string points;
  const std::size_t bad = decode_utf8(line, points);
  TTSRT_CHECK(FormatError, bad == kIsUtf8, where, ":", number, ": expected UTF-8, byte ", bad + 1,
              " of the line begins no character");
  return points;
}

bool begins_word(char32_t point) { return is_word_character(point) || point == '\''; }

// Without every group "(digits)", which numbers the pronunciations of a word.
std::u32string without_number(const std::u32string& word) {
  const auto is_digit = [](char32_t point) { return point >= '0' && point <= '9'; };
  std::u32string kept;
  for (std::size_t at = 0; at < word.size(); ++at) {
    if (word[at] == '(') {
      std::size_t end = at + 1;
      while (end < word.size() && is_digit(word[end])) ++end;
      if (end > at + 1 && end < word.size() && word[end] == ')') {
        at = end;
        continue;
      }
    }
    kept += word[at];
  }
  return kept;
}

std::u32string without_space(const std::u32string& text) {
  std::u32string kept;
  std::copy_if(text.begin(), text.end(), std::back_inserter(kept),
               [](char32_t point) { return !is_space(point); });
  return kept;
}

std::u32string without_stresses(const std::u32string& variant) {
  std::u32string kept;
  std::copy_if(variant.begin(), variant.end(), std::back_inserter(kept), [](char32_t symbol) {
    return symbol != kPrimaryStress && symbol != kSecondaryStress;
  });
  return kept;
}

std::string spelled(const std::string& prefix, char32_t point) {
  std::string symbol = prefix;
  append_utf8(point, symbol);
  return symbol;
}

using Variants = std::vector<std::u32string>;

// Whether every letter of the word, with the prefix, is a symbol.
bool can_spell(const std::u32string& word, const DictionaryOptions& options,
               const std::set<std::string>& symbols) {
  const std::u32string cased = in_case(word, options.letter_case);
  return std::all_of(cased.begin(), cased.end(), [&](char32_t point) {
    return symbols.count(spelled(options.grapheme_prefix, point)) != 0;
  });
}

bool can_say(const std::u32string& variant, const std::set<std::string>& symbols) {
  return std::all_of(variant.begin(), variant.end(),
                     [&](char32_t symbol) { return symbols.count(spelled("", symbol)) != 0; });
}

}  // namespace

std::u32string in_case(const std::u32string& word, LetterCase letter_case) {
  if (letter_case == LetterCase::upper) return upper(word);
  return letter_case == LetterCase::lower ? lower(word) : word;
}

void RawDictionary::add(std::string_view file, const std::string& where) {
  for_each_line(file,
                [&](std::string_view line, std::size_t number) { add_line(line, where, number); });
}

void RawDictionary::add_line(std::string_view bytes, const std::string& where, std::size_t number) {
  const std::u32string line = nfc(decoded(bytes, where, number));
  if (line.empty() || !begins_word(line[0])) return;
  const auto word_end = std::find_if(line.begin(), line.end(), is_space);
  const std::u32string word = without_number({line.begin(), word_end});
  std::u32string variant = without_space({word_end, line.end()});
  TTSRT_CHECK(FormatError, !variant.empty(), where, ":", number,
              ": expected a word and its pronunciation, got a word alone");
  TTSRT_CHECK(FormatError, word.size() <= kMaxWord && variant.size() <= kMaxVariant, where, ":",
              number, ": expected at most ", kMaxWord, " letters and ", kMaxVariant,
              " symbols, got ", word.size(), " and ", variant.size());
  const auto [place, is_new] = places_.emplace(word, words_.size());
  if (is_new) words_.push_back({word, {}});
  Variants& variants = words_[place->second].variants;
  TTSRT_CHECK(FormatError, words_.size() <= kMaxDictionaryWords && variants.size() < kMaxVariants,
              where, ":", number, ": expected at most ", kMaxDictionaryWords, " words with ",
              kMaxVariants, " pronunciations each");
  variants.push_back(std::move(variant));
}

Dictionary make_dictionary(const RawDictionary& raw, const DictionaryOptions& options,
                           const std::set<std::string>& fixed_vocab) {
  Dictionary made;
  std::unordered_map<std::u32string, Variants> table;
  for (const RawDictionary::Word& of : raw.words()) {
    const std::u32string key = in_case(of.word, options.letter_case);
    if (options.use_chars) {
      for (const char32_t point : key) {
        if (is_word_character_or_digit(point))
          made.symbols.insert(spelled(options.grapheme_prefix, point));
      }
    }
    Variants variants = of.variants;
    for (std::u32string& variant : variants) {
      if (!options.use_stresses) variant = without_stresses(variant);
      for (const char32_t symbol : variant) made.symbols.insert(spelled("", symbol));
    }
    if (options.letter_case == LetterCase::mixed && !is_upper(key)) table[upper(key)] = variants;
    table[key] = std::move(variants);
  }
  const bool is_fixed = !fixed_vocab.empty() && fixed_vocab != made.symbols;
  if (is_fixed) made.symbols = fixed_vocab;
  for (auto& [key, variants] : table) {
    if (is_fixed) {
      if (!can_spell(key, options, fixed_vocab)) continue;
      const auto unsayable = [&](const std::u32string& of) { return !can_say(of, fixed_vocab); };
      variants.erase(std::remove_if(variants.begin(), variants.end(), unsayable), variants.end());
      if (variants.empty()) continue;
    }
    made.entries[to_utf8(key)] = {variants.front(), static_cast<std::uint32_t>(variants.size())};
  }
  return made;
}

std::vector<std::u32string> read_heteronyms(std::string_view file, const std::string& where) {
  std::vector<std::u32string> words;
  for_each_line(file, [&](std::string_view line, std::size_t number) {
    std::u32string word = right_stripped(decoded(line, where, number));
    TTSRT_CHECK(FormatError, word.size() <= kMaxWord, where, ":", number, ": expected at most ",
                kMaxWord, " letters, got ", word.size());
    if (!word.empty()) words.push_back(std::move(word));
  });
  return words;
}

}  // namespace ttsrt::text
