#include "text/word_cutter.h"

#include "text/word_characters.h"

namespace ttsrt::text {

Token token_at(const std::u32string& text, std::size_t begin, bool is_english) {
  const auto is_letter = [is_english](char32_t point) {
    return is_english ? is_basic_letter(point) : is_word_character(point);
  };
  std::size_t end = begin + 1;
  if (is_letter(text[begin])) {
    for (std::size_t at = end; at < text.size(); ++at) {
      if (is_letter(text[at])) {
        end = at + 1;
      } else if (text[at] != '-' && text[at] != '\'') {
        break;
      }
    }
    return {TokenKind::word, begin, end};
  }
  if (text[begin] == '|') {
    const std::size_t other = text.find(U'|', end);
    if (other == std::u32string::npos) return {TokenKind::bar, begin, end};
    return {TokenKind::group, begin, other + 1};
  }
  while (end < text.size() && text[end] != '|' && !is_letter(text[end])) ++end;
  return {TokenKind::other, begin, end};
}

}  // namespace ttsrt::text
