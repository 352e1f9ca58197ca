// One vocabulary of a front end and how texts become its ids.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/dictionary.h"
#include "text/run.h"
#include "text/traced.h"
#include "text/vocabulary.h"
#include "text/word_table.h"
#include "ttsrt/text.h"

namespace ttsrt::text {

// The entries of a call's lexicon as one tokenizer looks them up: symbols as ids.
struct Lexicon {
  using Table = std::unordered_map<std::u32string, std::vector<std::int32_t>>;
  Table exact;
  Table any_case;  // keys in capital letters
  bool empty() const { return exact.empty() && any_case.empty(); }
};

class Tokenizer {
 public:
  explicit Tokenizer(std::string name) : name_(std::move(name)) {}
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  const std::string& name() const { return name_; }
  virtual const char* kind() const = 0;
  virtual std::vector<std::string> tokens() const = 0;
  virtual std::int32_t size() const = 0;
  virtual std::int32_t pad() const = 0;  // kNoId: it has none
  // The dictionary that `build` packs; null: there is none.
  virtual const WordTable* table() const { return nullptr; }

  // Throws ConfigError for tokenizers without phonemes, unless there are no entries.
  virtual Lexicon prepare(const std::vector<LexiconEntry>& entries) const;

  // Appends the ids of a text, which is a part of the run.
  virtual void encode(const std::u32string& text, const TextOptions& options,
                      const Lexicon& lexicon, Run& run) const = 0;
  // Appends the ids of a pronunciation. Throws ConfigError for tokenizers without phonemes.
  virtual void encode_phonemes(const std::u32string& symbols, Run& run) const;
  // Ends the run: takes away spaces at its end, puts what surrounds a text. Returns how many ids
  // speak, which spaces don't; kOnlySpaces: the original fails.
  virtual std::int64_t finish(Run& run) const = 0;

  static constexpr std::int64_t kOnlySpaces = -1;

 protected:
  [[noreturn]] void refuse_phonemes(const char* what) const;

 private:
  std::string name_;
};

struct IpaOptions {
  bool is_english = false;  // texts are prepared as English ones
  // By whose rules words are cut and said: "en-US" and "fr-FR" have their own.
  std::string word_locale;
  bool always_letters = false;  // no word is pronounced but those of a lexicon
  DictionaryOptions dictionary;
  bool ignore_ambiguous_words = false;
  bool apostrophe = false;
  std::vector<std::string> punctuation;
  bool pad_with_space = false;
  std::optional<std::string> silence;
  BlankPlace blank = BlankPlace::none;
  std::set<std::string> fixed_vocab;  // as the file has it; empty: none
};

// The symbols that a fixed vocabulary allows.
std::set<std::string> prepared_vocab(const IpaOptions& options);

// Words by a dictionary, all else by letters. `heteronyms`: words that are spelled, though the
// dictionary has them.
std::unique_ptr<Tokenizer> make_ipa_tokenizer(std::string name, const IpaOptions& options,
                                              const std::vector<std::u32string>& heteronyms,
                                              WordTable table);

// The bytes of UTF-8, as the vocabulary of google/byt5-small has them.
std::unique_ptr<Tokenizer> make_byte_tokenizer(std::string name);

enum class Preparation : std::int32_t { english, nfc, lower };

struct CharOptions {
  std::vector<std::string> characters;
  Preparation preparation = Preparation::nfc;
  bool only_alphanumeric = false;  // of the characters, only these and "'" are taken
  bool apostrophe = true;
  std::vector<std::string> punctuation;
  bool pad_with_space = false;
  BlankPlace blank = BlankPlace::none;
};

std::unique_ptr<Tokenizer> make_char_tokenizer(std::string name, const CharOptions& options);

// A vocabulary whose texts Python encodes: the core knows its ids alone.
std::unique_ptr<Tokenizer> make_foreign_tokenizer(std::string name, std::string kind,
                                                  std::vector<std::string> tokens);

// Texts as the original prepares them for English: without accents, with plain quotation marks.
Traced without_accents(const Traced& text);
// And for other languages: NFC, with a plain apostrophe.
Traced composed(const Traced& text);

}  // namespace ttsrt::text
