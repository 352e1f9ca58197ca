// A file that stays mapped, read-only, while the object exists.
#pragma once

#include <cstddef>
#include <string>

namespace ttsrt {

class MappedFile {
 public:
  // Throws FormatError if the path is not a readable, regular, non-empty file.
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

// Reads a whole text file. Throws FormatError if it cannot be read or is larger than `max_bytes`.
std::string read_text(const std::string& path, std::size_t max_bytes);

}  // namespace ttsrt
