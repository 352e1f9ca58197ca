// Says what a path is that should be an engine or a checkpoint, and which command comes next.
#pragma once

#include <string>

namespace ttsrt::model {

// Checks that the folder has an engine.json. Throws NotFoundError where there is nothing, and
// FormatError that says what else is there and how an engine is made of it.
void check_is_engine(const std::string& path);

// As above, for a config.json of a checkpoint, and for `build`.
void check_is_checkpoint(const std::string& path);

}  // namespace ttsrt::model
