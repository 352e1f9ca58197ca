// Cuts a text into words, groups "|...|" and what is between them, as two regular expressions of
// the original do, in linear time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ttsrt::text {

enum class TokenKind : std::int32_t {
  word,   // from a letter to a letter, with "-" and "'" between
  group,  // from "|" to "|"
  other,  // anything else without letters and "|"
  bar     // a "|" without another one behind it
};

struct Token {
  TokenKind kind = TokenKind::other;
  std::size_t begin = 0;
  std::size_t end = 0;
};

// The token at `begin`, which is before the end of the text. English has only A to Z for letters.
Token token_at(const std::u32string& text, std::size_t begin, bool is_english);

}  // namespace ttsrt::text
