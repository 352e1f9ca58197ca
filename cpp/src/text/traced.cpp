#include "text/traced.h"

#include <utility>

#include "core/utf8.h"

namespace ttsrt::text {

Traced trace(std::u32string points) {
  Traced traced;
  traced.spans.reserve(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto at = static_cast<std::int32_t>(i);
    traced.spans.push_back({at, at + 1});
  }
  traced.points = std::move(points);
  return traced;
}

std::size_t decode_utf8(std::string_view bytes, std::u32string& points) {
  points.reserve(points.size() + bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const auto byte = static_cast<std::uint8_t>(bytes[at]);
    if (byte < 0x80) {
      points.push_back(byte);
      ++at;
      continue;
    }
    const Utf8Character character = first_character(bytes.substr(at, 4));
    if (character.bytes == 0) return at;
    points.push_back(character.point);
    at += character.bytes;
  }
  return kIsUtf8;
}

void append_utf8(char32_t point, std::string& bytes) {
  const auto put = [&bytes](char32_t value) { bytes.push_back(static_cast<char>(value)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0 | (point >> 6));
  } else {
    if (point < 0x10000) {
      put(0xE0 | (point >> 12));
    } else {
      put(0xF0 | (point >> 18));
      put(0x80 | ((point >> 12) & 0x3F));
    }
    put(0x80 | ((point >> 6) & 0x3F));
  }
  put(0x80 | (point & 0x3F));
}

std::string to_utf8(std::u32string_view points) {
  std::string bytes;
  bytes.reserve(points.size());
  for (const char32_t point : points) append_utf8(point, bytes);
  return bytes;
}

}  // namespace ttsrt::text
