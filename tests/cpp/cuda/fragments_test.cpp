// Multiplies fragments as the kernels do, on the host: the words of each lane become the operands
// of m16n8k16 and m16n8k32 products, whose layouts are those of the PTX ISA ("Matrix fragments for
// mma.m16n8k16", "... for mma.m16n8k32").
#include "cuda/fragments.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/half.h"
#include "support/weights.h"
#include "ttsrt/error.h"

namespace ttsrt::cuda {
namespace {

constexpr int kTile = 16;
constexpr int kColumns = 8;
constexpr int kLanes = 32;

struct Lane {
  int g, t;
  explicit Lane(int lane) : g(lane / 4), t(lane % 4) {}
};

// The 16 bytes of one lane in a fragment.
using Words = std::array<std::uint32_t, 4>;

// The values of a register: two 16-bit floats or four int8.
using Values = std::vector<double>;

// D [16][8] += A [16][depth] B [depth][8], from the registers of all lanes.
class WarpProduct {
 public:
  explicit WarpProduct(int depth) : depth_(depth) {}

  void set_a(int lane, int word, const Values& values) {
    const Lane at(lane);
    for (int i = 0; i < per_word(); ++i)
      a_[at.g + 8 * (word % 2)][column(at.t, word / 2, i)] = values[static_cast<std::size_t>(i)];
  }
  void set_b(int lane, int word, const Values& values) {
    const Lane at(lane);
    for (int i = 0; i < per_word(); ++i)
      b_[column(at.t, word, i)][at.g] = values[static_cast<std::size_t>(i)];
  }
  double result(int output, int row) const {
    double sum = 0.0;
    for (int k = 0; k < depth_; ++k) sum += a_[output][k] * b_[k][row];
    return sum;
  }

 private:
  int per_word() const { return depth_ / 8; }
  // m16n8k16: 2 t + i, and 8 more in the second half; m16n8k32: 4 t + i, and 16 more.
  int column(int t, int half, int i) const { return per_word() * t + i + depth_ / 2 * half; }

  int depth_;
  double a_[kTile][32] = {};
  double b_[32][kColumns] = {};
};

int num_steps(Format format) {
  if (format == Format::w4a16) return 4;
  return format == Format::w8a16 || format == Format::w4a8 ? 2 : 1;
}
bool is_whole(Format format) { return format == Format::w8a8 || format == Format::w4a8; }
bool has_groups(Format format) { return format == Format::w4a16 || format == Format::w4a8; }
int step_inputs(Format format) { return is_whole(format) ? 32 : 16; }

double signed_byte(std::uint32_t word, int i) {
  return static_cast<std::int8_t>(word >> (8 * i) & 0xFFU);
}

// The difference of two bfloat16 numbers, which has to be one, too.
double difference(std::uint32_t a, std::uint32_t b) {
  const float value =
      from_bfloat16(static_cast<std::uint16_t>(a)) - from_bfloat16(static_cast<std::uint16_t>(b));
  EXPECT_EQ(from_bfloat16(to_bfloat16(value)), value);
  return value;
}

// The A operand's word `word` of a step, as linear_formats.cuh makes it.
Values operand(Format format, const Words& words, int step, int word, const std::uint32_t* zeros) {
  const auto of = [&](int i) { return words[static_cast<std::size_t>(i)]; };
  switch (format) {
    case Format::bfloat16:
      return {from_bfloat16(static_cast<std::uint16_t>(of(word))),
              from_bfloat16(static_cast<std::uint16_t>(of(word) >> 16))};
    case Format::float16:
      return {from_float16(static_cast<std::uint16_t>(of(word))),
              from_float16(static_cast<std::uint16_t>(of(word) >> 16))};
    case Format::w8a16: {
      const std::uint32_t bytes = of(2 * step + word / 2) >> (8 * (word % 2));
      const std::uint32_t low = (bytes & 0x007F007FU) | 0x43004300U;
      const std::uint32_t sign = (bytes & 0x00800080U) | 0x43004300U;
      return {difference(low, sign), difference(low >> 16, sign >> 16)};
    }
    case Format::w4a16: {
      const std::uint32_t nibbles = (of(step) >> (4 * word) & 0x000F000FU) | 0x43004300U;
      const std::uint32_t zero = zeros[word % 2] | 0x4300U;
      return {difference(nibbles, zero), difference(nibbles >> 16, zero)};
    }
    case Format::w8a8: {
      const std::uint32_t w = of(word);
      return {signed_byte(w, 0), signed_byte(w, 1), signed_byte(w, 2), signed_byte(w, 3)};
    }
    case Format::w4a8: {
      const std::uint32_t w = of(2 * step + word % 2) >> (4 * (word / 2)) & 0x0F0F0F0FU;
      return {signed_byte(w, 0), signed_byte(w, 1), signed_byte(w, 2), signed_byte(w, 3)};
    }
    case Format::float32:
      break;
  }
  return {};
}

// A weight with its arrays, and inputs that are small integers: exact in all formats.
struct Case {
  test::TestWeight weight;
  ProductWeight sizes;
  std::vector<std::byte> fragments, scales, zeros;
  std::vector<float> x;  // [8, K]

  Case(std::int64_t outputs, std::int64_t inputs, const test::WeightKind& kind)
      : weight(test::make_panel(outputs, inputs, kind, 7)),
        sizes(product_weight(weight)),
        fragments(fragment_bytes(weight), std::byte{0xAB}),
        scales(scale_bytes(weight), std::byte{0xAB}),
        zeros(zero_bytes(weight), std::byte{0xAB}) {
    write_fragments(weight, fragments.data());
    if (!scales.empty()) write_scales(weight, scales.data());
    if (!zeros.empty()) write_zeros(weight, zeros.data());
    x = test::random_vector(static_cast<std::size_t>(kColumns * inputs), 3, 20.0F);
    for (float& value : x) value = std::nearbyintf(value);
  }

  double input(int row, std::int64_t k) const {
    return k < sizes.inputs ? x[static_cast<std::size_t>(row * sizes.inputs + k)] : 0.0;
  }
  double expected(std::int64_t output, int row) const {
    double sum = 0.0;
    for (std::int64_t k = 0; k < sizes.inputs; ++k) sum += weight.at(output, k) * input(row, k);
    return sum;
  }
  Words words(std::int64_t tile, std::int64_t unit, int lane) const {
    const std::int64_t units =
        sizes.padded_inputs / (num_steps(sizes.format) * step_inputs(sizes.format));
    Words words = {};
    std::memcpy(words.data(), fragments.data() + ((tile * units + unit) * kLanes + lane) * 16, 16);
    return words;
  }
  // Place of an output in the scales and zero points of a group.
  std::int64_t pair_at(std::int64_t output, std::int64_t group) const {
    const std::int64_t groups = sizes.padded_inputs / sizes.group_size;
    return ((output / kTile * groups + group) * 8 + output % 8) * 2 + output % kTile / 8;
  }
  double scale(std::int64_t output, std::int64_t k) const {
    if (scales.empty()) return 1.0;
    if (!has_groups(sizes.format)) {
      float value = 0.0F;
      std::memcpy(&value, scales.data() + output * 4, 4);
      return value;
    }
    std::uint16_t half = 0;
    std::memcpy(&half, scales.data() + pair_at(output, k / sizes.group_size) * 2, 2);
    return from_float16(half);
  }
  std::uint32_t zero(std::int64_t output, std::int64_t k) const {
    if (!has_groups(sizes.format) || zeros.empty()) return 8;
    return static_cast<std::uint32_t>(
        zeros[static_cast<std::size_t>(pair_at(output, k / sizes.group_size))]);
  }
};

// The operands of one step: inputs first_k and on, of a tile.
WarpProduct product_of_step(const Case& c, std::int64_t tile, std::int64_t unit, int step) {
  const Format format = c.sizes.format;
  const int depth = step_inputs(format);
  const std::int64_t first_k = (unit * num_steps(format) + step) * depth;
  WarpProduct product(depth);
  for (int lane = 0; lane < kLanes; ++lane) {
    const Lane at(lane);
    const Words words = c.words(tile, unit, lane);
    std::uint32_t zeros[2] = {};
    for (int half = 0; half < 2; ++half)
      zeros[half] = c.zero(tile * kTile + at.g + 8 * half, first_k);
    for (int word = 0; word < 4; ++word)
      product.set_a(lane, word, operand(format, words, step, word, zeros));
    for (int word = 0; word < 2; ++word) {  // a lane has depth / 4 consecutive inputs of row g
      Values values;
      for (int i = 0; i < depth / 8; ++i)
        values.push_back(c.input(at.g, first_k + depth / 4 * at.t + depth / 8 * word + i));
      product.set_b(lane, word, values);
    }
  }
  return product;
}

// What the fragments give for a tile, [16][8].
std::vector<double> multiplied(const Case& c, std::int64_t tile) {
  const Format format = c.sizes.format;
  const int depth = step_inputs(format);
  const std::int64_t units = c.sizes.padded_inputs / (num_steps(format) * depth);
  std::vector<double> sums(kTile * kColumns);
  for (std::int64_t unit = 0; unit < units; ++unit) {
    for (int step = 0; step < num_steps(format); ++step) {
      const std::int64_t first_k = (unit * num_steps(format) + step) * depth;
      const WarpProduct product = product_of_step(c, tile, unit, step);
      for (int i = 0; i < kTile * kColumns; ++i) {
        const std::int64_t output = tile * kTile + i / kColumns;
        double sum = product.result(i / kColumns, i % kColumns);
        if (format == Format::w4a8) {
          for (int k = 0; k < depth; ++k)
            sum -= c.zero(output, first_k) * c.input(i % kColumns, first_k + k);
        }
        sums[static_cast<std::size_t>(i)] += sum * c.scale(output, first_k);
      }
    }
  }
  return sums;
}

class FragmentsTest : public testing::TestWithParam<test::WeightKind> {};

TEST_P(FragmentsTest, FragmentsAreTheOperandsOfProductsOnTensorCores) {
  for (const auto& [outputs, inputs] :
       {std::pair{37, 24}, {16, 128}, {5, 7}, {48, 200}, {1, 1}, {20, 96}}) {
    SCOPED_TRACE(std::to_string(outputs) + " x " + std::to_string(inputs));
    const Case c(outputs, inputs, GetParam());
    if (c.sizes.format == Format::float32) continue;
    for (std::int64_t tile = 0; tile < ops::padded_rows(outputs) / kTile; ++tile) {
      const std::vector<double> sums = multiplied(c, tile);
      for (int i = 0; i < kTile * kColumns; ++i) {
        const std::int64_t output = tile * kTile + i / kColumns;
        if (output >= outputs) continue;
        const double expected = c.expected(output, i % kColumns);
        EXPECT_NEAR(sums[static_cast<std::size_t>(i)], expected, 1e-5 + 1e-6 * std::fabs(expected))
            << "output " << output << ", row " << i % kColumns;
      }
    }
  }
}

TEST_P(FragmentsTest, SizesArePaddedToWhatOneLoadReads) {
  const Case c(37, 24, GetParam());
  const std::int64_t unit = c.sizes.format == Format::float32
                                ? 4
                                : num_steps(c.sizes.format) * step_inputs(c.sizes.format);
  EXPECT_EQ(c.sizes.outputs, 37);
  EXPECT_EQ(c.sizes.inputs, 24);
  EXPECT_EQ(c.sizes.padded_inputs, ops::padded_to(24, std::max(unit, GetParam().group_size)));
  EXPECT_EQ(c.sizes.group_size, GetParam().group_size);
  const bool is_quantized = GetParam().is_quantized();
  EXPECT_EQ(c.scales.empty(), !is_quantized);
  EXPECT_EQ(c.zeros.empty(), !GetParam().has_zeros);
}

TEST_P(FragmentsTest, EveryByteIsWritten) {
  const Case c(20, 72, GetParam());
  Case other(20, 72, GetParam());
  const auto rewrite = [](std::vector<std::byte>& bytes, auto write, const ops::Weight& weight) {
    if (bytes.empty()) return;
    std::fill(bytes.begin(), bytes.end(), std::byte{0x54});
    write(weight, bytes.data());
  };
  rewrite(other.fragments, write_fragments, other.weight);
  rewrite(other.scales, write_scales, other.weight);
  rewrite(other.zeros, write_zeros, other.weight);
  EXPECT_EQ(c.fragments, other.fragments);
  EXPECT_EQ(c.scales, other.scales);
  EXPECT_EQ(c.zeros, other.zeros);
}

INSTANTIATE_TEST_SUITE_P(Kinds, FragmentsTest, testing::ValuesIn(test::all_kinds()),
                         [](const auto& info) { return info.param.name(); });

TEST(Fragments, ZeroPointsWithoutGroupsAreRefused) {
  const test::TestWeight made = test::make_panel(20, 72, ops::Quantization::w8a16, 7);
  ops::Weight weight = made;
  const std::byte zero{};
  weight.zeros = &zero;
  EXPECT_THROW(write_zeros(weight, nullptr), InternalError);
}

TEST(Fragments, AMatrixHasRowsOfWholeUnits) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    const test::TestWeight weight = test::make_panel(20, 11, dtype, 3);
    const std::int64_t stride = matrix_stride(weight);
    EXPECT_EQ(stride, 16);
    ASSERT_EQ(matrix_bytes(weight), static_cast<std::size_t>(20 * stride * 2));
    std::vector<std::byte> bytes(matrix_bytes(weight), std::byte{0xFF});
    write_matrix(weight, bytes.data());
    for (std::int64_t row = 0; row < 20; ++row) {
      for (std::int64_t k = 0; k < stride; ++k) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, bytes.data() + (row * stride + k) * 2, sizeof(bits));
        const float value = dtype == DType::bfloat16 ? from_bfloat16(bits) : from_float16(bits);
        EXPECT_EQ(value, k < 11 ? weight.at(row, k) : 0.0F) << row << ", " << k;
      }
    }
  }
}

TEST(Fragments, Float32IsRowMajor) {
  const Case c(18, 7, DType::float32);
  ASSERT_EQ(c.fragments.size(), 32U * 8U * 4U);
  for (std::int64_t output = 0; output < 32; ++output) {
    for (std::int64_t k = 0; k < 8; ++k) {
      float value = 0.0F;
      std::memcpy(&value, c.fragments.data() + (output * 8 + k) * 4, 4);
      EXPECT_EQ(value, output < 18 && k < 7 ? c.weight.at(output, k) : 0.0F);
    }
  }
}

}  // namespace
}  // namespace ttsrt::cuda
