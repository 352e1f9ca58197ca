// Files and folders that are written: each write, sync and close is checked, and errors name the
// whole path.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ttsrt {

// Throws the error of a failed call on something that is written: CapacityError for a full disk or
// quota, DeviceError for a failing disk, and ConfigError for everything else, because the caller
// chose the path. `problem` is an errno.
[[noreturn]] void throw_write_error(const std::string& path, const std::string& what, int problem);

class OutputFile {
 public:
  // Creates the file, or empties an existing one.
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, std::size_t bytes);
  // Syncs the file to the disk and closes it.
  void finish();

 private:
  std::string path_;
  int file_ = -1;
};

// Writes a whole file and syncs it to the disk.
void write_text(const std::string& path, std::string_view text);

// Syncs a file or folder to the disk. File systems that can't sync folders are accepted.
void sync_path(const std::string& path);

}  // namespace ttsrt
