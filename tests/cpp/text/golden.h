// The original's answers (tests/data/text/refs.json), and a front end of all its tokenizers
// (tests/data/text/golden).
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "support/temp_dir.h"
#include "ttsrt/text.h"

namespace ttsrt::test {

inline std::string text_data(const std::string& name) {
  return std::string(TTSRT_TEST_DIR) + "/../data/text/" + name;
}

inline Json read_json(const std::string& path) { return Json::parse(read_file(path)); }

inline const Json& golden() {
  static const Json read = read_json(text_data("refs.json"));
  return read;
}

inline const TextFrontEnd& golden_front_end() {
  static const auto opened = TextFrontEnd::open(text_data("golden"));
  return *opened;
}

// A folder with the golden dictionaries and a front_end.json that a test may change.
class FrontEndFolder {
 public:
  FrontEndFolder() : json(read_json(text_data("golden/front_end.json"))) {
    for (const auto& entry : std::filesystem::directory_iterator(text_data("golden")))
      std::filesystem::copy_file(entry.path(), path() + "/" + entry.path().filename().string());
  }
  const std::string& path() const { return dir_.path(); }
  std::string file(const std::string& name) const { return dir_.file(name); }
  // Keeps these tokenizers alone, in this order, and no language but "en", which is the first.
  void keep(const std::vector<std::string>& names) {
    Json kept = Json::array();
    for (const std::string& name : names) {
      for (const Json& each : json["tokenizers"]) {
        if (each["name"] == name) kept.push_back(each);
      }
    }
    json["tokenizers"] = kept;
    json["languages"] = {{"en", names[0]}};
    json["default_language"] = "en";
  }
  Json& tokenizer(const std::string& name) {
    for (Json& each : json["tokenizers"]) {
      if (each["name"] == name) return each;
    }
    throw std::runtime_error("no tokenizer " + name);
  }
  std::shared_ptr<const TextFrontEnd> open() const {
    write_file(file("front_end.json"), json.dump());
    return TextFrontEnd::open(path());
  }

  Json json;

 private:
  TempDir dir_;
};

// A text as one part.
inline std::vector<TextPart> plain(const std::string& text) {
  TextPart part;
  part.text = text;
  return {part};
}

// The symbols of ids of one tokenizer.
inline std::vector<std::string> symbols_of(const TextFrontEnd& front_end,
                                           const std::string& tokenizer,
                                           const std::vector<std::int32_t>& ids) {
  const std::vector<std::string> tokens = front_end.tokens(tokenizer);
  std::int32_t offset = 0;
  for (const TextTokenizerInfo& info : front_end.tokenizers()) {
    if (info.name == tokenizer) offset = info.offset;
  }
  std::vector<std::string> symbols;
  for (const std::int32_t id : ids)
    symbols.push_back(tokens.at(static_cast<std::size_t>(id - offset)));
  return symbols;
}

// The symbols of a text, joined.
inline std::string spoken(const TextFrontEnd& front_end, const std::string& text,
                          const std::string& tokenizer = "english_phoneme",
                          const std::vector<LexiconEntry>& lexicon = {}) {
  std::string joined;
  const EncodedText encoded = front_end.encode(plain(text), tokenizer, {}, lexicon);
  for (const std::string& symbol : symbols_of(front_end, tokenizer, encoded.ids)) joined += symbol;
  return joined;
}

}  // namespace ttsrt::test
