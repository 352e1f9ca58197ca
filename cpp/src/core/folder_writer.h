// FolderWriter of ttsrt/publish.h, with the renames of the system as a parameter.
//
// On a system or file system without an atomic exchange (network and user-space file systems), an
// existing folder is replaced file by file: for a moment it is not complete, and a writer killed in
// that moment leaves what the next writer on the target rolls back. Where a rename can't refuse an
// existing name, the target is first created as an empty folder, which a rename replaces only while
// it is empty.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/folder_lock.h"
#include "core/folder_target.h"
#include "core/renames.h"
#include "ttsrt/publish.h"

namespace ttsrt {

class FolderWork {
 public:
  FolderWork(const std::string& output_dir, const FolderKind& kind, bool overwrite,
             const Renames& renames);
  ~FolderWork();
  FolderWork(const FolderWork&) = delete;
  FolderWork& operator=(const FolderWork&) = delete;

  const std::string& folder() const { return folder_; }
  const std::string& target() const { return path_; }
  void publish();

 private:
  void prepare(const std::string& output_dir, bool overwrite);
  void take_lock(const std::string& output_dir);
  void make_parents();
  void make_folder();
  void clean_up() noexcept;
  void remove_leftovers();
  void roll_back(const std::filesystem::path& leftover);

  void sync_files() const;
  void move_new();
  void move_onto_empty();
  void exchange();
  void fill();
  void move_files();
  void move_file(const std::string& name);
  void keep_permissions() const;
  [[noreturn]] void refuse_what_appeared() const;
  bool is_as_before(const std::string& path) const;
  bool holds_only_known(const std::string& folder) const;

  FolderKind kind_;
  Renames renames_;
  FolderTarget target_;
  std::string path_;    // of the target
  std::string folder_;  // the temporary one
  bool replaces_ = false;
  std::vector<std::filesystem::path> parents_;  // made here, outermost first
  std::unique_ptr<FolderLock> lock_;
  bool is_published_ = false;
  const int process_;  // a forked child removes nothing
};

}  // namespace ttsrt
