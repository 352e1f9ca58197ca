#include "model/pack.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/half.h"
#include "core/stop_flag.h"

namespace ttsrt::model {
namespace {

constexpr std::size_t kBetweenStops = std::size_t{1} << 18;  // values

float same(float value) { return value; }

template <typename Stored, Stored (*convert)(float)>
void pack_dense(const std::vector<float>& values, Stored* out) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % kBetweenStops == 0) check_stop();
    out[i] = convert(values[i]);
  }
}

// Panel by panel, so that writing is in order and reading is 16 streams. `Pair` values of one
// output lie side by side.
template <typename Stored, Stored (*convert)(float), std::size_t Pair>
void pack_panels(const std::vector<float>& values, const ops::Weight& weight, Stored* out) {
  const auto rows = static_cast<std::size_t>(weight.rows);
  const auto cols = static_cast<std::size_t>(weight.cols);
  const auto stored_cols = static_cast<std::size_t>(ops::padded_cols(weight));
  constexpr auto kPanel = static_cast<std::size_t>(ops::kPanel);
  for (std::size_t first = 0; first < rows; first += kPanel) {
    check_stop();
    Stored* panel = out + first * stored_cols;
    const std::size_t lanes = std::min(kPanel, rows - first);
    for (std::size_t k = 0; k < cols; ++k) {
      Stored* step = panel + (k / Pair) * (kPanel * Pair) + k % Pair;
      for (std::size_t lane = 0; lane < lanes; ++lane)
        step[lane * Pair] = convert(values[(first + lane) * cols + k]);
    }
  }
}

template <typename Stored, Stored (*convert)(float), std::size_t Pair>
void pack_as(const std::vector<float>& values, const ops::Weight& weight, std::byte* out) {
  auto* to = reinterpret_cast<Stored*>(out);
  if (weight.layout == ops::Layout::dense) return pack_dense<Stored, convert>(values, to);
  pack_panels<Stored, convert, Pair>(values, weight, to);
}

}  // namespace

std::string layout_name(const ops::Weight& weight) {
  if (weight.layout == ops::Layout::dense) return "dense";
  if (weight.quantization == ops::Quantization::none) return "panel16";
  return std::string("panel16_") + ops::name_of(weight.quantization);
}

std::size_t packed_bytes(const ops::Weight& weight) {
  if (weight.layout == ops::Layout::dense)
    return static_cast<std::size_t>(weight.rows * weight.cols) * size_of(weight.dtype);
  const std::int64_t values = ops::padded_rows(weight.rows) * ops::padded_cols(weight);
  if (weight.quantization != ops::Quantization::none)
    return static_cast<std::size_t>(values * ops::weight_bits(weight.quantization) / 8);
  return static_cast<std::size_t>(values) * size_of(weight.dtype);
}

std::vector<float> read_floats(const StoredTensor& tensor, const std::vector<std::byte>& bytes) {
  const auto count = static_cast<std::size_t>(tensor.elements());
  TTSRT_CHECK(InternalError, bytes.size() == count * size_of(tensor.dtype), tensor.name,
              ": expected ", count * size_of(tensor.dtype), " bytes, got ", bytes.size());
  std::vector<float> values(count);
  if (tensor.dtype == DType::float32) {
    std::memcpy(values.data(), bytes.data(), 4 * count);
    return values;
  }
  TTSRT_CHECK(FormatError, tensor.dtype == DType::bfloat16 || tensor.dtype == DType::float16,
              tensor.name, ": expected float32, bfloat16 or float16, got ", name_of(tensor.dtype));
  for (std::size_t i = 0; i < count; ++i) {
    if (i % kBetweenStops == 0) check_stop();
    std::uint16_t half = 0;
    std::memcpy(&half, bytes.data() + 2 * i, 2);
    values[i] = tensor.dtype == DType::bfloat16 ? from_bfloat16(half) : from_float16(half);
  }
  return values;
}

std::vector<std::byte> pack(const std::vector<float>& values, const ops::Weight& weight) {
  TTSRT_CHECK(InternalError, values.size() == static_cast<std::size_t>(weight.rows * weight.cols),
              weight.name, ": expected ", weight.rows * weight.cols, " values, got ",
              values.size());
  std::vector<std::byte> out(packed_bytes(weight));
  switch (weight.dtype) {
    case DType::float32:
      pack_as<float, same, 1>(values, weight, out.data());
      break;
    case DType::bfloat16:
      pack_as<std::uint16_t, to_bfloat16, 2>(values, weight, out.data());
      break;
    case DType::float16:
      pack_as<std::uint16_t, to_float16, 1>(values, weight, out.data());
      break;
    default:
      throw InternalError(message(weight.name, ": can't be packed as ", name_of(weight.dtype)));
  }
  return out;
}

}  // namespace ttsrt::model
