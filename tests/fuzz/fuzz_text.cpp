// A front end's description by edits of a whole one, its dictionaries raw and packed, and texts:
// what is read encodes every text, or each is refused with a named error.
#include "fuzz/input.h"
#include "support/temp_dir.h"
#include "text/word_table.h"
#include "ttsrt/error.h"
#include "ttsrt/text.h"

namespace {

using namespace ttsrt;

constexpr const char* kDescription = R"({
 "format": "ttsrt.front_end", "format_version": 1,
 "tokenizers": [
  {"name": "ipa", "kind": "ipa", "locale": "en-US", "dictionaries": ["a.dict"],
   "heteronyms": "a.heteronyms", "case": "upper", "grapheme_prefix": "", "use_chars": true,
   "use_stresses": true, "ignore_ambiguous_words": false, "apostrophe": true,
   "punctuation": [",", "."], "pad_with_space": false, "silence": null, "add_blank_at": null,
   "fixed_vocab": null},
  {"name": "mixed", "kind": "ipa", "locale": "fr-FR", "dictionaries": ["a.dict"],
   "heteronyms": null, "case": "mixed", "grapheme_prefix": "#", "use_chars": true,
   "use_stresses": false, "ignore_ambiguous_words": true, "apostrophe": false,
   "punctuation": null, "pad_with_space": true, "silence": "s", "add_blank_at": "last",
   "fixed_vocab": ["a", "#A", "b"]},
  {"name": "bytes", "kind": "bytes"},
  {"name": "chars", "kind": "chars", "characters": ["a", "b"], "prepare": "english",
   "accepts": "alnum", "apostrophe": true, "punctuation": ["."], "pad_with_space": true,
   "add_blank_at": null}],
 "languages": {"en": "ipa", "zh": "bytes"}, "default_language": "en",
 "text_bos": 5000, "text_eos": 5001})";

constexpr const char* kDictionary = "A a\nBIRD'S-EYE b\xCB\x88\nbird(1) x\nBird y\n";

// The places of a text's ids are inside it, and each id is one of the front end's.
void encode(const TextFrontEnd& front_end, const std::string& text) {
  TextOptions options;
  options.special_text = true;
  TextPart part;
  part.text = text;
  for (const TextTokenizerInfo& info : front_end.tokenizers()) {
    try {
      const EncodedText encoded = front_end.encode({part}, info.name, options);
      if (encoded.ids.size() != encoded.spans.size()) __builtin_trap();
      for (std::size_t i = 0; i < encoded.ids.size(); ++i) {
        const TextSpan span = encoded.spans[i];
        const bool is_inside = 0 <= span.begin && span.begin <= span.end &&
                               span.end <= static_cast<std::int32_t>(text.size());
        const std::int32_t id = encoded.ids[i] - info.offset;
        if (!is_inside || id < 0 || id >= info.size) __builtin_trap();
      }
    } catch (const ConfigError&) {
    }
  }
  for (const TextSplit mode : {TextSplit::automatic, TextSplit::sentences, TextSplit::phrases}) {
    for (const char* language : {"en", "zh"}) {
      try {
        front_end.encode_chunks(text, language, mode, options);
      } catch (const ConfigError&) {
      }
    }
  }
}

void write_whole(const test::TempDir& folder) {
  fuzz::write_old_file(folder.file("front_end.json"), kDescription);
  fuzz::write_old_file(folder.file("a.dict"), kDictionary);
  fuzz::write_old_file(folder.file("a.heteronyms"), "bird\n");
}

void search(std::string file, const std::string& word) {
  const text::WordTable table(std::move(file), "a.table");
  table.find(word);
  table.symbols();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TempDir folder;
  write_whole(folder);
  fuzz::Input input(data, size);
  try {
    switch (input.byte()) {
      case 'd':
        fuzz::write_old_file(folder.file("a.dict"), input.rest());
        break;
      case 'h':
        fuzz::write_old_file(folder.file("a.heteronyms"), input.rest());
        break;
      case 'e': {
        Json json = Json::parse(kDescription);
        fuzz::edit(json, input);
        fuzz::write_old_file(folder.file("front_end.json"), json.dump());
        break;
      }
      case 'p':
        search(input.rest(), "A");
        return 0;
      default: {
        static const auto whole = TextFrontEnd::open(folder.path());
        encode(*whole, input.rest());
        return 0;
      }
    }
    encode(*TextFrontEnd::open(folder.path()), "Bird's l'a-\xC3\xA9|a b| bird \xC3\x9F");
  } catch (const FormatError&) {
  }
  return 0;
}
