// Reads a stored weight of any type and layout, one value at a time.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/check.h"
#include "core/half.h"
#include "ops/weight.h"

namespace ttsrt::ops::reference {

class WeightReader {
 public:
  explicit WeightReader(const Weight& weight) : weight_(weight) {
    TTSRT_CHECK(InternalError, weight.is_present(), weight.name, ": absent where it is needed");
    TTSRT_CHECK(InternalError,
                weight.dtype == DType::float32 || weight.dtype == DType::bfloat16 ||
                    weight.dtype == DType::float16,
                weight.name, ": expected a float type, got number ",
                static_cast<int>(weight.dtype));
  }

  // Returns the value at (row, col) of the logical [rows, cols].
  float at(std::int64_t row, std::int64_t col) const {
    TTSRT_CHECK(InternalError, row >= 0 && row < weight_.rows && col >= 0 && col < weight_.cols,
                weight_.name, ": (", row, ", ", col, ") is outside [", weight_.rows, ", ",
                weight_.cols, "]");
    return element(weight_.layout == Layout::dense ? row * weight_.cols + col
                                                   : panel_index(row, col));
  }

  void row(std::int64_t row, float* out) const {
    for (std::int64_t col = 0; col < weight_.cols; ++col) out[col] = at(row, col);
  }

 private:
  // Returns the index in panels of 16 outputs. A panel has steps of K with 4 bytes (two bfloat16,
  // or else one value) for each of the 16 outputs.
  std::int64_t panel_index(std::int64_t row, std::int64_t col) const {
    const std::int64_t begin = row / kPanel * kPanel * padded_cols(weight_);
    const std::int64_t lane = row % kPanel;
    if (weight_.dtype == DType::bfloat16) return begin + (col / 2 * kPanel + lane) * 2 + col % 2;
    return begin + col * kPanel + lane;
  }

  float element(std::int64_t index) const {
    if (weight_.dtype == DType::float32) {
      float value = 0.0F;
      std::memcpy(&value, weight_.data + index * 4, sizeof(value));
      return value;
    }
    std::uint16_t bits = 0;
    std::memcpy(&bits, weight_.data + index * 2, sizeof(bits));
    return weight_.dtype == DType::bfloat16 ? from_bfloat16(bits) : from_float16(bits);
  }

  const Weight& weight_;
};

}  // namespace ttsrt::ops::reference
