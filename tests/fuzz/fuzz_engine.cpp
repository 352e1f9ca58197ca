// engine.json, by edits of a whole one or as text: the engine opens and its Programs are sound, or
// it is refused with a FormatError.
#include "fuzz/input.h"
#include "model/engine_data.h"
#include "model/servable.h"
#include "support/tiny_engine.h"
#include "ttsrt/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ttsrt;
  static const test::TinyEngine engine;
  static const Json whole = parse_json(test::read_file(engine.description()), "engine.json");
  fuzz::Input input(data, size);
  std::string text;
  if (input.byte() == 't') {
    text = input.rest();
  } else {
    Json json = whole;
    fuzz::edit(json, input);
    text = json.dump();
  }
  fuzz::write_old_file(engine.description(), text);
  try {
    const EngineData opened(engine.path());
    model::itineraries_of(*opened.family, opened.limits, &opened.weights, "engine.json");
    model::check_programs(*opened.family, opened.weights, opened.limits, "engine.json");
  } catch (const FormatError&) {
  }
  return 0;
}
