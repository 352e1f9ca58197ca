// Reads front_end.json, which docs/format.md describes, and opens the tokenizers that it lists.
#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/input_file.h"
#include "core/quote.h"
#include "text/front_end_data.h"
#include "text/unicode.h"

namespace ttsrt::text {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::size_t kMaxTokenizers = 256;
constexpr std::size_t kMaxLanguages = 1024;
constexpr std::size_t kMaxFiles = 64;        // of one tokenizer
constexpr std::size_t kMaxTokens = 1 << 16;  // of one tokenizer
constexpr std::size_t kMaxTokenBytes = 200;
constexpr std::size_t kMaxHeteronymBytes = std::size_t{1} << 22;
constexpr std::int64_t kMaxId = (std::int64_t{1} << 24) - 1;
constexpr std::int64_t kMaxContextRows = 1 << 20;

void check_text(const Json& value, const std::string& where) {
  TTSRT_CHECK(FormatError, value.is_string(), where, ": expected a string, got ",
              value.type_name());
  const auto& text = value.get_ref<const std::string&>();
  std::u32string points;
  const bool is_short = text.size() <= kMaxTokenBytes;
  TTSRT_CHECK(FormatError, is_short && decode_utf8(text, points) == kIsUtf8, where,
              ": expected at most ", kMaxTokenBytes, " bytes of UTF-8, got ", in_quotes(text, 40));
}

std::vector<std::string> strings(const JsonReader& reader, const char* key, std::size_t most) {
  const Json& list = reader.value(key);
  const std::string where = reader.where() + "." + key;
  TTSRT_CHECK(FormatError, list.is_array() && list.size() <= most, where,
              ": expected a list of at most ", most, " strings, got ",
              list.is_array() ? message("one of ", list.size()) : std::string(list.type_name()));
  std::vector<std::string> all;
  for (std::size_t i = 0; i < list.size(); ++i) {
    check_text(list[i], message(where, "[", i, "]"));
    all.push_back(list[i].get<std::string>());
  }
  return all;
}

std::vector<std::string> strings_if_any(const JsonReader& reader, const char* key) {
  return reader.has(key) ? strings(reader, key, kMaxTokens) : std::vector<std::string>();
}

// One of the names of a table, by its place.
std::size_t choice(const JsonReader& reader, const char* key,
                   const std::vector<std::string>& names) {
  const std::string name = reader.string(key);
  const auto found = std::find(names.begin(), names.end(), name);
  std::string known;
  for (const std::string& each : names) known += (known.empty() ? "" : ", ") + each;
  TTSRT_CHECK(FormatError, found != names.end(), reader.where(), ".", key, ": expected one of ",
              known, "; got ", in_quotes(name));
  return static_cast<std::size_t>(found - names.begin());
}

BlankPlace read_blank(const JsonReader& reader) {
  if (!reader.has("add_blank_at")) return BlankPlace::none;
  return choice(reader, "add_blank_at", {"true", "last"}) == 1 ? BlankPlace::last
                                                               : BlankPlace::before_oov;
}

std::string file_of(const std::string& name, const std::string& folder, const std::string& where) {
  TTSRT_CHECK(FormatError, is_file_name(name), where,
              ": expected a file's name of letters, digits, \"_\", \"-\" and \".\", got ",
              in_quotes(name));
  return folder + "/" + name;
}

bool is_table(const std::string& name) {
  const std::string end = kTableEnd;
  return name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

WordTable read_table(const JsonReader& reader, const IpaOptions& options,
                     const std::string& folder) {
  const std::vector<std::string> names = strings(reader, "dictionaries", kMaxFiles);
  const std::string where = reader.where() + ".dictionaries";
  TTSRT_CHECK(FormatError, !names.empty(), where, ": expected at least one file, got none");
  if (is_table(names[0])) {
    TTSRT_CHECK(FormatError, names.size() == 1, where, ": expected one table, got ", names.size());
    const std::string path = file_of(names[0], folder, where);
    return WordTable(read_text(path, kMaxTableBytes), path);
  }
  RawDictionary raw;
  for (const std::string& name : names) {
    const std::string path = file_of(name, folder, where);
    raw.add(read_text(path, kMaxDictionaryBytes), path);
  }
  TTSRT_CHECK(FormatError, !raw.words().empty(), where, ": expected words, got files without any");
  try {
    return WordTable(write_table(make_dictionary(raw, options.dictionary, prepared_vocab(options))),
                     where);
  } catch (const ConfigError& problem) {
    throw FormatError(message(where, ": ", problem.what()));
  }
}

std::unique_ptr<Tokenizer> read_ipa(const Json& json, const JsonReader& reader,
                                    const std::string& folder, std::string name) {
  IpaOptions options;
  const std::string locale = reader.has("locale") ? reader.string("locale") : std::string();
  options.is_english = locale == "en-US";
  options.word_locale = locale;
  if (json.contains("word_locale"))  // null: of no language
    options.word_locale = reader.has("word_locale") ? reader.string("word_locale") : std::string();
  options.always_letters = reader.has("always_letters") && reader.boolean("always_letters");
  options.dictionary.letter_case =
      static_cast<LetterCase>(choice(reader, "case", {"upper", "lower", "mixed"}));
  if (reader.has("grapheme_prefix"))
    options.dictionary.grapheme_prefix = reader.string("grapheme_prefix");
  options.dictionary.use_chars = reader.boolean("use_chars");
  options.dictionary.use_stresses = reader.boolean("use_stresses");
  options.ignore_ambiguous_words = reader.boolean("ignore_ambiguous_words");
  options.apostrophe = reader.boolean("apostrophe");
  options.punctuation = strings_if_any(reader, "punctuation");
  options.pad_with_space = reader.boolean("pad_with_space");
  if (reader.has("silence")) options.silence = reader.string("silence");
  options.blank = read_blank(reader);
  for (std::string& symbol : strings_if_any(reader, "fixed_vocab"))
    options.fixed_vocab.insert(std::move(symbol));
  std::vector<std::u32string> heteronyms;
  if (reader.has("heteronyms")) {
    const std::string path =
        file_of(reader.string("heteronyms"), folder, reader.where() + ".heteronyms");
    heteronyms = read_heteronyms(read_text(path, kMaxHeteronymBytes), path);
  }
  return make_ipa_tokenizer(std::move(name), options, heteronyms,
                            read_table(reader, options, folder));
}

std::unique_ptr<Tokenizer> read_chars(const JsonReader& reader, std::string name) {
  CharOptions options;
  options.characters = strings(reader, "characters", kMaxTokens);
  options.preparation =
      static_cast<Preparation>(choice(reader, "prepare", {"english", "nfc", "lower"}));
  options.only_alphanumeric = choice(reader, "accepts", {"vocabulary", "alnum"}) == 1;
  options.apostrophe = reader.boolean("apostrophe");
  options.punctuation = strings_if_any(reader, "punctuation");
  options.pad_with_space = reader.boolean("pad_with_space");
  options.blank = read_blank(reader);
  return make_char_tokenizer(std::move(name), options);
}

std::unique_ptr<Tokenizer> read_tokenizer(const Json& json, const std::string& where,
                                          const std::string& folder) {
  const JsonReader reader(json, where);
  std::string name = reader.string("name");
  TTSRT_CHECK(FormatError, !name.empty() && !has_control_characters(name), reader.where(),
              ".name: expected a name, got ", in_quotes(name));
  const std::vector<std::string> kinds = {"ipa", "bytes", "chars", "mandarin", "japanese"};
  const std::size_t kind = choice(reader, "kind", kinds);
  if (kind == 0) return read_ipa(json, reader, folder, std::move(name));
  if (kind == 1) return make_byte_tokenizer(std::move(name));
  if (kind == 2) return read_chars(reader, std::move(name));
  return make_foreign_tokenizer(std::move(name), kinds[kind],
                                strings(reader, "tokens", kMaxTokens));
}

void read_tokenizers(const JsonReader& reader, const std::string& folder, FrontEndData& data) {
  const Json& list = reader.value("tokenizers");
  const std::string where = reader.where() + ".tokenizers";
  TTSRT_CHECK(FormatError, list.is_array() && !list.empty() && list.size() <= kMaxTokenizers, where,
              ": expected a list of 1 to ", kMaxTokenizers, " tokenizers, got ",
              list.is_array() ? message("one of ", list.size()) : std::string(list.type_name()));
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string place = message(where, "[", i, "]");
    TTSRT_CHECK(FormatError, list[i].is_object(), place, ": expected an object, got ",
                list[i].type_name());
    auto tokenizer = read_tokenizer(list[i], place, folder);
    for (const TextTokenizerInfo& other : data.infos)
      TTSRT_CHECK(FormatError, other.name != tokenizer->name(), place,
                  ".name: expected each once, got ", in_quotes(other.name), " again");
    TextTokenizerInfo info;
    info.name = tokenizer->name();
    info.kind = tokenizer->kind();
    info.offset = data.size;
    info.size = tokenizer->size();
    if (tokenizer->pad() != kNoId) info.pad = data.size + tokenizer->pad();
    data.size += info.size;
    TTSRT_CHECK(FormatError, data.size < kMaxId, place, ": expected at most ", kMaxId, " ids, got ",
                data.size);
    data.infos.push_back(std::move(info));
    data.tokenizers.push_back(std::move(tokenizer));
  }
}

bool has_tokenizer(const FrontEndData& data, const std::string& name) {
  return std::any_of(data.infos.begin(), data.infos.end(),
                     [&](const TextTokenizerInfo& of) { return of.name == name; });
}

void read_languages(const JsonReader& reader, FrontEndData& data) {
  const Json& map = reader.value("languages");
  const std::string where = reader.where() + ".languages";
  TTSRT_CHECK(FormatError, map.is_object() && map.size() <= kMaxLanguages, where,
              ": expected an object of at most ", kMaxLanguages, " languages, got ",
              map.is_object() ? message("one of ", map.size()) : std::string(map.type_name()));
  for (const auto& [language, tokenizer] : map.items()) {
    const std::string place = where + "." + clipped(language, 40);
    check_text(tokenizer, place);
    const auto& name = tokenizer.get_ref<const std::string&>();
    TTSRT_CHECK(FormatError, has_tokenizer(data, name), place,
                ": expected the name of a tokenizer, got ", in_quotes(name));
    data.languages.push_back({language, name});
  }
  data.default_language = reader.string("default_language");
  const bool is_known =
      std::any_of(data.languages.begin(), data.languages.end(),
                  [&](const TextLanguage& of) { return of.language == data.default_language; });
  TTSRT_CHECK(FormatError, is_known || has_tokenizer(data, data.default_language), reader.where(),
              ".default_language: expected a language or the name of a tokenizer, got ",
              in_quotes(data.default_language));
}

// Of texts that describe a voice, where the model takes them.
void read_context(const JsonReader& reader, FrontEndData& data) {
  if (!reader.has("context")) return;
  const JsonReader context = reader.object("context");
  data.context_tokenizer = context.string("tokenizer");
  TTSRT_CHECK(FormatError, has_tokenizer(data, data.context_tokenizer), context.where(),
              ".tokenizer: there is no tokenizer ", in_quotes(data.context_tokenizer));
  const TextTokenizerInfo& info = data.infos[data.place_of(data.context_tokenizer)];
  TTSRT_CHECK(FormatError, info.pad >= 0, context.where(), ".tokenizer: expected one that has ",
              "padding, got ", in_quotes(data.context_tokenizer));
  data.context_rows = context.int32("rows", 1, kMaxContextRows);
}

}  // namespace

bool is_file_name(const std::string& name) {
  const bool is_plain = std::all_of(name.begin(), name.end(), [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '_' || letter == '-' || letter == '.';
  });
  return is_plain && !name.empty() && name.size() <= kMaxTokenBytes && name[0] != '.';
}

FrontEndData read_front_end(const Json& description, const std::string& folder) {
  const JsonReader reader(description, folder + "/" + kFrontEndFile);
  const std::string format = reader.string("format");
  TTSRT_CHECK(FormatError, format == "ttsrt.front_end", reader.where(),
              ".format: expected \"ttsrt.front_end\", got ", in_quotes(format));
  const std::int64_t version = reader.integer("format_version", 1, 1 << 20);
  TTSRT_CHECK(FormatError, version == kVersion, reader.where(), ".format_version: expected ",
              kVersion, ", got ", version);
  FrontEndData data;
  read_tokenizers(reader, folder, data);
  read_languages(reader, data);
  data.text_bos = reader.int32("text_bos", 0, kMaxId);
  data.text_eos = reader.int32("text_eos", 0, kMaxId);
  for (const auto& [name, id] : {std::pair("text_bos", data.text_bos), {"text_eos", data.text_eos}})
    TTSRT_CHECK(FormatError, id >= data.size, reader.where(), ".", name,
                ": expected an id behind the ", data.size, " of the tokenizers, got ", id);
  read_context(reader, data);
  return data;
}

}  // namespace ttsrt::text
