#include "common/types.h"

namespace ttsrt::plugins {

const char* name_of(Type type) {
  switch (type) {
    case Type::int32:
      return "int32";
    case Type::float32:
      return "float32";
    case Type::float16:
      return "float16";
  }
  return "unknown";
}

std::string text_of(const Dims& dims) {
  std::string text = "[";
  for (const std::int64_t extent : dims) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text + "]";
}

}  // namespace ttsrt::plugins
