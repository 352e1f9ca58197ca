#include "core/utf8.h"

namespace ttsrt {
namespace {

// Bytes of a character that begins with this one; 0: none does.
std::size_t length_after(std::uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

}  // namespace

Utf8Character first_character(std::string_view text) {
  const auto byte = [&text](std::size_t at) { return static_cast<std::uint8_t>(text[at]); };
  const std::size_t length = text.empty() ? 0 : length_after(byte(0));
  if (length == 0 || text.size() < length) return {};
  std::uint32_t point = length == 1 ? byte(0) : byte(0) & (0x7FU >> length);
  for (std::size_t at = 1; at < length; ++at) {
    if ((byte(at) & 0xC0) != 0x80) return {};
    point = (point << 6) | (byte(at) & 0x3FU);
  }
  const bool is_overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (is_overlong || is_surrogate || point > 0x10FFFF) return {};
  return {point, length};
}

}  // namespace ttsrt
