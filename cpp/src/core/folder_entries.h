// Lists and removes folders without std::filesystem's iterators: those of libstdc++ allocate inside
// functions that may not throw, so that running out of memory there ends the process.
#pragma once

#include <string>
#include <vector>

namespace ttsrt {

// The names in a folder, unordered, without "." and "..". Throws ConfigError if it can't be read.
std::vector<std::string> names_in(const std::string& folder);

// Removes a folder with all that is in it, as far as the process may; follows no links. Nothing is
// reported: what is left is found by the next writer.
void remove_folder(const std::string& folder) noexcept;

}  // namespace ttsrt
