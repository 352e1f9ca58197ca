// A WAV file in memory: its samples are all inside it and finite, or it is refused with a
// FormatError.
#include <cmath>

#include "ttsrt/audio.h"
#include "ttsrt/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    const ttsrt::Wave wave = ttsrt::parse_wav(bytes, size, "a.wav");
    if (wave.samples.values.size() > size) __builtin_trap();
    for (const float value : wave.samples.values) {
      if (!std::isfinite(value)) __builtin_trap();
    }
  } catch (const ttsrt::FormatError&) {
  }
  return 0;
}
