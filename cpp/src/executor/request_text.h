// A request's text, which becomes ids on the thread of its caller, before a family sees the
// request.
#pragma once

#include <cstdint>

#include "ttsrt/request.h"
#include "ttsrt/text.h"

namespace ttsrt::executor {

// Puts context_text_ids in the place of `context_text`, if it is given. `front_end`: of the engine;
// null: it has none. Throws ConfigError.
void resolve_context_text(Request& request, const TextFrontEnd* front_end);

// Puts text_ids in the place of `text`, if it is given, and text_chunks, if it is long.
// `front_end`: of the engine; null: it has none. Throws ConfigError.
void resolve_text(Request& request, const TextFrontEnd* front_end, std::int32_t max_ids);

}  // namespace ttsrt::executor
