// A lock file that one writer of a folder holds; the system releases it when the writer ends,
// however it ends.
#pragma once

#include <string>

namespace ttsrt {

class FolderLock {
 public:
  // Takes the lock at once or throws ConfigError, which names who holds it; `target` is the folder,
  // for messages. On file systems without locks nothing is locked, and is_held() is false.
  FolderLock(const std::string& path, const std::string& target);
  // Removes the file and releases the lock.
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  bool is_held() const { return is_held_; }

 private:
  bool open_and_lock(const std::string& target);  // false: another writer removed the file
  void sign();

  std::string path_;
  int file_ = -1;
  bool is_held_ = false;
};

}  // namespace ttsrt
