// TTSRT_CHECK guards public calls and files in every build; TTSRT_DCHECK guards inner loops in
// debug builds.
#pragma once

#include <sstream>
#include <string>

#include "ttsrt/error.h"

namespace ttsrt {

// Joins the parts into one message.
template <typename... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return stream.str();
}

}  // namespace ttsrt

// TTSRT_CHECK(ConfigError, condition, parts...) throws an error of that kind with the joined parts
// unless the condition holds.
#define TTSRT_CHECK(Kind, condition, ...)                                 \
  do {                                                                    \
    if (!(condition)) throw ::ttsrt::Kind(::ttsrt::message(__VA_ARGS__)); \
  } while (false)

#ifdef NDEBUG
#define TTSRT_DCHECK(condition) static_cast<void>(0)
#else
#define TTSRT_DCHECK(condition) \
  TTSRT_CHECK(InternalError, condition, __FILE__, ":", __LINE__, ": failed check: " #condition)
#endif
