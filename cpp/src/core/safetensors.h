// The safetensors container: 8 bytes of header length, a JSON header, then the tensors' bytes
// without gaps.
//
// These are files that `convert` and `build` wrote, with a few thousand tensors at most; bounds are
// far above that and far below what other programs accept.
// The reader checks the whole header before it uses any of it: size and nesting, names, types,
// shapes (with overflow), and offsets, which must be inside the file and cover it without overlaps
// and without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/input_file.h"
#include "core/json.h"
#include "ttsrt/tensor.h"

namespace ttsrt {

constexpr std::size_t kMaxSafetensorsHeader = kMaxJson;

struct StoredTensor {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  std::size_t offset = 0;  // in the file
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
  // The bytes of a tensor, or of a part of one. Throws FormatError if the file has changed since it
  // was opened.
  std::vector<std::byte> read(const StoredTensor& tensor) const;
  const InputFile& file() const { return file_; }

 private:
  void read_tensor(const std::string& name, const Json& entry, std::size_t body);
  void check_coverage(std::size_t body) const;

  InputFile file_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace ttsrt
