// A request's text, which becomes ids on the thread of its caller, before a family sees the
// request.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ttsrt/request.h"
#include "ttsrt/text.h"

namespace ttsrt::executor {

// What became of a text; empty without one.
struct SpokenText {
  std::string text;
  std::string language;
  std::vector<std::int32_t> ids;
  std::vector<TextSpan> spans;  // [ids]
  std::vector<DroppedCharacter> dropped;
};
// Puts context_text_ids in the place of `context_text`, if it is given. `front_end`: of the engine;
// null: it has none. Throws ConfigError.
void resolve_context_text(Request& request, const TextFrontEnd* front_end);

// Puts text_ids in the place of `text`, if it is given, and text_chunks, if it is long.
// `front_end`: of the engine; null: it has none. `max_ids`: that a chunk may have. Throws
// ConfigError.
SpokenText resolve_text(Request& request, const TextFrontEnd* front_end, std::int32_t max_ids);

// Moves it into the result.
void tell_text(SpokenText&& spoken, Result& result);

}  // namespace ttsrt::executor
