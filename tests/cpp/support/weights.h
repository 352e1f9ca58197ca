// Random weights for tests, packed as the build packs them (ops/weight.h) and kept alive by the
// test.
//
// Values come from a hash of (seed, index), so a seed determines a test's weights and the order of
// their creation does not matter. at() returns the stored value, rounded to the type of the weight.
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

// Returns a number in [-1, 1) for (seed, index), by the finaliser of SplitMix64.
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

// Rounds `value` as a weight of type float32, bfloat16 or float16 stores it.
inline float round_to(DType dtype, float value) {
  if (dtype == DType::bfloat16) return from_bfloat16(to_bfloat16(value));
  if (dtype == DType::float16) return from_float16(to_float16(value));
  return value;
}

// The storage of a matrix: a float type, or quantized.
struct WeightKind {
  WeightKind(DType type = DType::float32) : dtype(type) {}  // NOLINT: a type stands for itself
  WeightKind(ops::Quantization of, std::int64_t group = 0, bool zeros = false)
      : quantization(of), group_size(group), has_zeros(zeros) {}

  bool is_quantized() const { return quantization != ops::Quantization::none; }
  std::string name() const {
    if (!is_quantized()) return name_of(dtype);
    return ops::name_of(quantization) + (group_size == 0 ? "" : "_" + std::to_string(group_size)) +
           (has_zeros ? "_zeros" : "");
  }

  DType dtype = DType::float32;
  ops::Quantization quantization = ops::Quantization::none;
  std::int64_t group_size = 0;
  bool has_zeros = false;
};

inline std::vector<WeightKind> quantized_kinds() {
  using ops::Quantization;
  return {Quantization::w8a16,
          {Quantization::w4a16, 32},
          {Quantization::w4a16, 64},
          {Quantization::w4a16, 128},
          Quantization::w8a8,
          {Quantization::w4a8, 32},
          {Quantization::w4a8, 64},
          {Quantization::w4a8, 128},
          {Quantization::w4a16, 32, true},
          {Quantization::w4a16, 128, true},
          {Quantization::w4a8, 64, true}};
}

inline std::vector<WeightKind> all_kinds() {
  std::vector<WeightKind> kinds = {DType::float32, DType::bfloat16, DType::float16};
  for (const WeightKind& kind : quantized_kinds()) kinds.push_back(kind);
  return kinds;
}

// Zeroed bytes on a 64-byte boundary.
inline std::shared_ptr<std::byte> aligned_bytes(std::size_t count) {
  const std::size_t rounded_up = (count + 127) / 64 * 64;
  std::shared_ptr<std::byte> bytes(
      static_cast<std::byte*>(::operator new(rounded_up, std::align_val_t{64})),
      [](std::byte* at) { ::operator delete(at, std::align_val_t{64}); });
  std::memset(bytes.get(), 0, rounded_up);
  return bytes;
}

// A weight with its storage. Copies share it; the weight is valid while one copy exists.
class TestWeight {
 public:
  TestWeight() = default;

  // `values` [rows, cols], row-major.
  TestWeight(std::string name, std::int64_t rows, std::int64_t cols, DType dtype,
             ops::Layout layout, const std::vector<float>& values)
      : values_(values) {
    const bool is_panel = layout == ops::Layout::panel16;
    const std::int64_t stored_rows = is_panel ? ops::padded_rows(rows) : rows;
    const std::int64_t stored_cols = is_panel ? (cols + 1) / 2 * 2 : cols;
    const std::size_t element = dtype == DType::float32 ? 4 : 2;
    bytes_ = static_cast<std::size_t>(stored_rows * stored_cols) * element;
    storage_ = aligned_bytes(bytes_);
    weight_ = {std::move(name), dtype, layout, rows, cols, storage_.get()};
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t col = 0; col < cols; ++col) {
        float& value = values_[static_cast<std::size_t>(row * cols + col)];
        value = round_to(dtype, value);
        store(is_panel ? panel_index(row, col) : row * cols + col, value);
      }
    }
  }

  // Takes a packed weight: `weight` points into `storage` and `scales`; `values` are the stored
  // ones.
  TestWeight(ops::Weight weight, std::shared_ptr<std::byte> storage,
             std::shared_ptr<std::byte> scales, std::vector<float> values,
             std::shared_ptr<std::byte> zeros = nullptr)
      : weight_(std::move(weight)),
        values_(std::move(values)),
        storage_(std::move(storage)),
        scales_(std::move(scales)),
        zeros_(std::move(zeros)) {}

  const ops::Weight& weight() const { return weight_; }
  operator const ops::Weight&() const {
    return weight_;
  }  // NOLINT: lets a TestWeight be used as a Weight
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
    const std::int64_t begin = panel * ops::kPanel * ops::padded_cols(weight_);
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
  std::shared_ptr<std::byte> scales_;
  std::shared_ptr<std::byte> zeros_;
  std::size_t bytes_ = 0;
};

// Returns a random zero point, from 0 to 15.
inline int zero_point(std::uint64_t seed, std::int64_t scale_at) {
  return static_cast<int>(8.0F +
                          7.99F * random_value(seed + 70, static_cast<std::uint64_t>(scale_at)));
}

// Returns random integers with random scales, such that values are in [-scale, scale), or in twice
// that range with zero points, packed by the formulas of ops/weight.h.
inline TestWeight make_quantized(std::int64_t rows, std::int64_t cols, const WeightKind& kind,
                                 std::uint64_t seed, float scale) {
  using ops::Quantization;
  ops::Weight weight = {"panel", DType::uint8, ops::Layout::panel16, rows, cols, nullptr};
  weight.quantization = kind.quantization;
  weight.group_size = kind.group_size;
  weight.has_zeros = kind.has_zeros;
  if (kind.quantization == Quantization::w8a16) weight.dtype = DType::int8;
  const bool is_byte = !ops::has_groups(kind.quantization);
  const std::int64_t stored_cols = ops::padded_cols(weight);
  const std::int64_t groups = ops::num_groups(weight);
  const std::int64_t stored = ops::padded_rows(rows) * stored_cols;
  const auto bytes = aligned_bytes(static_cast<std::size_t>(is_byte ? stored : stored / 2));
  const auto scales = aligned_bytes(static_cast<std::size_t>(ops::padded_rows(rows) * groups * 4));
  const auto zeros = aligned_bytes(static_cast<std::size_t>(ops::padded_rows(rows) * groups));
  std::vector<float> values(static_cast<std::size_t>(rows * cols));
  for (std::int64_t n = 0; n < ops::padded_rows(rows); ++n) {
    for (std::int64_t k = 0; k < stored_cols; ++k) {
      const std::int64_t panel = n / 16 * 16 * stored_cols;
      const std::int64_t lane = n % 16;
      const bool is_inside = n < rows && k < cols;
      const auto at = static_cast<std::uint64_t>(n * cols + k);
      const int q =
          is_inside ? static_cast<int>(random_value(seed, at) * (is_byte ? 127.9F : 8.0F)) : 0;
      const std::int64_t group = is_byte ? 0 : k / kind.group_size;
      const std::int64_t scale_at = (n / 16 * groups + group) * 16 + lane;
      float step = scale / (is_byte ? 128.0F : 8.0F) *
                   (0.75F + 0.25F * random_value(seed + 900, static_cast<std::uint64_t>(scale_at)));
      if (!is_byte) step = from_float16(to_float16(step));
      const std::uint16_t half = to_float16(step);
      if (is_byte) std::memcpy(scales.get() + 4 * scale_at, &step, 4);
      if (!is_byte) std::memcpy(scales.get() + 2 * scale_at, &half, 2);
      const auto put = [&](std::int64_t byte, int shift, int code) {
        bytes.get()[byte] |= static_cast<std::byte>((code & (is_byte ? 0xFF : 0xF)) << shift);
      };
      if (kind.quantization == Quantization::w8a16) put(panel + k * 16 + lane, 0, q);
      if (kind.quantization == Quantization::w8a8)
        put(panel + (k / 4 * 16 + lane) * 4 + k % 4, 0, q + 128);
      if (kind.quantization == Quantization::w4a16) {
        const std::int64_t word = panel / 4 + (k / 8 * 16 + lane) * 2 + k % 2;  // of 16 bits
        const auto nibble = static_cast<int>(k % 8 / 2);
        put(2 * word + nibble / 2, nibble % 2 * 4, q + 8);
      }
      if (kind.quantization == Quantization::w4a8) {
        const std::int64_t byte = panel / 2 + (k / 8 * 16 + lane) * 4 + k % 4;
        put(byte, k % 8 < 4 ? 0 : 4, q + 8);
      }
      const int zero = kind.has_zeros ? zero_point(seed, scale_at) : 8;
      zeros.get()[scale_at] = static_cast<std::byte>(zero);
      if (is_inside) values[static_cast<std::size_t>(at)] = static_cast<float>(q + 8 - zero) * step;
    }
  }
  weight.data = bytes.get();
  weight.scales = scales.get();
  if (kind.has_zeros) weight.zeros = zeros.get();
  return TestWeight(std::move(weight), bytes, scales, std::move(values), zeros);
}

// Returns a matrix of a product [rows, cols] in panels, with values in [-scale, scale).
inline TestWeight make_panel(std::int64_t rows, std::int64_t cols, const WeightKind& kind,
                             std::uint64_t seed, float scale = 0.1F) {
  if (kind.is_quantized()) return make_quantized(rows, cols, kind, seed, scale);
  return TestWeight("panel", rows, cols, kind.dtype, ops::Layout::panel16,
                    random_vector(static_cast<std::size_t>(rows * cols), seed, scale));
}

// Returns a table [rows, cols].
inline TestWeight make_dense(std::int64_t rows, std::int64_t cols, DType dtype, std::uint64_t seed,
                             float scale = 1.0F) {
  return TestWeight("dense", rows, cols, dtype, ops::Layout::dense,
                    random_vector(static_cast<std::size_t>(rows * cols), seed, scale));
}

// Returns a float32 vector: a bias (center 0) or the weight of a norm (center 1).
inline TestWeight make_vector(std::int64_t size, std::uint64_t seed, float scale = 0.1F,
                              float center = 0.0F) {
  return TestWeight("vector", 1, size, DType::float32, ops::Layout::dense,
                    random_vector(static_cast<std::size_t>(size), seed, scale, center));
}

inline TestWeight make_norm(std::int64_t size, std::uint64_t seed) {
  return make_vector(size, seed, 0.3F, 1.0F);
}

}  // namespace ttsrt::test
