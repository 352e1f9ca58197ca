// Cuts a long text into chunks as the original does: by sentences, where it has many words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/traced.h"
#include "ttsrt/text.h"

namespace ttsrt::text {

// "de" of "de-AT" and "de_AT", in small letters.
std::string primary_subtag(const std::string& language);

// Words between white space; characters but white space of Chinese and Japanese.
std::int64_t count_words(const std::u32string& text, const std::string& language);

// The count from which on a text is long.
std::int64_t long_text(const std::string& language);

std::vector<Traced> split(const Traced& text, const std::string& language, TextSplit mode);

}  // namespace ttsrt::text
