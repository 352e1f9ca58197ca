#include "ops/reference/quantized.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "core/half.h"

namespace ttsrt::ops::reference {
namespace {

// Stored quants and scales, one at a time (layouts: ops/weight.h).
class QuantReader {
 public:
  explicit QuantReader(const Weight& weight) : weight_(weight) {
    TTSRT_CHECK(InternalError, weight.is_present() && weight.scales != nullptr, weight.name,
                ": quants or scales are absent where they are needed");
    TTSRT_CHECK(InternalError, weight.has_zeros == (weight.zeros != nullptr), weight.name,
                ": expected zero points where the layout has them, and only there");
    TTSRT_CHECK(InternalError, weight.layout == Layout::panel16, weight.name, ": expected panel16");
  }

  int quant(std::int64_t row, std::int64_t k) const {
    const std::int64_t bits = weight_bits(weight_.quantization);
    const auto* panel = reinterpret_cast<const std::uint8_t*>(weight_.data) +
                        row / kPanel * kPanel * padded_cols(weight_) * bits / 8;
    const std::int64_t lane = row % kPanel;
    switch (weight_.quantization) {
      case Quantization::w8a16:
        return static_cast<std::int8_t>(panel[k * kPanel + lane]);
      case Quantization::w8a8:
        return panel[(k / 4 * kPanel + lane) * 4 + k % 4] - 128;
      case Quantization::w4a16: {
        const std::uint8_t* word = panel + ((k / 8 * kPanel + lane) * 2 + k % 2) * 2;
        return ((word[0] | word[1] << 8) >> (k % 8 / 2 * 4) & 0xF) - 8;
      }
      case Quantization::w4a8:
        return (panel[(k / 8 * kPanel + lane) * 4 + k % 4] >> (k % 8 / 4 * 4) & 0xF) - 8;
      default:
        throw InternalError(message(weight_.name, ": isn't quantized"));
    }
  }

  // What is added to a quant of the group before it is scaled: 0 without zero points.
  int shift(std::int64_t row, std::int64_t group) const {
    return weight_.has_zeros ? 8 - static_cast<int>(weight_.zeros[scale_index(row, group)]) : 0;
  }

  float scale(std::int64_t row, std::int64_t group) const {
    const std::int64_t index = scale_index(row, group);
    if (has_groups(weight_.quantization)) {
      std::uint16_t half = 0;
      std::memcpy(&half, weight_.scales + 2 * index, sizeof(half));
      return from_float16(half);
    }
    float value = 0.0F;
    std::memcpy(&value, weight_.scales + 4 * index, sizeof(value));
    return value;
  }

 private:
  std::int64_t scale_index(std::int64_t row, std::int64_t group) const {
    return (row / kPanel * num_groups(weight_) + group) * kPanel + row % kPanel;
  }

  const Weight& weight_;
};

// A row or a group of a row as it is multiplied: rounded to bfloat16 (scale 1), or integers.
float round_inputs(Quantization quantization, std::int64_t count, float* x) {
  if (!quantizes_inputs(quantization)) {
    for (std::int64_t k = 0; k < count; ++k) x[k] = from_bfloat16(to_bfloat16(x[k]));
    return 1.0F;
  }
  float largest = 0.0F;
  for (std::int64_t k = 0; k < count; ++k) {
    if (!(std::fabs(x[k]) <= largest))
      largest = std::fabs(x[k]);  // true for NaN too, which then stays
    if (std::isnan(largest)) break;
  }
  const float inverse = largest < kLeastInput ? 0.0F : 127.0F / largest;
  for (std::int64_t k = 0; k < count; ++k) x[k] = std::nearbyintf(x[k] * inverse);
  return largest < kLeastInput ? 0.0F : largest / 127.0F;
}

}  // namespace

std::vector<double> quantized_product(const Weight& weight, const float* x, std::int64_t rows) {
  const QuantReader reader(weight);
  const std::int64_t cols = weight.cols;
  const std::int64_t groups = num_groups(weight);
  const std::int64_t group = has_groups(weight.quantization) ? weight.group_size : cols;
  const auto size_of_group = [&](std::int64_t g) { return std::min(group, cols - g * group); };
  std::vector<float> inputs(x, x + rows * cols);
  std::vector<float> scales;  // [rows, groups]
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t g = 0; g < groups; ++g) {
      float* first = inputs.data() + r * cols + g * group;
      scales.push_back(round_inputs(weight.quantization, size_of_group(g), first));
    }
  }
  std::vector<double> out(static_cast<std::size_t>(rows * weight.rows));
  std::vector<double> q(static_cast<std::size_t>(cols));
  for (std::int64_t n = 0; n < weight.rows; ++n) {
    for (std::int64_t k = 0; k < cols; ++k)
      q[static_cast<std::size_t>(k)] = reader.quant(n, k) + reader.shift(n, k / group);
    for (std::int64_t r = 0; r < rows; ++r) {
      double& total = out[static_cast<std::size_t>(r * weight.rows + n)];
      for (std::int64_t g = 0; g < groups; ++g) {
        double sum = 0.0;
        for (std::int64_t k = g * group; k < g * group + size_of_group(g); ++k)
          sum += q[static_cast<std::size_t>(k)] * inputs[static_cast<std::size_t>(r * cols + k)];
        const float input_scale = scales[static_cast<std::size_t>(r * groups + g)];
        total += sum * reader.scale(n, g) * input_scale;
      }
    }
  }
  return out;
}

}  // namespace ttsrt::ops::reference
