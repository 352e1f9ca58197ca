// weights.safetensors against a whole engine.json, by edits of its header or of its bytes: the
// weights are read, or refused with a FormatError.
#include "fuzz/input.h"
#include "model/engine_data.h"
#include "model/servable.h"
#include "support/tiny_engine.h"
#include "ttsrt/error.h"

namespace {

using namespace ttsrt;

std::uint64_t header_bytes_of(const std::string& file) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, file.data(), sizeof(bytes));
  return bytes;
}

std::string with_header_edited(const std::string& whole, fuzz::Input& input) {
  const std::uint64_t bytes = header_bytes_of(whole);
  Json header = parse_json(whole.substr(8, bytes), "header");
  fuzz::edit(header, input);
  std::string text = header.dump();
  text.append((64 - (text.size() + 8) % 64) % 64, ' ');
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + text + whole.substr(8 + bytes);
}

std::string with_bytes_edited(std::string file, fuzz::Input& input) {
  if (input.byte() % 4 == 0) file.resize(input.take<std::uint32_t>() % (file.size() + 100));
  while (!input.is_empty() && !file.empty())
    file[input.take<std::uint32_t>() % file.size()] = static_cast<char>(input.byte());
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TinyEngine engine;
  static const std::string whole = test::read_file(engine.weights());
  fuzz::Input input(data, size);
  fuzz::write_old_file(engine.weights(), input.byte() % 2 == 0 ? with_header_edited(whole, input)
                                                               : with_bytes_edited(whole, input));
  try {
    const EngineData opened(engine.path());
    model::check_programs(*opened.family, opened.weights, opened.limits, "engine.json");
    opened.weights.use();
    Engine::open(engine.path()).verify();
  } catch (const FormatError&) {
  }
  return 0;
}
