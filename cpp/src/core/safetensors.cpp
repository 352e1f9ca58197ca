#include "core/safetensors.h"

#include <algorithm>

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt {
namespace {

struct NamedType {
  const char* name;
  DType dtype;
};
constexpr NamedType kTypes[] = {{"F32", DType::float32}, {"BF16", DType::bfloat16},
                                {"F16", DType::float16}, {"I8", DType::int8},
                                {"I32", DType::int32},   {"U8", DType::uint8},
                                {"I64", DType::int64}};
constexpr std::size_t kMaxName = 200;
constexpr std::size_t kMaxDims = 8;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

}  // namespace

std::int64_t StoredTensor::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

const char* safetensors_name_of(DType dtype) {
  for (const auto& type : kTypes) {
    if (type.dtype == dtype) return type.name;
  }
  throw InternalError("a type without a safetensors name");
}

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  TTSRT_CHECK(FormatError, file_.size() >= 8, path, ": expected a safetensors file, got ",
              file_.size(), " bytes");
  std::byte length[8];
  file_.read(0, length, sizeof(length));
  std::uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i)
    header_bytes = header_bytes << 8 | static_cast<std::uint8_t>(length[i]);
  TTSRT_CHECK(FormatError,
              header_bytes <= kMaxSafetensorsHeader && header_bytes <= file_.size() - 8, path,
              ": header: expected at most ", std::min(kMaxSafetensorsHeader, file_.size() - 8),
              " bytes, got ", header_bytes);
  std::string text(static_cast<std::size_t>(header_bytes), '\0');
  file_.read(8, reinterpret_cast<std::byte*>(text.data()), text.size());
  file_.check_unchanged();
  Json header = parse_json(text, path + ": header");
  const JsonGuard guard(header);
  TTSRT_CHECK(FormatError, header.is_object(), path, ": header: expected an object");
  const std::size_t body = 8 + text.size();
  for (const auto& [name, entry] : header.items()) {
    TTSRT_CHECK(FormatError, name.size() <= kMaxName, path, ": header: ", in_quotes(name),
                ": expected a name of at most ", kMaxName, " bytes, got ", name.size());
    if (name != "__metadata__") read_tensor(name, entry, body);
  }
  check_coverage(body);
}

void SafetensorsFile::read_tensor(const std::string& name, const Json& entry, std::size_t body) {
  const JsonReader reader(entry, path() + ": " + name);
  StoredTensor tensor;
  tensor.name = name;
  const std::string type_name = reader.string("dtype");
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const NamedType& known) { return type_name == known.name; });
  TTSRT_CHECK(FormatError, type != std::end(kTypes), reader.where(),
              ".dtype: expected F32, BF16, F16, I8, I32, U8 or I64, got ", in_quotes(type_name));
  tensor.dtype = type->dtype;
  const Json& shape = reader.value("shape");
  TTSRT_CHECK(FormatError, shape.is_array() && shape.size() <= kMaxDims, reader.where(),
              ".shape: expected at most ", kMaxDims, " sizes");
  std::int64_t elements = 1;
  for (const Json& size : shape) {
    TTSRT_CHECK(FormatError, size.is_number_integer() && size >= 0 && size <= kMaxElements,
                reader.where(), ".shape: expected sizes in [0, ", kMaxElements, "]");
    tensor.shape.push_back(size.get<std::int64_t>());
    TTSRT_CHECK(FormatError,
                tensor.shape.back() == 0 || elements <= kMaxElements / tensor.shape.back(),
                reader.where(), ".shape: too many elements");
    elements *= tensor.shape.back();
  }
  const Json& offsets = reader.value("data_offsets");
  const bool are_offsets = offsets.is_array() && offsets.size() == 2 &&
                           offsets[0].is_number_unsigned() && offsets[1].is_number_unsigned();
  TTSRT_CHECK(FormatError, are_offsets, reader.where(), ".data_offsets: expected two offsets");
  const auto begin = offsets[0].get<std::uint64_t>();
  const auto end = offsets[1].get<std::uint64_t>();
  const std::size_t body_bytes = file_.size() - body;
  TTSRT_CHECK(FormatError, begin <= end && end <= body_bytes, reader.where(),
              ".data_offsets: expected inside [0, ", body_bytes, "], got [", begin, ", ", end, "]");
  tensor.bytes = static_cast<std::size_t>(end - begin);
  TTSRT_CHECK(
      FormatError, tensor.bytes == static_cast<std::size_t>(elements) * size_of(tensor.dtype),
      reader.where(), ": expected ", static_cast<std::size_t>(elements) * size_of(tensor.dtype),
      " bytes by its shape, got ", tensor.bytes);
  tensor.offset = body + static_cast<std::size_t>(begin);
  tensors_.emplace(name, std::move(tensor));
}

void SafetensorsFile::check_coverage(std::size_t body) const {
  std::vector<const StoredTensor*> by_place;
  by_place.reserve(tensors_.size());
  for (const auto& [name, tensor] : tensors_) by_place.push_back(&tensor);
  std::sort(by_place.begin(), by_place.end(), [](const StoredTensor* a, const StoredTensor* b) {
    return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes;
  });
  std::size_t reached = body;
  for (const StoredTensor* tensor : by_place) {
    TTSRT_CHECK(FormatError, tensor->offset == reached, path(), ": ", tensor->name, ": its bytes ",
                tensor->offset < reached ? "overlap another tensor's" : "leave a hole before them");
    reached = tensor->offset + tensor->bytes;
  }
  TTSRT_CHECK(FormatError, reached == file_.size(), path(), ": bytes behind the last tensor");
}

std::vector<std::byte> SafetensorsFile::read(const StoredTensor& tensor) const {
  std::vector<std::byte> bytes(tensor.bytes);
  file_.read_large(tensor.offset, bytes.data(), bytes.size());
  file_.check_unchanged();
  return bytes;
}

const StoredTensor& SafetensorsFile::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  TTSRT_CHECK(FormatError, found != tensors_.end(), path(), ": ", name, ": missing");
  return found->second;
}

}  // namespace ttsrt
