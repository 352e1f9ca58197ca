#include "core/quote.h"

#include <algorithm>
#include <cstdint>

#include "core/utf8.h"

namespace ttsrt {
namespace {

bool is_control(char character) {
  const auto byte = static_cast<std::uint8_t>(character);
  return byte < 0x20 || byte == 0x7F;
}

}  // namespace

std::string clipped(std::string_view text, std::size_t most) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string shown;
  for (std::size_t count = 0; !text.empty() && count < most; ++count) {
    const std::size_t bytes = first_character(text).bytes;
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
