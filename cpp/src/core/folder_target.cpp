#include "core/folder_target.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/check.h"
#include "core/folder_entries.h"
#include "core/input_file.h"
#include "core/json.h"
#include "core/output_file.h"
#include "core/sha256.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;
constexpr int kMaxLinks = 40;
constexpr std::size_t kMaxStem = 120;  // bytes of the target's name in names of temporary folders
constexpr std::size_t kRandomDigits = 12;
constexpr const char* kTemporaryEnd = ".tmp";

fs::path without_end(fs::path path) {
  while (!path.has_filename() && path.has_relative_path()) path = path.parent_path();
  return path;
}

// The path that links at its end lead to, whether or not something is there.
fs::path follow_links(const std::string& output_dir) {
  TTSRT_CHECK(ConfigError, !output_dir.empty(), "output_dir: expected a folder, got an empty path");
  TTSRT_CHECK(ConfigError, output_dir.find('\0') == std::string::npos,
              "output_dir: expected a path without null characters");
  std::error_code gone;
  const fs::path whole = fs::absolute(output_dir, gone);
  TTSRT_CHECK(ConfigError, gone != std::errc::no_such_file_or_directory, "output_dir: ", output_dir,
              ": the current folder doesn't exist any more; pass an absolute path");
  if (gone) throw_write_error("output_dir: " + output_dir, "can't be used", gone.value());
  fs::path at = without_end(whole);
  for (int links = 0;; ++links) {
    TTSRT_CHECK(ConfigError, links < kMaxLinks, "output_dir: ", output_dir,
                ": expected a folder, got a circle of links");
    std::error_code unknown;
    if (!fs::is_symlink(fs::symlink_status(at, unknown))) break;
    at = without_end(at.parent_path() / fs::read_symlink(at));
  }
  return without_end(fs::weakly_canonical(at));
}

bool is_mount_point(const fs::path& path) {
#if defined(__linux__) && defined(STATX_BASIC_STATS)
  constexpr std::uint64_t kMountRoot = 0x2000;  // STATX_ATTR_MOUNT_ROOT of newer C libraries
  struct statx facts{};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_BASIC_STATS, &facts) == 0 &&
      (facts.stx_attributes_mask & kMountRoot) != 0)
    return (facts.stx_attributes & kMountRoot) != 0;
#endif
  struct stat own{};
  struct stat parent{};
  return ::stat(path.c_str(), &own) == 0 && ::stat((path / "..").c_str(), &parent) == 0 &&
         (own.st_dev != parent.st_dev || own.st_ino == parent.st_ino);
}

bool is_current_folder(const struct stat& status) {
  struct stat current{};
  return ::stat(".", &current) == 0 && current.st_dev == status.st_dev &&
         current.st_ino == status.st_ino;
}

// 0, or why nothing can be created in the folder.
int why_not_writable(const fs::path& folder) {
  return ::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

void check_writable(const fs::path& folder, const fs::path& target) {
  const int problem = why_not_writable(folder);
  if (problem == 0) return;
  throw_write_error("output_dir: " + target.string(),
                    folder == target ? "can't be written" : folder.string() + " can't be written",
                    problem);
}

// What stands for the target in the names of its temporary folders.
std::string stem_of(const std::string& name) {
  if (name.size() <= kMaxStem) return name;
  return sha256_hex(reinterpret_cast<const std::byte*>(name.data()), name.size());
}

fs::path nearest_existing(fs::path path) {
  std::error_code unknown;
  while (!fs::exists(path, unknown) && path.has_relative_path()) path = path.parent_path();
  return path;
}

void choose_home(FolderTarget& target) {
  const fs::path parent = target.path.parent_path();
  if (!target.exists) {
    const fs::path existing = nearest_existing(parent);
    TTSRT_CHECK(ConfigError, fs::is_directory(existing), "output_dir: ", target.path.string(), ": ",
                existing.string(), " isn't a folder");
    check_writable(existing, target.path);
  } else {
    TTSRT_CHECK(ConfigError, S_ISDIR(target.status.st_mode), "output_dir: ", target.path.string(),
                " exists and isn't a folder");
    check_writable(target.path, target.path);
    if (is_mount_point(target.path) || why_not_writable(parent) != 0) {
      target.home = target.path;
      target.prefix = ".ttsrt-";
      target.is_filled = true;
      return;
    }
    target.is_filled = is_current_folder(target.status);
  }
  target.home = parent;
  target.prefix = "." + stem_of(target.path.filename().string()) + ".ttsrt-";
}

std::string with_article(const std::string& noun) {
  return (std::string("aeiou").find(noun[0]) == std::string::npos ? "a " : "an ") + noun;
}

void check_description(const FolderTarget& target, const FolderKind& kind) {
  const std::string path = (target.path / kind.description).string();
  try {
    Json json = parse_json(read_text(path, kMaxJson), path);
    const JsonGuard guard(json);
    const std::string format = JsonReader(json, path).string("format");
    TTSRT_CHECK(FormatError, format == kind.format, path, ".format: expected \"", kind.format,
                "\", got \"", format.substr(0, 100), "\"");
  } catch (const FormatError& problem) {
    throw ConfigError(message("output_dir: ", target.path.string(), " exists and isn't ",
                              with_article(kind.noun), ": ", problem.what(), "; what is not ",
                              with_article(kind.noun), " is never replaced"));
  }
}

bool is_folder_of(const FolderKind& kind, const std::string& name) {
  return std::find(kind.folders.begin(), kind.folders.end(), name) != kind.folders.end();
}

}  // namespace

bool FolderTarget::is_temporary(const std::string& name) const {
  const std::size_t end = std::strlen(kTemporaryEnd);
  if (name.size() != prefix.size() + kRandomDigits + end) return false;
  const bool is_framed = name.compare(0, prefix.size(), prefix) == 0 &&
                         name.compare(name.size() - end, end, kTemporaryEnd) == 0;
  return is_framed &&
         name.find_first_not_of("0123456789abcdef", prefix.size()) == prefix.size() + kRandomDigits;
}

bool FolderTarget::may_hold(const std::string& name) const {
  const bool is_own = home == path && (name == prefix + "lock" || is_temporary(name));
  return is_own || (is_filled && name == "lost+found");
}

bool is_entry_of(const FolderKind& kind, const std::string& name) {
  return name == kind.description ||
         std::find(kind.others.begin(), kind.others.end(), name) != kind.others.end() ||
         is_folder_of(kind, name);
}

FolderTarget find_target(const std::string& output_dir) {
  FolderTarget target;
  try {
    target.path = follow_links(output_dir);
    target.exists = ::stat(target.path.c_str(), &target.status) == 0;
    if (!target.exists && errno != ENOENT && errno != ENOTDIR)
      throw_write_error("output_dir: " + target.path.string(), "can't be written", errno);
    choose_home(target);
  } catch (const fs::filesystem_error& problem) {
    const std::string named = problem.path1().empty() ? output_dir : problem.path1().string();
    throw_write_error("output_dir: " + named, "can't be used", problem.code().value());
  }
  return target;
}

bool check_contents(const FolderTarget& target, const FolderKind& kind, bool overwrite) {
  if (!target.exists) return false;
  bool is_empty = true;
  std::vector<std::string> names;
  try {
    names = names_in(target.path.string());
  } catch (const ConfigError& problem) {
    throw ConfigError(message("output_dir: ", problem.what()));
  }
  for (const std::string& name : names) {
    if (target.may_hold(name)) continue;
    TTSRT_CHECK(ConfigError, is_entry_of(kind, name), "output_dir: ", target.path.string(),
                " exists and isn't ", with_article(kind.noun), ": it holds ", name,
                "; what is not ", with_article(kind.noun), " is never replaced");
    std::error_code unknown;
    const bool is_folder = is_folder_of(kind, name);
    const fs::file_type wanted = is_folder ? fs::file_type::directory : fs::file_type::regular;
    TTSRT_CHECK(ConfigError, fs::status(target.path / name, unknown).type() == wanted,
                "output_dir: ", (target.path / name).string(), " isn't a ",
                is_folder ? "folder" : "regular file");
    is_empty = false;
  }
  if (is_empty) return false;
  check_description(target, kind);
  TTSRT_CHECK(ConfigError, overwrite, "output_dir: ", target.path.string(), " holds ",
              with_article(kind.noun), " already; pass overwrite to replace it");
  return true;
}

}  // namespace ttsrt
