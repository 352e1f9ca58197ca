// What an opened front end is made of, and its description front_end.json.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "text/tokenizer.h"
#include "ttsrt/text.h"

namespace ttsrt {

struct FrontEndData {
  std::vector<std::unique_ptr<const text::Tokenizer>> tokenizers;
  std::vector<TextTokenizerInfo> infos;  // of each
  std::vector<TextLanguage> languages;
  std::string default_language;
  std::int32_t size = 0;
  std::int32_t text_bos = 0;
  std::int32_t text_eos = 0;
  std::string context_tokenizer;  // of texts that describe a voice; empty: there is none
  std::int32_t context_rows = 0;  // ids that such a text has, with its padding

  // The place of a tokenizer. Throws ConfigError naming all.
  std::size_t place_of(const std::string& name) const;
};

namespace text {

constexpr const char* kFrontEndFile = "front_end.json";
constexpr const char* kTableEnd = ".table";  // of the names of packed dictionaries

// Whether a name is one that a front end's file may have: letters, digits, "_", "-" and ".", but
// not a "." at its beginning.
bool is_file_name(const std::string& name);

// Reads the description and the files that it names, which are in `folder`. Throws FormatError.
FrontEndData read_front_end(const Json& description, const std::string& folder);

}  // namespace text
}  // namespace ttsrt
