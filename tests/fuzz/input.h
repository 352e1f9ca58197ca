// What a fuzz target takes from the bytes it is given, and how it writes files.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "support/json_edits.h"
#include "support/temp_dir.h"

namespace ttsrt::fuzz {

// Takes values from the front; zeros once it is empty.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  bool is_empty() const { return size_ == 0; }
  std::uint8_t byte() { return take<std::uint8_t>(); }
  template <typename T>
  T take() {
    T value{};
    const std::size_t bytes = size_ < sizeof(T) ? size_ : sizeof(T);
    if (bytes > 0) std::memcpy(&value, data_, bytes);
    skip(bytes);
    return value;
  }
  std::string rest() {
    std::string text(reinterpret_cast<const char*>(data_), size_);
    skip(size_);
    return text;
  }

 private:
  void skip(std::size_t bytes) {
    data_ += bytes;
    size_ -= bytes;
  }

  const std::uint8_t* data_;
  std::size_t size_;
};

// Edits `json` as the input says, at most eight times, so that its form stays and readers get far.
inline void edit(Json& json, Input& input) {
  for (int edits = 0; edits < 8 && !input.is_empty(); ++edits) {
    const auto place = input.take<std::uint16_t>();
    const std::uint8_t kind = input.byte();
    test::edit_json(json, place, kind, input.byte());
  }
}

// Writes a file and dates it back: readers wait a moment before they trust a file written just now.
inline void write_old_file(const std::string& path, const std::string& contents) {
  test::write_file(path, contents);
  const timespec times[2] = {{1, 0}, {1, 0}};
  ::utimensat(AT_FDCWD, path.c_str(), times, 0);
}

}  // namespace ttsrt::fuzz
