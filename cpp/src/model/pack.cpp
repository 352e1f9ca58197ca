#include "model/pack.h"

#include <cstring>

#include "core/check.h"
#include "core/half.h"

namespace ttsrt::model {
namespace {

void put(std::byte* out, std::size_t index, float value, DType dtype) {
  if (dtype == DType::float32) {
    std::memcpy(out + 4 * index, &value, 4);
    return;
  }
  const std::uint16_t half = dtype == DType::bfloat16 ? to_bfloat16(value) : to_float16(value);
  std::memcpy(out + 2 * index, &half, 2);
}

void pack_panels(const std::vector<float>& values, const ops::Weight& weight, std::vector<std::byte>& out) {
  const auto rows = static_cast<std::size_t>(weight.rows);
  const auto cols = static_cast<std::size_t>(weight.cols);
  const auto stored_cols = static_cast<std::size_t>(ops::padded_cols(weight.cols));
  constexpr auto kPanel = static_cast<std::size_t>(ops::kPanel);
  const std::size_t pair = weight.dtype == DType::bfloat16 ? 2 : 1;  // values of one output side by side
  for (std::size_t n = 0; n < rows; ++n) {
    const std::size_t panel = n / kPanel * kPanel * stored_cols;
    for (std::size_t k = 0; k < cols; ++k) {
      const std::size_t index = panel + (k / pair) * (kPanel * pair) + (n % kPanel) * pair + k % pair;
      put(out.data(), index, values[n * cols + k], weight.dtype);
    }
  }
}

}  // namespace

std::size_t packed_bytes(const ops::Weight& weight) {
  if (weight.layout == ops::Layout::dense) return static_cast<std::size_t>(weight.rows * weight.cols) * size_of(weight.dtype);
  return static_cast<std::size_t>(ops::padded_rows(weight.rows) * ops::padded_cols(weight.cols)) * size_of(weight.dtype);
}

std::vector<float> read_floats(const StoredTensor& tensor) {
  const auto count = static_cast<std::size_t>(tensor.elements());
  std::vector<float> values(count);
  if (tensor.dtype == DType::float32) {
    std::memcpy(values.data(), tensor.data, 4 * count);
    return values;
  }
  TTSRT_CHECK(FormatError, tensor.dtype == DType::bfloat16 || tensor.dtype == DType::float16, tensor.name,
              ": expected float32, bfloat16 or float16, got ", name_of(tensor.dtype));
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, tensor.data + 2 * i, 2);
    values[i] = tensor.dtype == DType::bfloat16 ? from_bfloat16(half) : from_float16(half);
  }
  return values;
}

std::vector<std::byte> pack(const std::vector<float>& values, const ops::Weight& weight) {
  TTSRT_CHECK(InternalError, values.size() == static_cast<std::size_t>(weight.rows * weight.cols), weight.name, ": expected ",
              weight.rows * weight.cols, " values, got ", values.size());
  std::vector<std::byte> out(packed_bytes(weight));
  if (weight.layout == ops::Layout::panel16) {
    pack_panels(values, weight, out);
  } else {
    for (std::size_t i = 0; i < values.size(); ++i) put(out.data(), i, values[i], weight.dtype);
  }
  return out;
}

}  // namespace ttsrt::model
