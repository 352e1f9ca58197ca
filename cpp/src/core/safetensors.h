// The safetensors container: 8 bytes of header length, a JSON header, then the tensors' bytes
// without a gap.
//
// Reading checks everything the header claims before anything is used: size and nesting, names,
// types, shapes (with overflow), offsets inside the file, in order, neither overlapping nor leaving
// holes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/mapped_file.h"
#include "ttsrt/tensor.h"

namespace ttsrt {

constexpr std::size_t kMaxSafetensorsHeader = 100U << 20;

struct StoredTensor {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;  // inside the mapping
  std::size_t bytes = 0;

  std::int64_t elements() const;
};

// "F32", "BF16", ...: the header's spelling.
const char* safetensors_name_of(DType dtype);

class SafetensorsFile {
 public:
  // Throws FormatError.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  // Throws FormatError where the name is absent.
  const StoredTensor& at(const std::string& name) const;
  bool has(const std::string& name) const { return tensors_.count(name) != 0; }

 private:
  void read_tensor(const std::string& name, const Json& entry, const std::byte* body,
                   std::size_t body_bytes);
  void check_coverage(std::size_t body_bytes) const;

  MappedFile file_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace ttsrt
