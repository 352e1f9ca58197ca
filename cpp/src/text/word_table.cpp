#include "text/word_table.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/quote.h"
#include "core/sha256.h"
#include "core/utf8.h"
#include "text/traced.h"

namespace ttsrt::text {
namespace {

constexpr std::string_view kMagic = "TTSRTDIC";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kNumber = 4;  // bytes
constexpr std::size_t kHeaderNumbers = 6;
constexpr std::size_t kDigest = 32;  // bytes of a SHA-256
constexpr std::size_t kDigestAt = 8 + kHeaderNumbers * kNumber;
constexpr std::size_t kBody = kDigestAt + kDigest;
constexpr std::size_t kMaxSymbols = std::size_t{1} << 20;

void put(std::string& bytes, std::size_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    bytes.push_back(static_cast<char>(value >> shift));
}

std::string digest_of(std::string_view body) {
  const std::string hex = sha256_hex(reinterpret_cast<const std::byte*>(body.data()), body.size());
  std::string digest;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    digest.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return digest;
}

// Texts that follow each other, and where each ends.
struct Texts {
  void add(std::string_view text) {
    bytes += text;
    put(ends, bytes.size());
  }
  std::string ends;
  std::string bytes;
};

}  // namespace

std::string write_table(const Dictionary& dictionary) {
  std::vector<const std::pair<const std::string, Dictionary::Entry>*> sorted;
  for (const auto& entry : dictionary.entries) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* one, const auto* other) { return one->first < other->first; });
  Texts words, variants, symbols;
  std::string counts;
  for (const auto* entry : sorted) {
    words.add(entry->first);
    variants.add(to_utf8(entry->second.first));
    put(counts, entry->second.variants);
  }
  for (const std::string& symbol : dictionary.symbols) symbols.add(symbol);
  const std::string body = words.ends + variants.ends + counts + symbols.ends + words.bytes +
                           variants.bytes + symbols.bytes;
  TTSRT_CHECK(ConfigError, kBody + body.size() <= kMaxTableBytes, "dictionary: expected at most ",
              kMaxTableBytes, " bytes of words and ", "pronunciations, got ", kBody + body.size());
  std::string file(kMagic);
  for (const std::size_t value : {std::size_t{kVersion}, sorted.size(), dictionary.symbols.size(),
                                  words.bytes.size(), variants.bytes.size(), symbols.bytes.size()})
    put(file, value);
  return file + digest_of(body) + body;
}

WordTable::WordTable(std::string file, const std::string& where) : file_(std::move(file)) {
  TTSRT_CHECK(FormatError, file_.size() >= kBody && file_.compare(0, kMagic.size(), kMagic) == 0,
              where, ": expected a dictionary of an engine, which begins with ", kMagic);
  const auto header = [this](std::size_t index) { return number(kMagic.size(), index); };
  TTSRT_CHECK(FormatError, header(0) == kVersion, where, ": expected version ", kVersion, ", got ",
              header(0), "; build the engine again from its checkpoint");
  words_ = header(1);
  num_symbols_ = header(2);
  TTSRT_CHECK(FormatError, words_ <= 2 * kMaxDictionaryWords && num_symbols_ <= kMaxSymbols, where,
              ": expected at most ", 2 * kMaxDictionaryWords, " words and ", kMaxSymbols,
              " symbols, got ", words_, " and ", num_symbols_);
  word_ends_ = kBody;
  variant_ends_ = word_ends_ + words_ * kNumber;
  variant_counts_ = variant_ends_ + words_ * kNumber;
  symbol_ends_ = variant_counts_ + words_ * kNumber;
  word_bytes_ = symbol_ends_ + num_symbols_ * kNumber;
  variant_bytes_ = word_bytes_ + header(3);
  symbol_bytes_ = variant_bytes_ + header(4);
  const std::size_t end = symbol_bytes_ + header(5);
  TTSRT_CHECK(FormatError, file_.size() == end, where, ": expected ", end, " bytes, got ",
              file_.size());
  const std::string_view all = file_;
  TTSRT_CHECK(FormatError, digest_of(all.substr(kBody)) == all.substr(kDigestAt, kDigest), where,
              ": the words don't have the hash that was recorded: the file is damaged");
  check_texts("words", word_ends_, words_, word_bytes_, header(3), true, where);
  check_texts("pronunciations", variant_ends_, words_, variant_bytes_, header(4), false, where);
  check_texts("symbols", symbol_ends_, num_symbols_, symbol_bytes_, header(5), true, where);
  for (std::size_t i = 0; i < words_; ++i)
    TTSRT_CHECK(FormatError, number(variant_counts_, i) >= 1, where, ": word ", i,
                " has no pronunciation");
}

std::uint32_t WordTable::number(std::size_t begin, std::size_t index) const {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < kNumber; ++i)
    value |= std::uint32_t{static_cast<std::uint8_t>(file_[begin + index * kNumber + i])} << 8 * i;
  return value;
}

std::string_view WordTable::text(std::size_t ends, std::size_t bytes, std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : number(ends, index - 1);
  return std::string_view(file_).substr(bytes + begin, number(ends, index) - begin);
}

void WordTable::check_texts(const char* name, std::size_t ends, std::size_t count,
                            std::size_t bytes, std::size_t size, bool is_sorted,
                            const std::string& where) const {
  std::size_t begin = 0;
  std::string_view last;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t end = number(ends, i);
    TTSRT_CHECK(FormatError, end >= begin && end <= size, where, ": ", name, "[", i,
                "]: expected an end in [", begin, ", ", size, "], got ", end);
    std::string_view rest = std::string_view(file_).substr(bytes + begin, end - begin);
    const bool follows = !is_sorted || (!rest.empty() && last < rest);
    TTSRT_CHECK(FormatError, follows, where, ": ", name, ": ", in_quotes(rest, 40),
                " isn't behind ", in_quotes(last, 40), " in the order of bytes");
    last = rest;
    while (!rest.empty()) {
      const std::size_t length = first_character(rest).bytes;
      TTSRT_CHECK(FormatError, length > 0, where, ": ", name, ": ", i, " isn't UTF-8");
      rest.remove_prefix(length);
    }
    begin = end;
  }
  TTSRT_CHECK(FormatError, begin == size, where, ": ", name, ": expected ", size, " bytes, got ",
              begin);
}

std::optional<WordTable::Word> WordTable::find(std::string_view word) const {
  std::size_t first = 0, behind = words_;
  while (first < behind) {
    const std::size_t middle = first + (behind - first) / 2;
    if (text(word_ends_, word_bytes_, middle) < word) {
      first = middle + 1;
    } else {
      behind = middle;
    }
  }
  if (first == words_ || text(word_ends_, word_bytes_, first) != word) return std::nullopt;
  return Word{text(variant_ends_, variant_bytes_, first), number(variant_counts_, first)};
}

std::vector<std::string> WordTable::symbols() const {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < num_symbols_; ++i)
    all.emplace_back(text(symbol_ends_, symbol_bytes_, i));
  return all;
}

}  // namespace ttsrt::text
