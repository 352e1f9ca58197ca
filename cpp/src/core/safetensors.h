// The safetensors container: 8 bytes of header length, a JSON header, then the tensors' bytes
// without gaps.
//
// The reader checks the whole header before it uses any of it: size and nesting, names, types,
// shapes (with overflow), and offsets, which must be inside the file, in order, without overlaps
// and without gaps.
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

// Returns the dtype's name in the header: "F32", "BF16", ...
const char* safetensors_name_of(DType dtype);

class SafetensorsFile {
 public:
  // Throws FormatError.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  // Throws FormatError if there is no tensor of this name.
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
