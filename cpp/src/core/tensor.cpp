#include "ttsrt/tensor.h"

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt {
namespace {

struct Entry {
  DType dtype;
  const char* name;
  std::size_t size;
};
constexpr Entry kEntries[] = {{DType::float32, "float32", 4}, {DType::bfloat16, "bfloat16", 2},
                              {DType::float16, "float16", 2}, {DType::int8, "int8", 1},
                              {DType::int32, "int32", 4},     {DType::uint8, "uint8", 1},
                              {DType::int64, "int64", 8}};

const Entry& entry_of(DType dtype) {
  for (const Entry& entry : kEntries) {
    if (entry.dtype == dtype) return entry;
  }
  throw InternalError(message("an unknown DType: ", static_cast<int>(dtype)));
}

}  // namespace

std::size_t size_of(DType dtype) { return entry_of(dtype).size; }

const char* name_of(DType dtype) { return entry_of(dtype).name; }

DType dtype_from_name(const std::string& name) {
  for (const Entry& entry : kEntries) {
    if (name == entry.name) return entry.dtype;
  }
  throw ConfigError(message("dtype: expected float32, bfloat16 or float16, got ", in_quotes(name)));
}

}  // namespace ttsrt
