#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/check.h"

namespace ttsrt {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const int file = ::open(
      path.c_str(), O_RDONLY | O_CLOEXEC |
                        O_NONBLOCK);  // O_NONBLOCK: do not wait on a pipe, which is rejected below
  TTSRT_CHECK(FormatError, file >= 0, path, ": can't be opened: ", std::strerror(errno));
  struct stat status{};
  const bool is_file = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  void* mapped = MAP_FAILED;
  if (is_file && status.st_size > 0) {
    mapped =
        ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
  }
  ::close(file);
  TTSRT_CHECK(FormatError, is_file, path, ": expected a regular file");
  TTSRT_CHECK(FormatError, status.st_size > 0, path, ": expected contents, got an empty file");
  TTSRT_CHECK(FormatError, mapped != MAP_FAILED, path, ": can't be mapped: ", std::strerror(errno));
  data_ = static_cast<const std::byte*>(mapped);
  size_ = static_cast<std::size_t>(status.st_size);
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

std::string read_text(const std::string& path, std::size_t max_bytes) {
  std::ifstream stream(path, std::ios::binary);
  TTSRT_CHECK(FormatError, stream.good(), path, ": can't be opened");
  std::string text;
  char part[4096];
  while (stream.read(part, sizeof(part)) || stream.gcount() > 0) {
    text.append(part, static_cast<std::size_t>(stream.gcount()));
    TTSRT_CHECK(FormatError, text.size() <= max_bytes, path, ": expected at most ", max_bytes,
                " bytes");
  }
  TTSRT_CHECK(FormatError, !stream.bad(), path, ": can't be read");
  return text;
}

}  // namespace ttsrt
