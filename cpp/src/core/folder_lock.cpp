#include "core/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/check.h"
#include "core/output_file.h"

namespace ttsrt {
namespace {

constexpr int kMaxTries = 1000;

std::string holder(int file) {
  char text[160];
  const ssize_t length = ::pread(file, text, sizeof(text), 0);
  std::string name(text, length > 0 ? static_cast<std::size_t>(length) : 0);
  const bool is_whole = !name.empty() && name.back() == '\n';
  if (!is_whole) return "another process";
  name.pop_back();
  return name;
}

}  // namespace

FolderLock::FolderLock(const std::string& path, const std::string& target) : path_(path) {
  for (int tries = 0; tries < kMaxTries; ++tries) {
    if (open_and_lock(target)) return;
  }
  throw ConfigError(message("output_dir: ", target, " is being written by other processes, which ",
                            "hold the lock ", path_));
}

bool FolderLock::open_and_lock(const std::string& target) {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  if (file_ < 0)
    throw_write_error(path_, "can't be created, so the folder can't be written", errno);
  int problem = 0;
  while (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    problem = errno;
    if (problem != EINTR) break;
    problem = 0;
  }
  if (problem == EWOULDBLOCK) {
    const std::string name = holder(file_);
    ::close(std::exchange(file_, -1));
    throw ConfigError(message("output_dir: ", target, " is being written by ", name,
                              ", which holds the lock ", path_));
  }
  if (problem != 0) {  // the file system has no locks
    ::unlink(path_.c_str());
    ::close(std::exchange(file_, -1));
    return true;
  }
  // The writer before may have removed the file after it was opened here.
  struct stat locked{};
  struct stat named{};
  const bool is_named = ::fstat(file_, &locked) == 0 && ::lstat(path_.c_str(), &named) == 0 &&
                        locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
  if (!is_named) {
    ::close(std::exchange(file_, -1));
    return false;
  }
  is_held_ = true;
  sign();
  return true;
}

void FolderLock::sign() {
  char host[64] = "";
  ::gethostname(host, sizeof(host) - 1);
  const std::string text = message("process ", ::getpid(), " on ", host, "\n");
  const bool is_signed =
      ::ftruncate(file_, 0) == 0 && ::pwrite(file_, text.data(), text.size(), 0) > 0;
  static_cast<void>(is_signed);  // a full disk: the lock holds, only the name is missing
}

FolderLock::~FolderLock() {
  if (!is_held_) return;
  ::unlink(path_.c_str());
  ::close(file_);
}

}  // namespace ttsrt
