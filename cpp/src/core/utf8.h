// Reads UTF-8.
#pragma once

#include <cstdint>
#include <string_view>

namespace ttsrt {

constexpr std::uint32_t kNoCharacter = 0xFFFFFFFF;

struct Utf8Character {
  std::uint32_t point = kNoCharacter;  // its code point
  std::size_t bytes = 0;
};

// The character that `text` begins with; kNoCharacter and 0 bytes where it begins with none: an
// empty or cut text, overlong forms, surrogates.
Utf8Character first_character(std::string_view text);

}  // namespace ttsrt
