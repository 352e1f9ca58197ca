// A file mapped read-only for as long as the object lives.
#pragma once

#include <cstddef>
#include <string>

namespace ttsrt {

class MappedFile {
 public:
  // Throws FormatError where the path isn't a readable, regular, non-empty file.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A small text file, whole. Throws FormatError where it can't be read or holds more than
// `max_bytes`.
std::string read_text(const std::string& path, std::size_t max_bytes);

}  // namespace ttsrt
