// JSON text: it is parsed, or refused with a FormatError.
#include "core/json.h"
#include "fuzz/input.h"
#include "ttsrt/error.h"

namespace {

// Reads every value as every type.
void read_all(const ttsrt::JsonReader& reader, const ttsrt::Json& json) {
  for (const auto& item : json.items()) {
    const char* key = item.key().c_str();
    const auto attempt = [](auto read) {
      try {
        read();
      } catch (const ttsrt::FormatError&) {
      }
    };
    attempt([&] { reader.integer(key, INT64_MIN, INT64_MAX); });
    attempt([&] { reader.number(key, -1e9, 1e9); });
    attempt([&] { reader.boolean(key); });
    attempt([&] { reader.string(key); });
    attempt([&] { reader.integers(key, 0, 100, 10); });
    if (item.value().is_object()) attempt([&] { read_all(reader.object(key), item.value()); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string text = ttsrt::fuzz::Input(data, size).rest();
    const ttsrt::Json json = ttsrt::parse_json(text, "file");
    read_all(ttsrt::JsonReader(json, "file"), json);
  } catch (const ttsrt::FormatError&) {
  }
  return 0;
}
