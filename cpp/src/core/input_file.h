// A regular file that is read by offset.
//
// Files are never mapped: a mapped file that another process truncates ends this process with
// SIGBUS, and one that is overwritten changes under its readers. Reading costs a copy, and every
// change is an error that names the file.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>

namespace ttsrt {

class InputFile {
 public:
  // Throws FormatError if the path is not a readable regular file (a pipe, a device, a folder), and
  // CapacityError if the process may open no more files.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  const std::string& path() const { return path_; }
  std::size_t size() const { return static_cast<std::size_t>(opened_.st_size); }

  // Reads `bytes` bytes, which must lie inside size(). Throws FormatError if the file became
  // shorter. Thread safe.
  void read(std::size_t offset, std::byte* into, std::size_t bytes) const;
  // As read, by several threads if that is faster.
  void read_large(std::size_t offset, std::byte* into, std::size_t bytes) const;
  // The whole file. Throws FormatError if it is larger than `max_bytes` or was changed.
  std::string text(std::size_t max_bytes) const;
  // Throws FormatError if the file's contents were changed since it was opened.
  void check_unchanged() const;
  // Throws FormatError if the path names another file than when it was opened.
  void check_in_place() const;

 private:
  std::string path_;
  int file_ = -1;
  struct stat opened_ = {};
};

inline std::string read_text(const std::string& path, std::size_t max_bytes) {
  return InputFile(path).text(max_bytes);
}

}  // namespace ttsrt
