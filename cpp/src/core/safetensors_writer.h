// Writes a safetensors file one tensor at a time, each starting on a 64-byte boundary of the file.
//
// The format allows no holes, so alignment comes from a header padded with spaces and from small
// filler tensors named "pad.N". All shapes are planned first, because the header stands before the
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "ttsrt/tensor.h"

namespace ttsrt {

class SafetensorsWriter {
 public:
  struct Plan {
    std::string name;
    DType dtype = DType::float32;
    std::vector<std::int64_t> shape;
  };

  // Writes the header for `plans`, in order. Throws FormatError where the file can't be written.
  SafetensorsWriter(const std::string& path, const std::vector<Plan>& plans);
  // The next planned tensor's bytes.
  void write(const std::byte* data, std::size_t bytes);
  // Flushes to the disk; everything planned must have been written.
  void finish();

 private:
  void put(const void* data, std::size_t bytes);

  std::string path_;
  std::ofstream stream_;
  std::vector<std::size_t> sizes_;  // of the planned tensors
  std::size_t next_ = 0;
};

}  // namespace ttsrt
