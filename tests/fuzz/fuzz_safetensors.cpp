// A safetensors file: all of its tensors are inside it, or it is refused with a FormatError.
#include "core/safetensors.h"
#include "fuzz/input.h"
#include "ttsrt/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const ttsrt::test::TempDir folder;
  const std::string path = folder.file("a");
  ttsrt::fuzz::Input input(data, size);
  std::string contents = input.rest();
  // With a first byte below 128, the length of the header is that of the text up to the last '}'.
  if (!contents.empty() && static_cast<std::uint8_t>(contents[0]) < 128) {
    const std::size_t end = contents.rfind('}');
    const std::uint64_t length = end == std::string::npos ? 0 : end;
    contents = std::string(reinterpret_cast<const char*>(&length), 8) + contents.substr(1);
  }
  ttsrt::fuzz::write_old_file(path, contents);
  try {
    const ttsrt::SafetensorsFile file(path);
    for (const auto& [name, tensor] : file.tensors()) {
      if (file.read(tensor).size() != tensor.bytes) __builtin_trap();
    }
  } catch (const ttsrt::FormatError&) {
  }
  return 0;
}
