// Writes a safetensors file one tensor at a time; each starts on a 64-byte boundary of the file.
//
// The format allows no gaps, so the writer aligns tensors by padding the header with spaces and by
// adding small filler tensors named "pad.N". All shapes must be known first, because the header
// comes before the data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/output_file.h"
#include "ttsrt/tensor.h"

namespace ttsrt {

class SafetensorsWriter {
 public:
  struct Entry {
    std::string name;
    DType dtype = DType::float32;
    std::vector<std::int64_t> shape;
  };

  // Writes the header for `entries`, in order. Throws as throw_write_error if the file cannot be
  // written.
  SafetensorsWriter(const std::string& path, const std::vector<Entry>& entries);
  // Writes the bytes of the next tensor.
  void write(const std::byte* data, std::size_t bytes);
  // Flushes the file to disk; all tensors must have been written.
  void finish();

 private:
  std::string path_;
  OutputFile file_;
  std::vector<std::size_t> sizes_;  // bytes of each tensor
  std::size_t next_ = 0;
};

}  // namespace ttsrt
