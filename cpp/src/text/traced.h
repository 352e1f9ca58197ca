// Text as code points that know where they come from, so that every id can say which part of the
// given text it speaks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ttsrt/text.h"

namespace ttsrt::text {

struct Traced {
  std::u32string points;
  std::vector<TextSpan> spans;  // of each point, in code points of the text it was made of

  std::size_t size() const { return points.size(); }
  bool empty() const { return points.empty(); }
  void append(char32_t point, TextSpan span) {
    points.push_back(point);
    spans.push_back(span);
  }
  Traced slice(std::size_t begin, std::size_t end) const {
    const auto first = static_cast<std::ptrdiff_t>(begin), last = static_cast<std::ptrdiff_t>(end);
    return {points.substr(begin, end - begin), {spans.begin() + first, spans.begin() + last}};
  }
  // From the first point to the last; of an empty text, nothing.
  TextSpan span() const {
    return empty() ? TextSpan{} : TextSpan{spans.front().begin, spans.back().end};
  }
};

// Each point is one of the text itself.
Traced trace(std::u32string points);

constexpr std::size_t kIsUtf8 = static_cast<std::size_t>(-1);

// Appends the code points of UTF-8 and returns kIsUtf8, or the first byte that begins no character.
std::size_t decode_utf8(std::string_view bytes, std::u32string& points);

void append_utf8(char32_t point, std::string& bytes);
std::string to_utf8(std::u32string_view points);

}  // namespace ttsrt::text
