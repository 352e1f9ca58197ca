#include "core/folder_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "core/folder_entries.h"
#include "core/output_file.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;
constexpr const char* kMoving = "moving";  // in a temporary folder whose files are being moved
constexpr const char* kOld = "old-";       // before the names of files that were moved away
constexpr int kMaxTries = 100;

std::string random_digits() {
  std::random_device device;
  const std::uint64_t value = (std::uint64_t{device()} << 32) ^ device();
  std::string digits;
  for (int i = 0; i < 12; ++i) digits += "0123456789abcdef"[(value >> (4 * i)) & 15U];
  return digits;
}

// Whether another way to move a folder may work where this one failed.
bool may_be_filled(int problem) {
  constexpr int kProblems[] = {EINVAL, ENOSYS, ENOTSUP, EXDEV, EBUSY, EPERM, EACCES};
  return std::find(std::begin(kProblems), std::end(kProblems), problem) != std::end(kProblems);
}

bool says_occupied(int problem) {
  return problem == EEXIST || problem == ENOTEMPTY || problem == ENOTDIR;
}

int rename_error(const fs::path& from, const fs::path& to) {
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

FolderWork::FolderWork(const std::string& output_dir, const FolderKind& kind, bool overwrite,
                       const Renames& renames)
    : kind_(kind), renames_(renames), process_(::getpid()) {
  try {
    prepare(output_dir, overwrite);
  } catch (const fs::filesystem_error& problem) {
    clean_up();
    throw_write_error("output_dir: " + problem.path1().string(), "can't be written",
                      problem.code().value());
  } catch (...) {
    clean_up();
    throw;
  }
}

FolderWork::~FolderWork() { clean_up(); }

void FolderWork::prepare(const std::string& output_dir, bool overwrite) {
  target_ = find_target(output_dir);
  take_lock(output_dir);
  const std::string lock = target_.lock();
  target_ = find_target(output_dir);  // another writer may have finished since
  path_ = target_.path.string();
  TTSRT_CHECK(ConfigError, target_.lock() == lock, "output_dir: ", path_,
              " was moved while it was opened");
  if (lock_->is_held()) remove_leftovers();
  replaces_ = check_contents(target_, kind_, overwrite);
  make_folder();
}

// Another writer may remove parents that it made between the two steps.
void FolderWork::take_lock(const std::string& output_dir) {
  for (int tries = 0;; ++tries) {
    make_parents();
    try {
      lock_ = std::make_unique<FolderLock>(target_.lock(), target_.path.string());
      return;
    } catch (const ConfigError&) {
      if (tries >= kMaxTries || fs::exists(target_.home)) throw;
    }
    target_ = find_target(output_dir);
  }
}

void FolderWork::make_parents() {
  std::vector<fs::path> missing;
  for (fs::path at = target_.home; !fs::exists(at); at = at.parent_path()) missing.push_back(at);
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    if (::mkdir(at->c_str(), 0777) == 0) {
      parents_.push_back(*at);
    } else if (errno != EEXIST && errno != ENOENT) {
      throw_write_error("output_dir: " + at->string(), "can't be created", errno);
    }
  }
}

void FolderWork::make_folder() {
  for (int tries = 0; folder_.empty(); ++tries) {
    const std::string made = (target_.home / (target_.prefix + random_digits() + ".tmp")).string();
    if (::mkdir(made.c_str(), 0777) == 0) {
      folder_ = made;
    } else if (errno != EEXIST || tries >= kMaxTries) {
      throw_write_error("output_dir: " + made, "can't be created", errno);
    }
  }
}

void FolderWork::clean_up() noexcept {
  if (::getpid() != process_) {
    const FolderLock* left = lock_.release();  // the lock file is the parent's
    static_cast<void>(left);
    return;
  }
  if (!folder_.empty()) remove_folder(folder_);
  folder_.clear();
  lock_.reset();
  if (is_published_) return;
  for (auto at = parents_.rbegin(); at != parents_.rend(); ++at) ::rmdir(at->c_str());
  parents_.clear();
}

void FolderWork::remove_leftovers() {
  for (const std::string& name : names_in(target_.home.string())) {
    const fs::path leftover = target_.home / name;
    if (!target_.is_temporary(name) || !fs::is_directory(fs::symlink_status(leftover))) continue;
    roll_back(leftover);
    remove_folder(leftover.string());  // unless it is another user's
  }
}

// Undoes a move of files that ended before the description arrived.
void FolderWork::roll_back(const fs::path& leftover) {
  if (!fs::exists(leftover / kMoving) || fs::exists(target_.path / kind_.description)) return;
  std::vector<std::string> names = kind_.others;
  names.insert(names.end(), kind_.folders.begin(), kind_.folders.end());
  names.push_back(kind_.description);
  for (const std::string& name : names) {
    const fs::path old = leftover / (kOld + name);
    if (fs::exists(old)) {
      fs::rename(old, target_.path / name);
    } else if (!fs::exists(leftover / name)) {
      fs::remove(target_.path / name);
    }
  }
}

void FolderWork::publish() {
  TTSRT_CHECK(InternalError, !folder_.empty() && !is_published_, "output_dir: ", path_,
              " is published already");
  try {
    sync_files();
    if (target_.is_filled) {
      fill();
    } else if (!target_.exists) {
      move_new();
    } else if (replaces_) {
      exchange();
    } else {
      move_onto_empty();
    }
    is_published_ = true;
    sync_path(target_.home.string());
    for (const fs::path& parent : parents_) sync_path(parent.parent_path().string());
  } catch (const fs::filesystem_error& problem) {
    throw_write_error("output_dir: " + problem.path1().string(), "can't be written",
                      problem.code().value());
  }
  clean_up();
}

void FolderWork::sync_files() const {
  const fs::path folder = folder_;
  TTSRT_CHECK(InternalError, fs::exists(folder / kind_.description), folder_, ": ",
              kind_.description, " was not written");
  for (const std::string& name : names_in(folder.string())) sync_path((folder / name).string());
  sync_path(folder_);
}

void FolderWork::refuse_what_appeared() const {
  throw ConfigError(message("output_dir: ", path_, " appeared or changed while the ", kind_.noun,
                            " was written, so it was left as it is"));
}

bool FolderWork::is_as_before(const std::string& path) const {
  struct stat now{};
  return ::lstat(path.c_str(), &now) == 0 && now.st_dev == target_.status.st_dev &&
         now.st_ino == target_.status.st_ino;
}

bool FolderWork::holds_only_known(const std::string& folder) const {
  const std::vector<std::string> names = names_in(folder);
  return std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return is_entry_of(kind_, name); });
}

// A folder that takes another's place has its permissions and group.
void FolderWork::keep_permissions() const {
  const int group = ::chown(folder_.c_str(), static_cast<uid_t>(-1), target_.status.st_gid);
  const int mode = ::chmod(folder_.c_str(), target_.status.st_mode & 07777U);
  static_cast<void>(group);  // as far as the system lets us
  static_cast<void>(mode);
}

void FolderWork::move_new() {
  int problem = renames_.to_new(folder_, path_);
  if (problem == EINVAL || problem == ENOSYS || problem == ENOTSUP) {
    problem = ::mkdir(path_.c_str(), 0777) == 0 ? 0 : errno;
    if (problem == 0) {
      problem = rename_error(folder_, path_);  // replaces the folder only while it is empty
      if (problem != 0) ::rmdir(path_.c_str());
    }
  }
  if (says_occupied(problem)) refuse_what_appeared();
  if (problem != 0) throw_write_error("output_dir: " + path_, "can't be written", problem);
  folder_.clear();
}

void FolderWork::move_onto_empty() {
  if (!is_as_before(path_)) refuse_what_appeared();
  keep_permissions();
  const int problem = rename_error(folder_, path_);
  if (says_occupied(problem)) refuse_what_appeared();
  if (may_be_filled(problem)) return fill();
  if (problem != 0) throw_write_error("output_dir: " + path_, "can't be written", problem);
  folder_.clear();
}

void FolderWork::exchange() {
  keep_permissions();
  const int problem = renames_.exchange(folder_, path_);
  if (may_be_filled(problem)) return fill();
  if (problem == ENOENT) return move_new();  // removed meanwhile
  if (problem != 0) throw_write_error("output_dir: " + path_, "can't be written", problem);
  bool is_known = false;
  try {
    is_known = is_as_before(folder_) && holds_only_known(folder_);
  } catch (const std::exception&) {
    is_known = false;  // what can't be looked at is not removed
  }
  if (is_known) return;  // clean_up removes the old one
  const int back = renames_.exchange(folder_, path_);
  if (back != 0) {
    const std::string kept = std::exchange(folder_, std::string());
    throw_write_error("output_dir: " + path_ + " changed meanwhile; what was there is now " + kept,
                      "can't be moved back", back);
  }
  refuse_what_appeared();
}

// Moves the files into the target, which keeps its place.
void FolderWork::fill() {
  if (!is_as_before(path_)) refuse_what_appeared();
  for (const std::string& name : names_in(target_.path.string())) {
    const bool is_replaced = replaces_ && is_entry_of(kind_, name);
    if (!target_.may_hold(name) && !is_replaced) refuse_what_appeared();
  }
  write_text((fs::path(folder_) / kMoving).string(), "");
  sync_path(folder_);
  try {
    move_files();
  } catch (...) {
    try {
      roll_back(folder_);
    } catch (const fs::filesystem_error& problem) {  // the next writer rolls it back
      const std::string kept = std::exchange(folder_, std::string());
      throw_write_error("output_dir: " + path_ + ": what was there is now in " + kept,
                        "can't be moved back", problem.code().value());
    }
    throw;
  }
}

void FolderWork::move_files() {
  const fs::path folder = folder_;
  std::vector<std::string> names = {kind_.description};
  names.insert(names.end(), kind_.others.begin(), kind_.others.end());
  names.insert(names.end(), kind_.folders.begin(), kind_.folders.end());
  for (const std::string& name : names) {
    if (replaces_ && fs::exists(target_.path / name))
      fs::rename(target_.path / name, folder / (kOld + name));
  }
  std::rotate(names.begin(), names.begin() + 1, names.end());  // the description last
  for (const std::string& name : names) {
    if (fs::exists(folder / name)) move_file(name);
  }
  sync_path(path_);
}

void FolderWork::move_file(const std::string& name) {
  const fs::path from = fs::path(folder_) / name;
  const fs::path to = target_.path / name;
  int problem = renames_.to_new(from.string(), to.string());
  if (problem == EINVAL || problem == ENOSYS || problem == ENOTSUP)
    problem = fs::exists(fs::symlink_status(to)) ? EEXIST : rename_error(from, to);
  if (problem == EEXIST) refuse_what_appeared();
  if (problem != 0) throw_write_error("output_dir: " + to.string(), "can't be written", problem);
}

FolderWriter::FolderWriter(const std::string& output_dir, const FolderKind& kind, bool overwrite)
    : work_(std::make_unique<FolderWork>(output_dir, kind, overwrite, system_renames())) {}

FolderWriter::~FolderWriter() = default;

const std::string& FolderWriter::folder() const { return work_->folder(); }

const std::string& FolderWriter::target() const { return work_->target(); }

void FolderWriter::publish() { work_->publish(); }

}  // namespace ttsrt
