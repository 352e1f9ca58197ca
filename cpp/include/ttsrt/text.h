// Text front ends: what turns a text into the ids that a model reads. A front end belongs to an
// engine that carries one, or is opened from the folder "text" of a checkpoint or an engine.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ttsrt/export.h"

namespace ttsrt {

/// A part of a given text, in code points of it, half open.
struct TextSpan {
  std::int32_t begin = 0;
  std::int32_t end = 0;
};

/// A part of what is spoken: plain text, or phonemes.
struct TextPart {
  std::string text;  ///< UTF-8
  /// The text is a pronunciation as dictionaries have it: in NFC every code point is a symbol,
  /// white space means nothing, and a symbol that the tokenizer doesn't have is an error.
  bool is_phonemes = false;
  std::string tokenizer;   ///< that encodes it; empty: the one of the call
  std::int32_t begin = 0;  ///< where it begins in the given text, in code points
  /// Where each code point of `text` comes from in the given text; empty: they are there in a row,
  /// from `begin`.
  std::vector<TextSpan> spans;
};

/// A word's pronunciation, which comes before heteronyms and dictionaries.
struct LexiconEntry {
  std::string word;       ///< one word of letters, "-" and "'"
  std::string symbols;    ///< as a TextPart of phonemes
  bool is_exact = false;  ///< whether capitals count
};

/// How texts are encoded.
struct TextOptions {
  /// Characters that no symbol speaks are an error. Otherwise they are left out and counted.
  bool strict = false;
  /// Tokenizers of bytes: "<pad>", "</s>", "<unk>" and "<extra_id_N>" in a text are ids of their
  /// own, as in the original, and not the bytes that they are written with.
  bool special_text = false;
};

/// When a text is spoken in several chunks.
enum class TextSplit : std::int32_t {
  automatic,  ///< sentences, where the text has at least threshold(language) words
  never,      ///< one chunk
  sentences,  ///< each sentence is a chunk
  phrases     ///< as automatic; chunks of over 35 words are cut between phrases, or between words
};

/// Inverts the names "auto", "never", "sentences" and "phrases"; throws ConfigError for others.
TTSRT_API TextSplit text_split_from_name(const std::string& name);

/// A character that no symbol speaks, and how often it was left out.
struct DroppedCharacter {
  std::string character;  ///< UTF-8
  std::int64_t count = 0;
};

struct EncodedText {
  std::vector<std::int32_t> ids;          ///< of the model's table; without the id that ends a text
  std::vector<TextSpan> spans;            ///< of each id, in the given text
  std::vector<DroppedCharacter> dropped;  ///< in the order of code points
};

/// A chunk of a text before it is encoded.
struct TextPiece {
  std::string text;             ///< as it will be encoded: sentences begin with a capital letter
  TextSpan span;                ///< in the given text
  std::vector<TextSpan> spans;  ///< of each code point of `text`, in the given text
};

/// A text in chunks, ready for a model.
struct EncodedChunks {
  std::vector<std::int32_t> ids;      ///< of all chunks; each ends in the id that ends a text
  std::vector<std::int32_t> lengths;  ///< ids of each chunk
  std::vector<TextSpan> spans;        ///< of each id; of the last of a chunk, empty at its end
  std::vector<TextPiece> pieces;      ///< the chunks' texts
  std::vector<DroppedCharacter> dropped;
};

/// One of the vocabularies that a front end is made of.
struct TextTokenizerInfo {
  std::string name;
  std::string kind;  ///< "ipa", "bytes", "chars"; "mandarin" and "japanese" are encoded in Python
  std::int32_t offset = 0;  ///< its first id
  std::int32_t size = 0;    ///< how many ids it has
  std::int32_t pad = -1;    ///< its padding id, offset included; -1: none
};

/// A language that a front end speaks.
struct TextLanguage {
  std::string language;   ///< as the checkpoint calls it: "de"; empty: a tokenizer was named
  std::string tokenizer;  ///< its name
};

struct FrontEndData;

/// Turns text into ids. Immutable and thread safe. All functions throw ConfigError for a text that
/// isn't UTF-8 (naming the byte) or over 16 MiB, for unknown languages and tokenizers (naming the
/// known ones), and for tokenizers that need Python.
class TTSRT_API TextFrontEnd {
 public:
  /// Reads the folder "text" of a checkpoint, whose dictionaries it parses, or of an engine. Throws
  /// FormatError naming file and line or field.
  static std::shared_ptr<const TextFrontEnd> open(const std::string& folder);

  /// As open, of the folder that has a folder "text". Null if it has none, or a front end that only
  /// Python knows. Throws FormatError as open.
  static std::shared_ptr<const TextFrontEnd> find(const std::string& folder);

  const std::vector<TextTokenizerInfo>& tokenizers() const;  ///< in the order of their ids
  const std::vector<TextLanguage>& languages() const;        ///< sorted
  const std::string& default_language() const;
  std::int32_t size() const;  ///< ids of all tokenizers
  std::int32_t text_bos() const;
  std::int32_t text_eos() const;

  /// The vocabulary of one tokenizer, in the order of its ids. Where two symbols are equal, the
  /// later id stands for both. A byte is the character of its number.
  std::vector<std::string> tokens(const std::string& tokenizer) const;

  /// Finds a language by its name ("de", "de-DE", "de_DE"), by the name of a tokenizer, or, if it
  /// is empty, the default.
  TextLanguage resolve(const std::string& language) const;

  /// Encodes parts, one behind the other, as they are; nothing is split. Neighbours of one
  /// tokenizer are one text.
  EncodedText encode(const std::vector<TextPart>& parts, const std::string& tokenizer,
                     const TextOptions& options = {},
                     const std::vector<LexiconEntry>& lexicon = {}) const;

  /// Cuts a text into the chunks that the original would speak one after the other. Pieces are not
  /// empty, but there may be none.
  std::vector<TextPiece> split(const std::string& text, const std::string& language,
                               TextSplit mode) const;

  /// Words of a text, or characters for Chinese and Japanese, as splitting counts them.
  std::int64_t count(const std::string& text, const std::string& language) const;
  /// The count from which on a text is split into sentences.
  std::int64_t threshold(const std::string& language) const;

  /// Splits and encodes a text. A chunk in which nothing can be spoken is left out; throws
  /// ConfigError if that is true of all.
  EncodedChunks encode_chunks(const std::string& text, const std::string& language, TextSplit mode,
                              const TextOptions& options = {},
                              const std::vector<LexiconEntry>& lexicon = {}) const;

  /// The tokenizer of texts that describe a voice; empty: the model takes none, or its tokenizer is
  /// not there.
  const std::string& context_tokenizer() const;
  /// Encodes a text that describes a voice, with padding behind it: Request::context_text_ids.
  /// Throws ConfigError if there is no context_tokenizer(), or for a text that has more ids than
  /// the context has rows.
  std::vector<std::int32_t> encode_context(const std::string& text) const;

 private:
  explicit TextFrontEnd(std::shared_ptr<const FrontEndData> data);
  std::shared_ptr<const FrontEndData> data_;
};

}  // namespace ttsrt
