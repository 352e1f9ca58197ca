// The front end of an engine, which `build` packs from a checkpoint's.
#pragma once

#include <string>

namespace ttsrt::text {

constexpr const char* kTextFolder = "text";  // of checkpoints and engines

// Writes the folder "text" of an engine, if the checkpoint has one: sorted tables instead of the
// dictionaries that the core reads, and all else as it is. Throws FormatError.
void pack_front_end(const std::string& checkpoint_dir, const std::string& engine_dir);

}  // namespace ttsrt::text
