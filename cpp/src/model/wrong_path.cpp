// The kinds are told by names, and by the first bytes of config.json, which other programs write,
// too. Nothing is parsed: readers check the contents.
#include "model/wrong_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <system_error>
#include <vector>

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt::model {
namespace {

constexpr int kMaxEntries = 1000;  // of a folder that is searched for a checkpoint

enum class Kind {
  engine,
  checkpoint,
  engine_file,  // a file of such a folder
  checkpoint_file,
  archive,        // .nemo
  weights,        // .ckpt and the like
  unpacked,       // the files of a .nemo
  fork,           // TensorRT-LLM's layout
  holds_source,   // a folder with a .nemo or .ckpt in it
  holds_sources,  // a folder with several
  empty,
  folder,
  file,
  neither,  // a pipe, a device
};

struct Found {
  Kind kind = Kind::folder;
  std::string source;  // what to convert, or the folder of a file
};

bool has_ending(const std::string& name, const char* ending) {
  const std::string end = ending;
  return name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

mode_t type_of(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & S_IFMT : 0;
}

bool is_file(const std::string& path) { return type_of(path) == S_IFREG; }
bool is_folder(const std::string& path) { return type_of(path) == S_IFDIR; }

bool is_checkpoint(const std::string& folder) {
  if (!is_file(folder + "/config.json")) return false;
  std::string start(4096, '\0');
  std::ifstream file(folder + "/config.json", std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return start.find("\"ttsrt.checkpoint\"") != std::string::npos;
}

// Whether a file begins as the page of a download site or the pointer of Git LFS does.
bool is_page(const std::string& path) {
  std::string start(64, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  const std::size_t letter = start.find_first_not_of(" \t\r\n");
  return letter != std::string::npos &&
         (start[letter] == '<' || start.compare(letter, 24, "version https://git-lfs.") == 0);
}

// The names with one of the endings that `convert` takes, in order.
std::vector<std::string> sources_in(const std::string& folder, bool& is_empty) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), &::closedir);
  std::vector<std::string> sources;
  is_empty = entries != nullptr;
  for (int count = 0; entries && count < kMaxEntries; ++count) {
    const dirent* entry = ::readdir(entries.get());
    if (entry == nullptr) break;
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name == "." || name == "..") continue;
    is_empty = false;
    const bool is_source = has_ending(name, ".nemo") || has_ending(name, ".ckpt");
    if (is_source && !is_page(message(folder, "/", name))) sources.push_back(name);
  }
  std::sort(sources.begin(), sources.end());
  return sources;
}

// The first names, as many as a message has room for.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 5;
  std::string all;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) {
    all += (i > 0 ? ", " : "") + in_quotes(names[i]);
  }
  return names.size() > kMost ? all + ", ..." : all;
}

// A folder that may not be entered or listed is not one of another kind.
void check_may(int access, const std::string& path, const char* expected) {
  if (::faccessat(AT_FDCWD, path.c_str(), access, AT_EACCESS) == 0) return;
  throw ConfigError(
      message(path, ": expected ", expected, ", got: ", std::generic_category().message(errno)));
}

Found look_at_folder(const std::string& path, const char* expected) {
  check_may(X_OK, path, expected);
  if (is_file(path + "/engine.json")) return {Kind::engine, ""};
  if (is_checkpoint(path)) return {Kind::checkpoint, ""};
  if (is_file(path + "/model_config.yaml")) return {Kind::unpacked, path};
  if (is_folder(path + "/encoder") && is_folder(path + "/decoder")) return {Kind::fork, path};
  check_may(R_OK, path, expected);
  bool is_empty = false;
  const std::vector<std::string> sources = sources_in(path, is_empty);
  if (sources.size() == 1) return {Kind::holds_source, message(path, "/", sources.front())};
  if (!sources.empty()) return {Kind::holds_sources, listed(sources)};
  return {is_empty ? Kind::empty : Kind::folder, ""};
}

Found look_at_file(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (is_file(folder + "/engine.json")) return {Kind::engine_file, folder};
  if (is_checkpoint(folder)) return {Kind::checkpoint_file, folder};
  if (has_ending(path, ".nemo")) return {Kind::archive, path};
  for (const char* ending : {".ckpt", ".pt", ".pth", ".bin", ".safetensors"}) {
    if (has_ending(path, ending)) return {Kind::weights, path};
  }
  return {Kind::file, ""};
}

Found look_at(const std::string& path, const char* expected) {
  TTSRT_CHECK(ConfigError, !path.empty() && path.find('\0') == std::string::npos, "path: expected ",
              expected, ", got ", path.empty() ? "an empty name" : "a zero byte");
  const mode_t type = type_of(path);
  if (type == 0) {
    const int reason = errno;
    TTSRT_CHECK(NotFoundError, reason != ENOENT && reason != ENOTDIR, path, ": expected ", expected,
                ", got no file or folder of this name");
    throw ConfigError(
        message(path, ": expected ", expected, ", got: ", std::generic_category().message(reason)));
  }
  if (type == S_IFDIR) return look_at_folder(path, expected);
  if (type == S_IFREG) return look_at_file(path);
  return {Kind::neither, ""};
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::engine:
      return "an engine";
    case Kind::checkpoint:
      return "a checkpoint that isn't built yet";
    case Kind::engine_file:
      return "a file of an engine";
    case Kind::checkpoint_file:
      return "a file of a checkpoint";
    case Kind::archive:
      return "a .nemo archive";
    case Kind::weights:
      return "a file of weights of another program";
    case Kind::unpacked:
      return "an unpacked .nemo archive";
    case Kind::fork:
      return "a checkpoint in TensorRT-LLM's layout";
    case Kind::holds_source:
      return "a folder with a checkpoint of another program";
    case Kind::holds_sources:
      return "a folder with several checkpoints of other programs";
    case Kind::empty:
      return "an empty folder";
    case Kind::file:
      return "a file of another kind";
    case Kind::neither:
      return "neither a file nor a folder";
    case Kind::folder:
      break;
  }
  return "a folder of another kind";
}

// A path as a shell takes it.
std::string quoted(const std::string& path) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+=:@%,";
  if (!path.empty() && path.find_first_not_of(kPlain) == std::string::npos) return path;
  std::string all = "'";
  for (const char letter : path)
    all += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return all + "'";
}

std::string conversion(const std::string& source) {
  return message("convert and build it first: ttsrt convert ", quoted(source),
                 " CHECKPOINT && ttsrt build --checkpoint_dir CHECKPOINT --output_dir ENGINE");
}

std::string building(const std::string& checkpoint) {
  return message("build it first: ttsrt build --checkpoint_dir ", quoted(checkpoint),
                 " --output_dir ENGINE");
}

// What to do with what was found. `wanted`: what the caller asked for.
std::string advice(const Found& found, const std::string& path, Kind wanted) {
  switch (found.kind) {
    case Kind::engine:
      return message("it is built already, run it: ttsrt run ", quoted(path), " --text_ids IDS");
    case Kind::checkpoint:
      return building(path);
    case Kind::engine_file:
      return message("pass its folder: ", found.source);
    case Kind::checkpoint_file:
      return wanted == Kind::checkpoint ? message("pass its folder: ", found.source)
                                        : building(found.source);
    case Kind::archive:
    case Kind::weights:
    case Kind::unpacked:
    case Kind::fork:
    case Kind::holds_source:
      return conversion(found.source);
    case Kind::holds_sources:
      return message("convert one of them with ttsrt convert, and build it: ", found.source);
    default:
      break;
  }
  return wanted == Kind::engine ? "ttsrt build writes engines" : "ttsrt convert writes checkpoints";
}

void check_is(const std::string& path, Kind wanted, const char* expected) {
  const Found found = look_at(path, expected);
  TTSRT_CHECK(FormatError, found.kind == wanted, path, ": expected ", expected, ", got ",
              name_of(found.kind), "; ", advice(found, path, wanted));
}

}  // namespace

void check_is_engine(const std::string& path) {
  check_is(path, Kind::engine, "an engine folder (engine.json, weights.safetensors)");
}

void check_is_checkpoint(const std::string& path) {
  if (is_file(path + "/config.json") && !is_file(path + "/engine.json") &&
      is_file(path + "/model.safetensors") && !is_file(path + "/model_config.yaml"))
    return;  // the reader says what is wrong with it
  check_is(path, Kind::checkpoint, "a checkpoint folder (config.json, model.safetensors)");
}

}  // namespace ttsrt::model
