// The names of voices: stored in an engine, added at run time, or asked for by a request. One rule
// (is_voice_name in ttsrt/request.h) keeps them safe as file names, log fields and JSON keys.
#pragma once

#include <string>
#include <string_view>

#include "ttsrt/request.h"

namespace ttsrt {

// The rule, for messages.
constexpr const char* kVoiceNameRule =
    "1 to 64 letters of any script, digits, \"_\", \"-\" or \".\"";

// A name in double quotes, cut to 64 bytes; bytes outside printable ASCII appear as \xNN unless the
// whole is a voice name.
std::string shown_name(const std::string& name);

}  // namespace ttsrt
