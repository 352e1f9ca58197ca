#include "core/folder_entries.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "core/output_file.h"

namespace ttsrt {
namespace {

struct Close {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using OpenFolder = std::unique_ptr<DIR, Close>;

constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

bool is_self_or_parent(const char* name) {
  return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
}

OpenFolder open_folder(int parent, const char* name, int flags) noexcept {
  const int file = ::openat(parent, name, flags);
  if (file < 0) return nullptr;
  OpenFolder folder(::fdopendir(file));
  if (!folder) {
    const int problem = errno;
    ::close(file);
    errno = problem;
  }
  return folder;
}

void remove_entries(DIR* folder) noexcept {
  while (const dirent* entry = ::readdir(folder)) {
    if (is_self_or_parent(entry->d_name)) continue;
    if (::unlinkat(::dirfd(folder), entry->d_name, 0) == 0) continue;
    const OpenFolder inner = open_folder(::dirfd(folder), entry->d_name, kFlags | O_NOFOLLOW);
    if (!inner) continue;
    remove_entries(inner.get());
    ::unlinkat(::dirfd(folder), entry->d_name, AT_REMOVEDIR);
  }
}

}  // namespace

std::vector<std::string> names_in(const std::string& folder) {
  const OpenFolder open = open_folder(AT_FDCWD, folder.c_str(), kFlags);
  if (!open) throw_write_error(folder, "can't be read", errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(open.get());
    if (entry == nullptr && errno != 0) throw_write_error(folder, "can't be read", errno);
    if (entry == nullptr) return names;
    if (!is_self_or_parent(entry->d_name)) names.emplace_back(entry->d_name);
  }
}

void remove_folder(const std::string& folder) noexcept {
  {
    const OpenFolder open = open_folder(AT_FDCWD, folder.c_str(), kFlags | O_NOFOLLOW);
    if (open) remove_entries(open.get());
  }
  ::rmdir(folder.c_str());
}

}  // namespace ttsrt
