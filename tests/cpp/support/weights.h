// Random weights for tests, packed as the build packs them (ops/weight.h) and kept alive by the
// test.
//
// Values come from a hash of (seed, index), so a test names its weights by a seed and nothing
// depends on order. at() gives the value as stored: already rounded to the weight's own type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "core/half.h"
#include "ops/weight.h"

namespace ttsrt::test {

// A number in [-1, 1) for (seed, index): SplitMix64's finaliser.
inline float random_value(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t bits = (seed + 1) * 0x9E3779B97F4A7C15ULL + (index + 1) * 0xD1B54A32D192ED03ULL;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ULL;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBULL;
  bits ^= bits >> 31;
  return static_cast<float>(bits >> 40) * (2.0F / 16777216.0F) - 1.0F;
}

inline std::vector<float> random_vector(std::size_t count, std::uint64_t seed, float scale = 1.0F,
                                        float center = 0.0F) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = center + scale * random_value(seed, i);
  return values;
}

// `value` as a weight of type float32, bfloat16 or float16 stores it.
inline float round_to(DType dtype, float value) {
  if (dtype == DType::bfloat16) return from_bfloat16(to_bfloat16(value));
  if (dtype == DType::float16) return from_float16(to_float16(value));
  return value;
}

// A weight with its storage. Copies share it; the weight is good for as long as one copy lives.
class TestWeight {
 public:
  TestWeight() = default;

  // `values` [rows, cols], row-major.
  TestWeight(std::string name, std::int64_t rows, std::int64_t cols, DType dtype,
             ops::Layout layout, const std::vector<float>& values)
      : values_(values) {
    const bool is_panel = layout == ops::Layout::panel16;
    const std::int64_t stored_rows = is_panel ? ops::padded_rows(rows) : rows;
    const std::int64_t stored_cols = is_panel ? ops::padded_cols(cols) : cols;
    const std::size_t element = dtype == DType::float32 ? 4 : 2;
    bytes_ = static_cast<std::size_t>(stored_rows * stored_cols) * element;
    const std::size_t rounded_up = (bytes_ + 127) / 64 * 64;
    storage_ = std::shared_ptr<std::byte>(
        static_cast<std::byte*>(::operator new(rounded_up, std::align_val_t{64})),
        [](std::byte* at) { ::operator delete(at, std::align_val_t{64}); });
    std::memset(storage_.get(), 0, rounded_up);
    weight_ = {std::move(name), dtype, layout, rows, cols, storage_.get()};
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t col = 0; col < cols; ++col) {
        float& value = values_[static_cast<std::size_t>(row * cols + col)];
        value = round_to(dtype, value);
        store(is_panel ? panel_index(row, col) : row * cols + col, value);
      }
    }
  }

  const ops::Weight& weight() const { return weight_; }
  operator const ops::Weight&() const {
    return weight_;
  }  // NOLINT: so that a TestWeight stands where a Weight does
  std::int64_t rows() const { return weight_.rows; }
  std::int64_t cols() const { return weight_.cols; }
  std::size_t bytes() const { return bytes_; }
  float at(std::int64_t row, std::int64_t col) const {
    return values_[static_cast<std::size_t>(row * cols() + col)];
  }

 private:
  // Element index in the panel16 layout.
  std::int64_t panel_index(std::int64_t row, std::int64_t col) const {
    const std::int64_t panel = row / ops::kPanel;
    const std::int64_t lane = row % ops::kPanel;
    const std::int64_t begin = panel * ops::kPanel * ops::padded_cols(weight_.cols);
    if (weight_.dtype == DType::bfloat16)
      return begin + (col / 2) * 2 * ops::kPanel + lane * 2 + col % 2;
    return begin + col * ops::kPanel + lane;
  }

  void store(std::int64_t index, float value) {
    if (weight_.dtype == DType::float32) {
      std::memcpy(storage_.get() + index * 4, &value, 4);
      return;
    }
    const std::uint16_t bits =
        weight_.dtype == DType::bfloat16 ? to_bfloat16(value) : to_float16(value);
    std::memcpy(storage_.get() + index * 2, &bits, 2);
  }

  ops::Weight weight_;
  std::vector<float> values_;  // [rows, cols] as stored
  std::shared_ptr<std::byte> storage_;
  std::size_t bytes_ = 0;
};

// A matrix of products [rows, cols] in panels, values in [-scale, scale).
inline TestWeight make_panel(std::int64_t rows, std::int64_t cols, DType dtype, std::uint64_t seed,
                             float scale = 0.1F) {
  return TestWeight("panel", rows, cols, dtype, ops::Layout::panel16,
                    random_vector(static_cast<std::size_t>(rows * cols), seed, scale));
}

// A table [rows, cols].
inline TestWeight make_dense(std::int64_t rows, std::int64_t cols, DType dtype, std::uint64_t seed,
                             float scale = 1.0F) {
  return TestWeight("dense", rows, cols, dtype, ops::Layout::dense,
                    random_vector(static_cast<std::size_t>(rows * cols), seed, scale));
}

// A float32 vector: a bias (center 0) or a norm's weight (center 1).
inline TestWeight make_vector(std::int64_t size, std::uint64_t seed, float scale = 0.1F,
                              float center = 0.0F) {
  return TestWeight("vector", 1, size, DType::float32, ops::Layout::dense,
                    random_vector(static_cast<std::size_t>(size), seed, scale, center));
}

inline TestWeight make_norm(std::int64_t size, std::uint64_t seed) {
  return make_vector(size, seed, 0.3F, 1.0F);
}

}  // namespace ttsrt::test
