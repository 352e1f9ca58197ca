// What Unicode 14.0 says of characters, as Python 3.11 does: the original front ends call Python's
// str and unicodedata. The tables are written by scripts/make_unicode_tables.py.
#pragma once

#include <cstdint>
#include <string>

#include "text/traced.h"

namespace ttsrt::text {

bool is_nonspacing(char32_t point);    // category Mn
bool is_decimal(char32_t point);       // str.isdecimal; "\d" of a regular expression
bool is_alphanumeric(char32_t point);  // str.isalnum
bool is_space(char32_t point);         // str.isspace
bool is_upper(char32_t point);         // str.isupper
bool is_lower(char32_t point);         // str.islower
bool is_title(char32_t point);         // neither, but cased
bool is_case_ignorable(char32_t point);
std::uint8_t combining_class(char32_t point);

// str.upper and str.lower: full case, with a final sigma in its place.
Traced upper(const Traced& text);
Traced lower(const Traced& text);
std::u32string upper(const std::u32string& text);
std::u32string lower(const std::u32string& text);

// str.isupper: whether there are cased characters, and all of them are capital ones.
bool is_upper(const std::u32string& text);

// Without white space at both ends, and at the right one (str.strip, str.rstrip).
std::u32string stripped(const std::u32string& text);
std::u32string right_stripped(const std::u32string& text);

}  // namespace ttsrt::text
