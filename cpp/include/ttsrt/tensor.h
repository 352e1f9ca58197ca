// Arrays of the public API: element types, and an owning, dense, row-major matrix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ttsrt/export.h"

namespace ttsrt {

/// Element type of stored weights and caches.
enum class DType : std::int32_t { float32, bfloat16, float16, int8, int32, uint8, int64 };

/// Returns the bytes of one element.
TTSRT_API std::size_t size_of(DType dtype);

/// Returns "float32", "bfloat16", ...
TTSRT_API const char* name_of(DType dtype);

/// Inverts name_of; throws ConfigError with the names that weights and caches can have.
TTSRT_API DType dtype_from_name(const std::string& name);

/// A dense row-major matrix that owns its values. `rows * cols == values.size()`.
template <typename T>
struct Matrix {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<T> values;

  bool empty() const { return values.empty(); }
  const T* row(std::int64_t index) const { return values.data() + index * cols; }
  T* row(std::int64_t index) { return values.data() + index * cols; }
};

}  // namespace ttsrt
