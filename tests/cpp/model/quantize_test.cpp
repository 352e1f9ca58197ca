// The quantizer: what it stores is read back here by the formulas of ops/weight.h, written out.
#include "model/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/pack.h"
#include "support/errors.h"
#include "support/weights.h"

namespace ttsrt::model {
namespace {

using ops::Quantization;

ops::Weight weight_of(const test::WeightKind& kind, std::int64_t rows, std::int64_t cols) {
  ops::Weight weight = {"w",    stored_dtype(kind.quantization), ops::Layout::panel16, rows, cols,
                        nullptr};
  weight.quantization = kind.quantization;
  weight.group_size = kind.group_size;
  weight.has_zeros = kind.has_zeros;
  return weight;
}

// What was stored of one weight.
struct Stored {
  ops::Weight weight;
  Quantized quantized;

  Stored(const test::WeightKind& kind, std::int64_t rows, std::int64_t cols,
         const std::vector<float>& values)
      : weight(weight_of(kind, rows, cols)), quantized(quantize(values, weight)) {}

  std::int64_t stored_cols() const {
    const std::int64_t multiple = weight.group_size == 0 ? 4 : weight.group_size;
    return (weight.cols + multiple - 1) / multiple * multiple;
  }
  std::int64_t groups() const {
    return weight.group_size == 0 ? 1 : stored_cols() / weight.group_size;
  }

  int quant(std::int64_t n, std::int64_t k) const {
    const auto byte = [&](std::int64_t at) {
      return static_cast<int>(quantized.quants[static_cast<std::size_t>(at)]);
    };
    const std::int64_t first = n / 16 * 16 * stored_cols();  // of the panel, in quants
    const std::int64_t lane = n % 16;
    switch (weight.quantization) {
      case Quantization::w8a16:
        return static_cast<std::int8_t>(byte(first + k * 16 + lane));
      case Quantization::w8a8:
        return byte(first + (k / 4 * 16 + lane) * 4 + k % 4) - 128;
      case Quantization::w4a16: {
        const std::int64_t word = first / 4 + (k / 8 * 16 + lane) * 2 + k % 2;
        const int bits = byte(2 * word) | byte(2 * word + 1) << 8;
        return (bits >> (4 * (k % 8 / 2)) & 15) - 8;
      }
      default:
        return (byte(first / 2 + (k / 8 * 16 + lane) * 4 + k % 4) >> (k % 8 < 4 ? 0 : 4) & 15) - 8;
    }
  }

  float scale(std::int64_t n, std::int64_t k) const {
    const std::int64_t group = weight.group_size == 0 ? 0 : k / weight.group_size;
    const std::int64_t at = (n / 16 * groups() + group) * 16 + n % 16;
    if (weight.group_size == 0) {
      float value = 0.0F;
      std::memcpy(&value, quantized.scales.data() + 4 * at, 4);
      return value;
    }
    std::uint16_t half = 0;
    std::memcpy(&half, quantized.scales.data() + 2 * at, 2);
    return from_float16(half);
  }

  int zero(std::int64_t n, std::int64_t k) const {
    if (!weight.has_zeros) return 8;
    const std::int64_t at = (n / 16 * groups() + k / weight.group_size) * 16 + n % 16;
    return static_cast<int>(quantized.zeros[static_cast<std::size_t>(at)]);
  }

  float value(std::int64_t n, std::int64_t k) const {
    return static_cast<float>(quant(n, k) + 8 - zero(n, k)) * scale(n, k);
  }
};

class Quantize : public ::testing::TestWithParam<test::WeightKind> {};

TEST_P(Quantize, SizesPaddingAndErrorsOfOddShapes) {
  for (const auto& [rows, cols] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {15, 3}, {17, 40}, {33, 200}, {16, 768}}) {
    const std::vector<float> values = test::random_vector(static_cast<std::size_t>(rows * cols), 3);
    const Stored stored(GetParam(), rows, cols, values);
    const std::int64_t padded_rows = (rows + 15) / 16 * 16;
    const bool is_byte = GetParam().group_size == 0;
    ASSERT_EQ(stored.quantized.quants.size(),
              static_cast<std::size_t>(padded_rows * stored.stored_cols() / (is_byte ? 1 : 2)));
    ASSERT_EQ(stored.quantized.quants.size(), packed_bytes(stored.weight));
    ASSERT_EQ(stored.quantized.scales.size(),
              static_cast<std::size_t>(padded_rows * stored.groups() * (is_byte ? 4 : 2)));
    for (std::int64_t n = 0; n < padded_rows; ++n) {
      for (std::int64_t k = 0; k < stored.stored_cols(); ++k) {
        if (n >= rows || k >= cols) {
          ASSERT_EQ(stored.quant(n, k), 0) << n << "," << k;
          continue;
        }
        ASSERT_GE(stored.quant(n, k), is_byte ? -127 : -8);
        ASSERT_LE(stored.quant(n, k), is_byte ? 127 : 7);
        // Of 4 bits what lies beyond 7 steps is cut off, and the largest may lie at 9.
        // With a zero point a quarter of the range, 20 steps, may be cut off.
        const float steps = is_byte ? 0.5001F : stored.weight.has_zeros ? 5.51F : 2.01F;
        const float expected = values[static_cast<std::size_t>(n * cols + k)];
        ASSERT_LE(std::fabs(stored.value(n, k) - expected), steps * std::fabs(stored.scale(n, k)))
            << n << "," << k;
      }
      ASSERT_GE(stored.zero(n, 0), 0);
      ASSERT_LE(stored.zero(n, 0), 15);
      if (n >= rows) {
        ASSERT_EQ(stored.scale(n, 0), 0.0F);
      }
    }
  }
}

TEST_P(Quantize, WhatLiesOnTheGridStays) {
  const bool is_byte = GetParam().group_size == 0;
  const std::int64_t cols = 256;
  std::vector<float> values(static_cast<std::size_t>(3 * cols));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const int q = is_byte ? static_cast<int>(i * 37 % 255) - 127 : static_cast<int>(i * 5 % 16) - 8;
    values[i] = static_cast<float>(q) * 0.25F;
  }
  const Stored stored(GetParam(), 3, cols, values);
  for (std::int64_t n = 0; n < 3; ++n) {
    for (std::int64_t k = 0; k < cols; ++k)
      ASSERT_EQ(stored.value(n, k), values[static_cast<std::size_t>(n * cols + k)]);
  }
}

TEST_P(Quantize, ZerosAndTheSmallest) {
  std::vector<float> values(3 * 70, 0.0F);
  values[70] = 1e-40F;         // below what float16 can scale
  values[2 * 70 + 5] = 3e-7F;  // within a float16's smallest steps
  const Stored stored(GetParam(), 3, 70, values);
  for (std::int64_t k = 0; k < 70; ++k) {
    EXPECT_EQ(stored.value(0, k), 0.0F);
    EXPECT_TRUE(std::isfinite(stored.value(1, k)));
    EXPECT_NEAR(stored.value(2, k), k == 5 ? 3e-7F : 0.0F, 2e-7F);
  }
}

// A row is what it is, whatever its neighbours.
TEST_P(Quantize, RowsAreIndependent) {
  const std::vector<float> values = test::random_vector(20 * 100, 8);
  const Stored whole(GetParam(), 20, 100, values);
  for (const std::int64_t row : {0, 7, 19}) {
    const auto first = values.begin() + row * 100;
    const Stored alone(GetParam(), 1, 100, {first, first + 100});
    for (std::int64_t k = 0; k < 100; ++k) {
      EXPECT_EQ(alone.quant(0, k), whole.quant(row, k));
      EXPECT_EQ(alone.scale(0, k), whole.scale(row, k));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Quantize, ::testing::ValuesIn(test::quantized_kinds()),
                         [](const auto& of) { return of.param.name(); });

// Of 4 bits the chosen scale is at least as good as both usual ones.
TEST(QuantizeScales, LeastSquaredErrorOfAFew) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> values = test::random_vector(64, seed);
    const Stored stored({Quantization::w4a16, 64}, 1, 64, values);
    double error = 0.0;
    float largest = 0.0F;
    for (std::int64_t k = 0; k < 64; ++k) {
      const float value = values[static_cast<std::size_t>(k)];
      error += std::pow(stored.value(0, k) - value, 2);
      largest = std::fabs(value) > std::fabs(largest) ? value : largest;
    }
    for (const float usual : {-largest / 8.0F, largest / 7.0F}) {
      const float scale = from_float16(to_float16(usual));
      double other = 0.0;
      for (const float value : values) {
        const float q = std::min(std::max(std::nearbyint(value / scale), -8.0F), 7.0F);
        other += std::pow(q * scale - value, 2);
      }
      EXPECT_LE(error, other * 1.0001) << seed;
    }
  }
}

// Groups whose values lie on one side of 0 use all 16 steps.
TEST(QuantizeScales, ZeroPointsServeOneSidedGroups) {
  for (const float sign : {1.0F, -1.0F}) {
    std::vector<float> values = test::random_vector(64, 3);
    for (float& value : values) value = sign * (std::fabs(value) + 0.01F);
    const Stored plain({Quantization::w4a16, 64}, 1, 64, values);
    const Stored shifted({Quantization::w4a16, 64, true}, 1, 64, values);
    double error = 0.0;
    double shifted_error = 0.0;
    for (std::int64_t k = 0; k < 64; ++k) {
      const float value = values[static_cast<std::size_t>(k)];
      error += std::pow(plain.value(0, k) - value, 2);
      shifted_error += std::pow(shifted.value(0, k) - value, 2);
    }
    EXPECT_LT(shifted_error, 0.5 * error);
    EXPECT_EQ(shifted.zero(0, 0), sign > 0.0F ? 0 : 15);
  }
}

TEST(QuantizeErrors, ScalesBeyondFloat16) {
  const std::vector<float> values = {1e6F, 1.0F};
  EXPECT_TRUE(test::throws_naming<FormatError>("w: expected groups whose scales fit float16", [&] {
    Stored({Quantization::w4a8, 32}, 1, 2, values);
  }));
  EXPECT_NO_THROW(Stored(Quantization::w8a8, 1, 2, values));
}

TEST(QuantizeErrors, NamesAndGroups) {
  EXPECT_EQ(resolve_quantization("none", 0).quantization, Quantization::none);
  EXPECT_EQ(resolve_quantization("w8a8", 0).group_size, 0);
  EXPECT_EQ(resolve_quantization("w4a16", 0).group_size, 64);
  EXPECT_EQ(resolve_quantization("w4a8", 128).group_size, 128);
  using test::throws_naming;
  EXPECT_TRUE(throws_naming<ConfigError>("none, w8a16, w4a16, w8a8, w4a8, got \"int8\"",
                                         [] { resolve_quantization("int8", 0); }));
  EXPECT_TRUE(throws_naming<ConfigError>("group_size: expected 0, as w8a16 has no groups, got 64",
                                         [] { resolve_quantization("w8a16", 64); }));
  EXPECT_TRUE(resolve_quantization("w4a8", 0, true).has_zeros);
  for (const char* symmetric : {"none", "w8a16", "w8a8"}) {
    EXPECT_TRUE(throws_naming<ConfigError>("zero_points: expected none",
                                           [&] { resolve_quantization(symmetric, 0, true); }));
  }
  EXPECT_TRUE(throws_naming<ConfigError>("group_size: expected 32, 64 or 128, got 48",
                                         [] { resolve_quantization("w4a16", 48); }));
}

// Values of a grid with groups of 64, and that grid.
struct OnAGrid {
  Grid grid{64, {}, {}};
  std::vector<float> values;

  OnAGrid(std::int64_t rows, std::int64_t cols, bool is_symmetric) {
    for (std::int64_t i = 0; i < rows * cols / 64; ++i) {
      grid.scales.push_back(from_float16(to_float16(0.003F * static_cast<float>(1 + i % 7))));
      grid.zeros.push_back(static_cast<std::uint8_t>(is_symmetric ? 8 : i % 16));
    }
    for (std::int64_t i = 0; i < rows * cols; ++i) {
      const auto group = static_cast<std::size_t>(i / 64);
      const auto code = static_cast<float>((i * 7 + i / 64) % 16);
      values.push_back((code - static_cast<float>(grid.zeros[group])) * grid.scales[group]);
    }
  }
};

TEST(KeepGrid, NoValueIsRounded) {
  for (const std::int64_t group : {32, 64}) {
    const OnAGrid made(20, 128, false);
    const test::WeightKind kind(Quantization::w4a16, group, true);
    Stored stored(kind, 20, 128, made.values);
    ASSERT_TRUE(can_keep(made.grid, stored.weight));
    stored.quantized = keep_grid(made.values, stored.weight, made.grid);
    for (std::int64_t n = 0; n < 20; ++n) {
      for (std::int64_t k = 0; k < 128; ++k)
        ASSERT_EQ(stored.value(n, k), made.values[static_cast<std::size_t>(n * 128 + k)]);
    }
  }
}

TEST(KeepGrid, NeedsZeroPointsAndGroupsThatLieInThoseOfTheGrid) {
  const Grid even = OnAGrid(2, 128, true).grid;
  const Grid odd = OnAGrid(2, 128, false).grid;
  const auto kind = [](std::int64_t group, bool zeros) {
    return weight_of({Quantization::w4a16, group, zeros}, 2, 128);
  };
  EXPECT_TRUE(can_keep(even, kind(64, false)));
  EXPECT_FALSE(can_keep(odd, kind(64, false)));
  EXPECT_FALSE(can_keep(odd, kind(128, true)));
  EXPECT_FALSE(can_keep(even, weight_of({Quantization::w8a16}, 2, 128)));
}

TEST(KeepGrid, AValueOffTheGridIsNamed) {
  OnAGrid made(2, 64, false);
  made.values[70] *= 1.01F;
  made.values[70] += 0.0001F;
  const ops::Weight weight = weight_of({Quantization::w4a16, 64, true}, 2, 64);
  EXPECT_TRUE(test::throws_naming<FormatError>("w[1, 6]: expected",
                                               [&] { keep_grid(made.values, weight, made.grid); }));
}

}  // namespace
}  // namespace ttsrt::model
