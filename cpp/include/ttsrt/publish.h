// Writes folders that appear under their names only when they are complete: engines, checkpoints.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ttsrt/export.h"

namespace ttsrt {

class FolderWork;

/// The files of one kind of folder.
struct FolderKind {
  std::string noun;                  ///< for messages: "engine"
  std::string format;                ///< the field "format" of the description: "ttsrt.engine"
  std::string description;           ///< the JSON file that makes the folder valid: "engine.json"
  std::vector<std::string> others;   ///< its other files: "weights.safetensors"
  std::vector<std::string> folders;  ///< its folders, with all that they hold: "voices"
};

/// Writes a folder of some kind and publishes it whole. The constructor decides everything before
/// the work starts: it follows links, refuses a target that can't be written or that holds anything
/// else than a folder of this kind, locks the target against other writers, removes what killed
/// writers left, and makes a temporary folder. The caller writes the files there and calls
/// publish(). The destructor removes what was not published. Not thread safe.
///
/// The temporary folder is a sibling of the target and takes its name in one step; nothing that
/// appeared at the target meanwhile is ever deleted. A target that can't be renamed (a mount point,
/// the current folder, a folder in one that can't be written) gets the files one by one, the
/// description last.
class TTSRT_API FolderWriter {
 public:
  /// `overwrite` allows to replace a folder of the same kind. Throws ConfigError if the target
  /// can't be written, is in use by another writer or would have to be overwritten, and
  /// CapacityError if the disk is full.
  FolderWriter(const std::string& output_dir, const FolderKind& kind, bool overwrite);
  ~FolderWriter();
  FolderWriter(const FolderWriter&) = delete;
  FolderWriter& operator=(const FolderWriter&) = delete;

  /// Where the files are to be written.
  const std::string& folder() const;
  /// Where they will be: absolute, links followed.
  const std::string& target() const;
  /// Syncs the files to the disk and moves them to the target. Throws ConfigError if something
  /// appeared at the target meanwhile, and CapacityError if the disk is full.
  void publish();

 private:
  std::unique_ptr<FolderWork> work_;
};

}  // namespace ttsrt
