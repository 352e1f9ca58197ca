// Which row of a text stands at a row of a longer item over which it is stretched.
#pragma once

#include <cstdint>

#include "rules/inline.h"

namespace ttsrt::rules {

// Of `text_len` rows over `rows`: each stands floor(rows / text_len) times, the last
// rows mod text_len of them once more.
TTSRT_RULE std::int32_t stretched_from(std::int32_t row, std::int32_t rows, std::int32_t text_len) {
  const std::int32_t times = rows / text_len;
  const std::int32_t plain = text_len - rows % text_len;  // texts that stand no more than that
  if (row < plain * times) return row / times;
  return plain + (row - plain * times) / (times + 1);
}

}  // namespace ttsrt::rules
