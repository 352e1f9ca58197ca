#include "core/quote.h"

#include <algorithm>
#include <cstdint>

namespace ttsrt {
namespace {

bool is_control(char character) {
  const auto byte = static_cast<std::uint8_t>(character);
  return byte < 0x20 || byte == 0x7F;
}

// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with none.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const std::uint8_t second = byte(1);
  const bool is_bad = (first == 0xE0 && second < 0xA0) ||  // longer than it needs to be
                      (first == 0xED && second > 0x9F) ||  // a surrogate
                      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return is_bad ? 0 : bytes;
}

}  // namespace

std::string clipped(std::string_view text, std::size_t most) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string shown;
  for (std::size_t count = 0; !text.empty() && count < most; ++count) {
    const std::size_t bytes = character_bytes(text);
    if (bytes == 0 || is_control(text[0])) {
      const auto byte = static_cast<std::uint8_t>(text[0]);
      shown += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
      text.remove_prefix(1);
      continue;
    }
    shown += text.substr(0, bytes);
    text.remove_prefix(bytes);
  }
  return text.empty() ? shown : shown + "...";
}

std::string in_quotes(std::string_view text, std::size_t most) {
  return '"' + clipped(text, most) + '"';
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_control);
}

}  // namespace ttsrt
