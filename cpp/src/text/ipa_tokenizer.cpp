// Words by a pronunciation dictionary, in the symbols of the IPA; all other text by its letters.
//
// The original keeps some words of the dictionary as letters at random, as it did in training. Here
// every word that the dictionary has is pronounced.
#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "core/check.h"
#include "core/quote.h"
#include "text/normalize.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/word_characters.h"
#include "text/word_cutter.h"

namespace ttsrt::text {
namespace {

std::u32string points_of(std::string_view bytes) {
  std::u32string points;
  decode_utf8(bytes, points);
  return points;
}

bool ends_with(const std::u32string& word, std::u32string_view end) {
  return word.size() >= end.size() && word.compare(word.size() - end.size(), end.size(), end) == 0;
}

// English words are in small letters before anything else; they have no other letters than these.
void lower_basic(std::u32string& text) {
  for (char32_t& point : text) {
    if (point >= 'A' && point <= 'Z') point += 'a' - 'A';
  }
}

// What French puts before words that begin with a vowel, and how it is said.
constexpr std::pair<std::u32string_view, std::u32string_view> kContractions[] = {
    {U"l'", U"l"}, {U"c'", U"s"},          {U"d'", U"d"},          {U"j'", U"ʒ"},
    {U"m'", U"m"}, {U"n'", U"n"},          {U"qu'", U"k"},         {U"s'", U"s"},
    {U"t'", U"t"}, {U"puisqu'", U"pyisk"}, {U"lorsqu'", U"loʁsk"}, {U"jusqu'", U"ʒysk"}};

std::vector<std::string> symbols_of(const IpaOptions& options, const WordTable& table) {
  std::set<std::string> symbols;
  for (std::string& symbol : table.symbols()) symbols.insert(std::move(symbol));
  const bool has_space = symbols.count(" ") != 0;
  if (options.apostrophe) symbols.insert("'");
  symbols.insert(options.punctuation.begin(), options.punctuation.end());
  std::vector<std::string> all(symbols.begin(), symbols.end());
  if (!has_space) all.emplace_back(" ");
  if (options.silence) all.push_back(*options.silence);
  return all;
}

class IpaTokenizer final : public Tokenizer {
 public:
  IpaTokenizer(std::string name, const IpaOptions& options,
               const std::vector<std::u32string>& heteronyms, WordTable table)
      : Tokenizer(std::move(name)),
        table_(std::move(table)),
        vocabulary_(symbols_of(options, table_), options.blank),
        prefix_(options.dictionary.grapheme_prefix),
        letter_case_(options.dictionary.letter_case),
        is_prepared_as_english_(options.is_english),
        has_english_words_(options.word_locale == "en-US"),
        has_french_words_(options.word_locale == "fr-FR"),
        always_letters_(options.always_letters),
        needs_one_variant_(options.ignore_ambiguous_words),
        pads_(options.pad_with_space),
        space_(vocabulary_.space()) {
    vocabulary_.set_prefix(prefix_);
    for (const std::u32string& word : heteronyms) heteronyms_.insert(in_case(word, letter_case_));
  }

  const char* kind() const override { return "ipa"; }
  std::vector<std::string> tokens() const override { return vocabulary_.tokens(); }
  std::int32_t size() const override {
    return static_cast<std::int32_t>(vocabulary_.tokens().size());
  }
  std::int32_t pad() const override { return vocabulary_.pad(); }
  const WordTable* table() const override { return &table_; }

  Lexicon prepare(const std::vector<LexiconEntry>& entries) const override;
  void encode(const std::u32string& text, const TextOptions& options, const Lexicon& lexicon,
              Run& run) const override;
  void encode_phonemes(const std::u32string& symbols, Run& run) const override;
  std::int64_t finish(Run& run) const override;

 private:
  using Found = std::optional<WordTable::Word>;

  Traced prepared(const std::u32string& text) const {
    const Traced traced = trace(text);
    return is_prepared_as_english_ ? nfc(without_accents(traced)) : composed(traced);
  }
  Found find(const std::u32string& word) const { return table_.find(to_utf8(word)); }
  // As find, then in capital letters; `word` becomes the one that was found.
  Found find_any(std::u32string& word) const;
  bool has(std::u32string word) const { return find_any(word).has_value(); }
  bool may_say(const Found& found) const {
    return found && (!needs_one_variant_ || found->variants == 1);
  }
  bool is_spoken_text(const std::u32string& word) const {
    return std::any_of(word.begin(), word.end(), is_word_character_or_digit);
  }
  std::int32_t id_of(char32_t symbol, const std::string& where) const;

  void put(char32_t symbol, TextSpan span, Run& run) const;
  void put_all(std::u32string_view symbols, TextSpan span, Run& run) const {
    for (const char32_t symbol : symbols) put(symbol, span, run);
  }
  void put_group(const Traced& group, Run& run) const;
  void spell(const Traced& word, Run& run) const;
  void say(const Traced& token, const Lexicon& lexicon, Run& run) const;
  std::optional<Traced> say_known(const Traced& token, const Lexicon& lexicon, Run& run) const;
  bool say_of_lexicon(const Traced& token, const Lexicon& lexicon, Run& run) const;
  bool say_suffix(const std::u32string& word, TextSpan span, Run& run) const;
  bool say_contraction(const std::u32string& word, TextSpan span, Run& run) const;

  WordTable table_;
  Vocabulary vocabulary_;
  std::string prefix_;
  std::unordered_set<std::u32string> heteronyms_;
  LetterCase letter_case_;
  bool is_prepared_as_english_, has_english_words_, has_french_words_;
  bool always_letters_, needs_one_variant_, pads_;
  std::int32_t space_;
};

std::int32_t IpaTokenizer::id_of(char32_t symbol, const std::string& where) const {
  const std::int32_t id = vocabulary_.find(symbol);
  TTSRT_CHECK(ConfigError, id != kNoId, where, ": ", name(), " has no symbol ",
              in_quotes(to_utf8(std::u32string(1, symbol))));
  return id;
}

Lexicon IpaTokenizer::prepare(const std::vector<LexiconEntry>& entries) const {
  Lexicon made;
  for (const LexiconEntry& entry : entries) {
    const std::string where = "lexicon: " + in_quotes(entry.word, 40);
    std::u32string given, symbols;
    TTSRT_CHECK(
        ConfigError,
        decode_utf8(entry.word, given) == kIsUtf8 && decode_utf8(entry.symbols, symbols) == kIsUtf8,
        where, ": expected UTF-8");
    const std::u32string word = prepared(given).points;
    const bool is_word = !word.empty() &&
                         token_at(word, 0, has_english_words_).end == word.size() &&
                         token_at(word, 0, has_english_words_).kind == TokenKind::word;
    TTSRT_CHECK(ConfigError, is_word, where, ": expected one word, from a letter to a letter with ",
                "nothing but letters, \"-\" and \"'\" between");
    std::vector<std::int32_t> ids;
    for (const char32_t symbol : nfc(symbols)) {
      if (!is_space(symbol)) ids.push_back(id_of(symbol, where));
    }
    TTSRT_CHECK(ConfigError, !ids.empty(), where, ": expected symbols, got none");
    if (entry.is_exact) {
      made.exact[word] = std::move(ids);
    } else {
      made.any_case[upper(word)] = std::move(ids);
    }
  }
  return made;
}

void IpaTokenizer::encode(const std::u32string& text, const TextOptions& /*options*/,
                          const Lexicon& lexicon, Run& run) const {
  const Traced given = prepared(text);
  for (std::size_t at = 0; at < given.size();) {
    const Token token = token_at(given.points, at, has_english_words_);
    at = token.end;
    const Traced piece = given.slice(token.begin, token.end);
    if (token.kind == TokenKind::group) {
      put_group(piece, run);
    } else if (token.kind == TokenKind::bar) {
      run.drop(piece.span());
    } else {
      say(piece, lexicon, run);
    }
  }
}

void IpaTokenizer::encode_phonemes(const std::u32string& symbols, Run& run) const {
  const Traced given = nfc(trace(symbols));
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!is_space(given.points[i])) run.add(id_of(given.points[i], "phonemes"), given.spans[i]);
  }
}

std::int64_t IpaTokenizer::finish(Run& run) const {
  const bool had_ids = !run.ids.empty();
  while (!run.ids.empty() && run.ids.back() == space_) {
    run.ids.pop_back();
    run.spans.pop_back();
  }
  if (had_ids && run.ids.empty()) return kOnlySpaces;
  const auto spoken = static_cast<std::int64_t>(run.ids.size());
  if (pads_) run.surround(space_);
  return spoken;
}

void IpaTokenizer::put(char32_t symbol, TextSpan span, Run& run) const {
  const std::int32_t id = vocabulary_.find(symbol);
  if (id != kNoId) {
    run.add(id, span);
  } else {
    run.drop(span);
  }
}

void IpaTokenizer::put_group(const Traced& group, Run& run) const {
  const std::size_t end = group.size() - 1;  // without the bars
  for (std::size_t at = 1; at <= end;) {
    const std::size_t behind = std::min(group.points.find(U' ', at), end);
    const Traced piece = group.slice(at, behind);
    const std::int32_t id = vocabulary_.find(prefix_ + to_utf8(piece.points));
    const TextSpan span =
        piece.empty() ? TextSpan{group.spans[at].begin, group.spans[at].begin} : piece.span();
    if (id != kNoId) {
      run.add(id, span);
    } else {
      run.drop(span);
    }
    at = behind + 1;
  }
}

void IpaTokenizer::spell(const Traced& word, Run& run) const {
  for (std::size_t i = 0; i < word.size(); ++i) {
    const std::int32_t id = vocabulary_.find_spelled(word.points[i]);
    if (id != kNoId) {
      run.add(id, word.spans[i]);
    } else {
      run.drop(word.spans[i]);
    }
  }
}

// A word that isn't known is said by its parts between hyphens, each known or spelled.
void IpaTokenizer::say(const Traced& token, const Lexicon& lexicon, Run& run) const {
  const std::optional<Traced> letters = say_known(token, lexicon, run);
  if (!letters) return;
  std::size_t hyphen = token.points.find(U'-');
  if (hyphen == std::u32string::npos) return spell(*letters, run);
  for (std::size_t begin = 0;;) {
    const Traced part = token.slice(begin, std::min(hyphen, token.size()));
    if (const auto unknown = say_known(part, lexicon, run)) spell(*unknown, run);
    if (hyphen == std::u32string::npos) return;
    put('-', token.spans[hyphen], run);
    begin = hyphen + 1;
    hyphen = token.points.find(U'-', begin);
  }
}

// Returns the letters of a token that nothing is known of.
std::optional<Traced> IpaTokenizer::say_known(const Traced& token, const Lexicon& lexicon,
                                              Run& run) const {
  Traced given = token;
  if (has_english_words_) lower_basic(given.points);
  Traced word = letter_case_ == LetterCase::upper   ? upper(given)
                : letter_case_ == LetterCase::lower ? lower(given)
                                                    : std::move(given);
  if (!is_spoken_text(word.points)) {
    for (std::size_t i = 0; i < word.size(); ++i) put(word.points[i], word.spans[i], run);
    return std::nullopt;
  }
  if (!lexicon.empty() && say_of_lexicon(token, lexicon, run)) return std::nullopt;
  if (always_letters_ || heteronyms_.count(word.points) != 0) {
    spell(word, run);
    return std::nullopt;
  }
  const TextSpan span = word.span();
  if (has_english_words_ && say_suffix(word.points, span, run)) return std::nullopt;
  if (has_french_words_ && say_contraction(word.points, span, run)) return std::nullopt;
  Found found = find(word.points);
  if (!found && letter_case_ == LetterCase::mixed) {
    Traced capitals = upper(word);
    found = find(capitals.points);
    if (found) word = std::move(capitals);
  }
  if (!may_say(found)) return word;
  put_all(points_of(found->first), span, run);
  return std::nullopt;
}

bool IpaTokenizer::say_of_lexicon(const Traced& token, const Lexicon& lexicon, Run& run) const {
  auto found = lexicon.exact.find(token.points);
  if (found == lexicon.exact.end()) {
    found = lexicon.any_case.find(upper(token.points));
    if (found == lexicon.any_case.end()) return false;
  }
  for (const std::int32_t id : found->second) run.add(id, token.span());
  return true;
}

IpaTokenizer::Found IpaTokenizer::find_any(std::u32string& word) const {
  if (const Found found = find(word)) return found;
  std::u32string capitals = upper(word);
  if (capitals == word) return std::nullopt;
  word = std::move(capitals);
  return find(word);
}

// English plurals and genitives of words that the dictionary has without their "s".
bool IpaTokenizer::say_suffix(const std::u32string& word, TextSpan span, Run& run) const {
  const bool ends_in_s = word.size() > 1 && (word.back() == 's' || word.back() == 'S');
  if (!ends_in_s || has(word)) return false;
  const bool is_genitive = word.size() > 2 && (ends_with(word, U"'s") || ends_with(word, U"'S"));
  for (const std::size_t length : {std::size_t{2}, std::size_t{1}}) {
    if (length == 2 && !is_genitive) continue;
    std::u32string stem = word.substr(0, word.size() - length);
    const Found found = find_any(stem);
    if (!may_say(found)) continue;
    put_all(points_of(found->first), span, run);
    const char32_t last = stem.back();
    if (last == 'T' || last == 't') {
      put('s', span, run);
    } else if (length == 2 && (last == 'S' || last == 's')) {
      put_all(U"ɪz", span, run);
    } else {
      put('z', span, run);
    }
    return true;
  }
  return false;
}

bool IpaTokenizer::say_contraction(const std::u32string& word, TextSpan span, Run& run) const {
  if (word.size() <= 2 || has(word)) return false;
  for (const auto& [letters, symbols] : kContractions) {
    const std::u32string small(letters);
    const bool begins = word.compare(0, small.size(), small) == 0 ||
                        word.compare(0, small.size(), upper(small)) == 0;
    if (!begins) continue;
    std::u32string rest = word.substr(small.size());
    const Found found = find_any(rest);
    if (!may_say(found)) continue;
    put_all(symbols, span, run);
    put_all(points_of(found->first), span, run);
    return true;
  }
  return false;
}

}  // namespace

std::set<std::string> prepared_vocab(const IpaOptions& options) {
  std::set<std::string> symbols;
  for (const std::string& symbol : options.fixed_vocab) {
    const Traced given = trace(points_of(symbol));
    const Traced prepared = options.is_english ? without_accents(given) : composed(given);
    symbols.insert(to_utf8(prepared.points));
  }
  return symbols;
}

std::unique_ptr<Tokenizer> make_ipa_tokenizer(std::string name, const IpaOptions& options,
                                              const std::vector<std::u32string>& heteronyms,
                                              WordTable table) {
  return std::make_unique<IpaTokenizer>(std::move(name), options, heteronyms, std::move(table));
}

}  // namespace ttsrt::text
