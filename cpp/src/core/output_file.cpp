#include "core/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/check.h"

namespace ttsrt {
namespace {

constexpr std::size_t kMaxWrite = 1U << 30;  // the system writes at most 2 GiB in one call

void sync_open(int file, const std::string& path) {
  while (::fsync(file) != 0) {
    const int problem = errno;
    if (problem == EINTR) continue;
    if (problem == EINVAL || problem == ENOTSUP || problem == ENOSYS) return;  // can't be synced
    throw_write_error(path, "can't be synced to the disk", problem);
  }
}

}  // namespace

void throw_write_error(const std::string& path, const std::string& what, int problem) {
  const std::string text =
      message(path, ": ", what, ": ", std::generic_category().message(problem));
  switch (problem) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      throw CapacityError(text);
    case EIO:
      throw DeviceError(text);
    default:
      throw ConfigError(text);
  }
}

OutputFile::OutputFile(const std::string& path)
    : path_(path),
      file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC, 0666)) {
  if (file_ < 0) throw_write_error(path_, "can't be created", errno);
}

OutputFile::~OutputFile() {
  if (file_ >= 0) ::close(file_);
}

void OutputFile::write(const void* data, std::size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(file_, at, std::min(bytes, kMaxWrite));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_write_error(path_, "can't be written", errno);
    }
    at += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void OutputFile::finish() {
  sync_open(file_, path_);
  // Network file systems report a full disk here; the descriptor is gone in any case.
  if (::close(std::exchange(file_, -1)) != 0 && errno != EINTR)
    throw_write_error(path_, "can't be written", errno);
}

void write_text(const std::string& path, std::string_view text) {
  OutputFile file(path);
  file.write(text.data(), text.size());
  file.finish();
}

void sync_path(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) throw_write_error(path, "can't be synced to the disk", errno);
  try {
    sync_open(file, path);
  } catch (...) {
    ::close(file);
    throw;
  }
  ::close(file);
}

}  // namespace ttsrt
