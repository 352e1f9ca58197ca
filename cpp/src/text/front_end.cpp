// The public TextFrontEnd: checks what callers give, and joins the runs of tokenizers.
#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/input_file.h"
#include "core/quote.h"
#include "text/front_end_data.h"
#include "text/split.h"

namespace ttsrt {
namespace {

using text::Run;
using text::Tokenizer;

constexpr std::size_t kMaxTextBytes = std::size_t{16} << 20;  // of a call
constexpr std::size_t kMaxParts = 1 << 16;
constexpr std::size_t kMaxLexicon = 100'000;  // entries
constexpr std::size_t kMaxListed = 40;        // names in a message

std::u32string decoded(const std::string& bytes) {
  TTSRT_CHECK(ConfigError, bytes.size() <= kMaxTextBytes, "text: expected at most ", kMaxTextBytes,
              " bytes, got ", bytes.size());
  std::u32string points;
  const std::size_t bad = text::decode_utf8(bytes, points);
  TTSRT_CHECK(ConfigError, bad == text::kIsUtf8, "text: expected UTF-8; at byte ", bad, " after ",
              points.size(), " characters, ", in_quotes(bytes.substr(bad, 4), 4),
              " begins no character");
  return points;
}

template <typename List, typename NameOf>
std::string listed(const List& list, NameOf name_of) {
  std::string names;
  for (std::size_t i = 0; i < std::min(list.size(), kMaxListed); ++i)
    names += (i == 0 ? "" : ", ") + clipped(name_of(list[i]), 60);
  return list.size() > kMaxListed ? names + ", ..." : names;
}

std::vector<DroppedCharacter> listed_drops(const text::Drops& drops) {
  std::vector<DroppedCharacter> dropped;
  for (const auto& [point, count] : drops)
    dropped.push_back({text::to_utf8(std::u32string(1, point)), count});
  return dropped;
}

// "U+1F642 "🙂" (2 times)", of the first ones.
std::string shown(const text::Drops& drops) {
  constexpr std::size_t kMost = 10;
  std::string all;
  std::size_t number = 0;
  for (const auto& [point, count] : drops) {
    if (++number > kMost) return all + ", ...";
    std::ostringstream code;
    code << std::hex << std::uppercase << static_cast<std::uint32_t>(point);
    const std::string digits = code.str();
    all += (all.empty() ? "" : ", ") + std::string("U+") +
           std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits + " " +
           in_quotes(text::to_utf8(std::u32string(1, point)), 1) +
           (count > 1 ? message(" (", count, " times)") : "");
  }
  return all;
}

// A part whose text has been read.
struct ReadPart {
  std::u32string points;
  const std::vector<TextSpan>* spans = nullptr;  // of the points; empty: in a row from `begin`
  std::int32_t begin = 0;
  bool is_phonemes = false;
  const Tokenizer* tokenizer = nullptr;
};

// The ids of one call.
class Encoder {
 public:
  Encoder(const FrontEndData& data, const Tokenizer& main, const TextOptions& options,
          const std::vector<LexiconEntry>& entries)
      : data_(data), main_(main), options_(options) {
    TTSRT_CHECK(ConfigError, entries.size() <= kMaxLexicon, "lexicon: expected at most ",
                kMaxLexicon, " words, got ", entries.size());
    lexicon_ = main.prepare(entries);
  }

  // Appends the ids of the parts and returns how many of them speak. `allows_spaces`: whether parts
  // of nothing but spaces are left out, where the original fails.
  std::int64_t encode(const std::vector<ReadPart>& parts, bool allows_spaces, EncodedText& into);

  const text::Drops& drops() const { return drops_; }
  void check_strict() const {
    TTSRT_CHECK(ConfigError, !options_.strict || drops_.empty(), "text: no symbol of ",
                main_.name(), " speaks ", shown(drops_),
                "; strict=False leaves such characters out");
  }
  [[noreturn]] void refuse_silence() const {
    throw ConfigError("text has no speakable symbol" +
                      (drops_.empty() ? std::string() : "; it has none for " + shown(drops_)));
  }

 private:
  std::int32_t offset_of(const Tokenizer& tokenizer) const {
    return data_.infos[data_.place_of(tokenizer.name())].offset;
  }

  const FrontEndData& data_;
  const Tokenizer& main_;
  const TextOptions& options_;
  text::Lexicon lexicon_;  // of `main`
  const text::Lexicon no_lexicon_{};
  text::Drops drops_;
};

std::int64_t Encoder::encode(const std::vector<ReadPart>& parts, bool allows_spaces,
                             EncodedText& into) {
  std::int64_t spoken = 0;
  bool had_only_spaces = false;
  for (std::size_t i = 0; i < parts.size();) {
    const Tokenizer& tokenizer = *parts[i].tokenizer;
    Run run(drops_);
    for (; i < parts.size() && parts[i].tokenizer == &tokenizer; ++i) {
      const ReadPart& part = parts[i];
      run.begin_part(part.points, *part.spans, part.begin);
      if (part.is_phonemes) {
        tokenizer.encode_phonemes(part.points, run);
      } else {
        tokenizer.encode(part.points, options_, &tokenizer == &main_ ? lexicon_ : no_lexicon_, run);
      }
    }
    const std::int64_t of_run = tokenizer.finish(run);
    had_only_spaces = had_only_spaces || of_run == Tokenizer::kOnlySpaces;
    if (of_run == Tokenizer::kOnlySpaces) continue;
    spoken += of_run;
    const std::int32_t offset = offset_of(tokenizer);
    for (const std::int32_t id : run.ids) into.ids.push_back(offset + id);
    into.spans.insert(into.spans.end(), run.spans.begin(), run.spans.end());
  }
  if (had_only_spaces && spoken == 0 && !allows_spaces) refuse_silence();
  return spoken;
}

std::vector<ReadPart> read_parts(const std::vector<TextPart>& parts, const FrontEndData& data,
                                 const Tokenizer& main) {
  TTSRT_CHECK(ConfigError, parts.size() <= kMaxParts, "parts: expected at most ", kMaxParts,
              ", got ", parts.size());
  std::size_t bytes = 0;
  std::vector<ReadPart> read;
  for (const TextPart& part : parts) {
    bytes += part.text.size();
    TTSRT_CHECK(ConfigError, bytes <= kMaxTextBytes, "text: expected at most ", kMaxTextBytes,
                " bytes in all parts, got more");
    ReadPart one;
    one.points = decoded(part.text);
    one.spans = &part.spans;
    one.begin = part.begin;
    one.is_phonemes = part.is_phonemes;
    one.tokenizer =
        part.tokenizer.empty() ? &main : data.tokenizers[data.place_of(part.tokenizer)].get();
    TTSRT_CHECK(ConfigError, part.spans.empty() || part.spans.size() == one.points.size(),
                "parts: spans: expected one for each of ", one.points.size(), " characters, got ",
                part.spans.size());
    TTSRT_CHECK(ConfigError,
                part.begin >= 0 && part.begin <= static_cast<std::int32_t>(kMaxTextBytes),
                "parts: begin: expected 0 to ", kMaxTextBytes, ", got ", part.begin);
    read.push_back(std::move(one));
  }
  return read;
}

// Names of languages are compared without case, and "_" is "-".
std::string folded(const std::string& language) {
  std::string name = language;
  for (char& letter : name) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    if (letter == '_') letter = '-';
  }
  return name;
}

const TextLanguage* find_language(const FrontEndData& data, const std::string& language) {
  for (const TextLanguage& of : data.languages) {
    if (of.language == language) return &of;
  }
  for (const TextLanguage& of : data.languages) {
    if (folded(of.language) == folded(language)) return &of;
  }
  for (const TextLanguage& of : data.languages) {
    if (folded(of.language) == text::primary_subtag(language)) return &of;
  }
  return nullptr;
}

}  // namespace

std::size_t FrontEndData::place_of(const std::string& name) const {
  for (std::size_t i = 0; i < infos.size(); ++i) {
    if (infos[i].name == name) return i;
  }
  const auto name_of = [](const TextTokenizerInfo& info) { return info.name; };
  throw ConfigError(message("tokenizer: expected one of ", listed(infos, name_of), "; got ",
                            in_quotes(name, 60)));
}

TextSplit text_split_from_name(const std::string& name) {
  const std::pair<const char*, TextSplit> all[] = {{"auto", TextSplit::automatic},
                                                   {"never", TextSplit::never},
                                                   {"sentences", TextSplit::sentences},
                                                   {"phrases", TextSplit::phrases}};
  for (const auto& [known, mode] : all) {
    if (name == known) return mode;
  }
  throw ConfigError(
      message("split: expected auto, never, sentences or phrases, got ", in_quotes(name, 60)));
}

TextFrontEnd::TextFrontEnd(std::shared_ptr<const FrontEndData> data) : data_(std::move(data)) {}

std::shared_ptr<const TextFrontEnd> TextFrontEnd::open(const std::string& folder) {
  const std::string path = folder + "/" + text::kFrontEndFile;
  Json json = parse_json(read_text(path, kMaxJson), path);
  const JsonGuard guard(json);
  auto data = std::make_shared<const FrontEndData>(text::read_front_end(json, folder));
  return std::shared_ptr<const TextFrontEnd>(new TextFrontEnd(std::move(data)));
}

const std::vector<TextTokenizerInfo>& TextFrontEnd::tokenizers() const { return data_->infos; }
const std::vector<TextLanguage>& TextFrontEnd::languages() const { return data_->languages; }
const std::string& TextFrontEnd::default_language() const { return data_->default_language; }
std::int32_t TextFrontEnd::size() const { return data_->size; }
std::int32_t TextFrontEnd::text_bos() const { return data_->text_bos; }
std::int32_t TextFrontEnd::text_eos() const { return data_->text_eos; }

const std::string& TextFrontEnd::context_tokenizer() const { return data_->context_tokenizer; }

std::vector<std::int32_t> TextFrontEnd::encode_context(const std::string& text) const {
  const std::string& name = data_->context_tokenizer;
  TTSRT_CHECK(ConfigError, !name.empty(),
              "context_text: this front end has no tokenizer for texts that describe a voice");
  TextPart part;
  part.text = text;
  std::vector<std::int32_t> ids = encode({part}, name).ids;
  const auto rows = static_cast<std::size_t>(data_->context_rows);
  TTSRT_CHECK(ConfigError, ids.size() <= rows, "context_text: expected at most ", rows,
              " ids of a text that describes a voice, got ", ids.size());
  ids.resize(rows, data_->infos[data_->place_of(name)].pad);
  return ids;
}

std::vector<std::string> TextFrontEnd::tokens(const std::string& tokenizer) const {
  return data_->tokenizers[data_->place_of(tokenizer)]->tokens();
}

TextLanguage TextFrontEnd::resolve(const std::string& language) const {
  const std::string& wanted = language.empty() ? data_->default_language : language;
  if (const TextLanguage* found = find_language(*data_, wanted)) return *found;
  for (const TextTokenizerInfo& info : data_->infos) {
    if (info.name != wanted) continue;
    for (const TextLanguage& of : data_->languages) {
      if (of.tokenizer == wanted) return of;
    }
    return {"", wanted};
  }
  const auto name_of = [](const TextLanguage& of) { return of.language; };
  throw ConfigError(message("language: expected one of ", listed(data_->languages, name_of),
                            ", or the name of a tokenizer; got ", in_quotes(wanted, 60)));
}

EncodedText TextFrontEnd::encode(const std::vector<TextPart>& parts, const std::string& tokenizer,
                                 const TextOptions& options,
                                 const std::vector<LexiconEntry>& lexicon) const {
  const Tokenizer& main = *data_->tokenizers[data_->place_of(tokenizer)];
  Encoder encoder(*data_, main, options, lexicon);
  EncodedText encoded;
  encoder.encode(read_parts(parts, *data_, main), false, encoded);
  encoder.check_strict();
  encoded.dropped = listed_drops(encoder.drops());
  return encoded;
}

std::vector<TextPiece> TextFrontEnd::split(const std::string& text, const std::string& language,
                                           TextSplit mode) const {
  const std::string name = resolve(language).language;
  std::vector<TextPiece> pieces;
  for (text::Traced& chunk : text::split(text::trace(decoded(text)), name, mode)) {
    pieces.push_back({text::to_utf8(chunk.points), chunk.span(), std::move(chunk.spans)});
  }
  return pieces;
}

std::int64_t TextFrontEnd::count(const std::string& text, const std::string& language) const {
  return text::count_words(decoded(text), resolve(language).language);
}

std::int64_t TextFrontEnd::threshold(const std::string& language) const {
  return text::long_text(resolve(language).language);
}

EncodedChunks TextFrontEnd::encode_chunks(const std::string& text, const std::string& language,
                                          TextSplit mode, const TextOptions& options,
                                          const std::vector<LexiconEntry>& lexicon) const {
  const TextLanguage found = resolve(language);
  const Tokenizer& tokenizer = *data_->tokenizers[data_->place_of(found.tokenizer)];
  Encoder encoder(*data_, tokenizer, options, lexicon);
  EncodedChunks chunks;
  for (TextPiece& piece : split(text, language, mode)) {
    EncodedText encoded;
    const std::vector<ReadPart> part = {{decoded(piece.text), &piece.spans, 0, false, &tokenizer}};
    if (encoder.encode(part, true, encoded) == 0) continue;
    encoded.ids.push_back(data_->text_eos);
    encoded.spans.push_back({piece.span.end, piece.span.end});
    chunks.ids.insert(chunks.ids.end(), encoded.ids.begin(), encoded.ids.end());
    chunks.spans.insert(chunks.spans.end(), encoded.spans.begin(), encoded.spans.end());
    chunks.lengths.push_back(static_cast<std::int32_t>(encoded.ids.size()));
    chunks.pieces.push_back(std::move(piece));
  }
  encoder.check_strict();
  if (chunks.lengths.empty()) encoder.refuse_silence();
  chunks.dropped = listed_drops(encoder.drops());
  return chunks;
}

}  // namespace ttsrt
