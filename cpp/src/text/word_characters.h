// The letters that words of dictionaries and texts are made of, as the original front end has them:
// Latin without what is behind Latin-1, the scripts of India, and Korean. All other letters are
// punctuation to it.
#pragma once

#include "text/unicode.h"

namespace ttsrt::text {

inline bool is_basic_letter(char32_t point) {
  return (point >= 'A' && point <= 'Z') || (point >= 'a' && point <= 'z');
}

inline bool is_word_character(char32_t point) {
  if (point < 0x80) return is_basic_letter(point);
  if (point < 0x100) return point >= 0xC0 && point != 0xD7 && point != 0xF7;
  const bool is_danda = point == 0x964 || point == 0x965;
  if (point >= 0x900 && point < 0xA00) return !is_danda;  // Devanagari, Bengali
  if (point >= 0xA80 && point < 0xB00) return true;       // Gujarati
  if (point >= 0xB80 && point < 0xD00) return true;       // Tamil, Telugu, Kannada
  if (point >= 0x1100 && point < 0x1200) return true;     // Korean letters
  if (point >= 0x3130 && point < 0x3190) return true;     // and those of older encodings
  return point >= 0xAC00 && point <= 0xD7A3;              // Korean syllables
}

inline bool is_word_character_or_digit(char32_t point) {
  return is_word_character(point) || is_decimal(point);
}

}  // namespace ttsrt::text
