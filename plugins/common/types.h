// Tensors as the plugins see them, whatever the version of TensorRT: its headers are known to the
// adapters alone (v2/, v3/).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ttsrt::plugins {

enum class Type : std::int32_t { int32, float32, float16 };
const char* name_of(Type type);

using Dims = std::vector<std::int64_t>;
std::string text_of(const Dims& dims);  // "[4, 768]"

// A tensor of one call, in device memory, row-major.
struct Tensor {
  Dims dims;
  void* data = nullptr;
};

}  // namespace ttsrt::plugins
