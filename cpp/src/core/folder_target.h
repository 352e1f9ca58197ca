// Where a folder is to be written, decided before anything is written.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "ttsrt/publish.h"

namespace ttsrt {

struct FolderTarget {
  std::filesystem::path path;  // absolute, links followed
  bool exists = false;
  struct stat status{};        // if it exists
  std::filesystem::path home;  // where the lock and the temporary folder are: the parent or itself
  bool is_filled = false;  // the files are moved into it one by one, because it can't be renamed
  std::string prefix;      // of the names of lock and temporary folders in `home`

  std::string lock() const { return (home / (prefix + "lock")).string(); }
  // Whether a file in `home` is a temporary folder for this target, by its name.
  bool is_temporary(const std::string& name) const;
  // Whether a file in an empty target counts as nothing: ours, or of the file system.
  bool may_hold(const std::string& name) const;
};

// Whether a folder of this kind has a file of this name.
bool is_entry_of(const FolderKind& kind, const std::string& name);

// Follows links and chooses `home`. Throws ConfigError if nothing can be written there.
FolderTarget find_target(const std::string& output_dir);

// Whether the target holds anything: false, or throws ConfigError unless it is a folder of `kind`
// and may be overwritten.
bool check_contents(const FolderTarget& target, const FolderKind& kind, bool overwrite);

}  // namespace ttsrt
