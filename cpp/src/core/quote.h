// Text of files and callers as a message may show it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ttsrt {

constexpr std::size_t kMaxQuote = 200;  // characters of foreign text in a message

// The first `most` characters as valid UTF-8 without control characters: bytes that are neither
// become "\xNN". "..." follows if there were more.
std::string clipped(std::string_view text, std::size_t most = kMaxQuote);

// The same in double quotes.
std::string in_quotes(std::string_view text, std::size_t most = kMaxQuote);

// Whether the text has a byte below 0x20 or DEL.
bool has_control_characters(std::string_view text);

}  // namespace ttsrt
