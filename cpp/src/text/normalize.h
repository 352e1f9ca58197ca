// The normal forms NFC and NFD of Unicode 14.0, in linear time.
#pragma once

#include <string>

#include "text/traced.h"

namespace ttsrt::text {

// A composed character spans everything it was made of.
Traced nfc(const Traced& text);
Traced nfd(const Traced& text);
std::u32string nfc(const std::u32string& text);

}  // namespace ttsrt::text
