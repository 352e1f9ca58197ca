#include "model/pack.h"

#include <gtest/gtest.h>

#include <cstring>

#include "support/errors.h"
#include "support/weights.h"

namespace ttsrt::model {
namespace {

// Offset in elements of output n, input k: the formulas of ops/weight.h, written out.
std::size_t offset_of(DType dtype, std::size_t n, std::size_t k, std::size_t padded_k) {
  const std::size_t panel = n / 16;
  if (dtype == DType::bfloat16) return ((panel * (padded_k / 2) + k / 2) * 16 + n % 16) * 2 + k % 2;
  return (panel * padded_k + k) * 16 + n % 16;
}

float value_at(const std::vector<std::byte>& bytes, DType dtype, std::size_t index) {
  if (dtype == DType::float32) {
    float value = 0.0F;
    std::memcpy(&value, bytes.data() + 4 * index, 4);
    return value;
  }
  std::uint16_t half = 0;
  std::memcpy(&half, bytes.data() + 2 * index, 2);
  return dtype == DType::bfloat16 ? from_bfloat16(half) : from_float16(half);
}

class Pack : public ::testing::TestWithParam<DType> {};

TEST_P(Pack, PanelsFollowTheirFormula) {
  const DType dtype = GetParam();
  for (const std::int64_t rows : {1, 15, 16, 17, 33}) {
    for (const std::int64_t cols : {1, 2, 3, 7, 16}) {
      const std::vector<float> values =
          test::random_vector(static_cast<std::size_t>(rows * cols), 3);
      const ops::Weight weight = {"w", dtype, ops::Layout::panel16, rows, cols, nullptr};
      const std::vector<std::byte> bytes = pack(values, weight);
      const auto padded_n = static_cast<std::size_t>((rows + 15) / 16 * 16);
      const auto padded_k = static_cast<std::size_t>((cols + 1) / 2 * 2);
      ASSERT_EQ(bytes.size(), padded_n * padded_k * size_of(dtype));
      ASSERT_EQ(bytes.size(), packed_bytes(weight));
      for (std::size_t n = 0; n < padded_n; ++n) {
        for (std::size_t k = 0; k < padded_k; ++k) {
          const bool is_inside =
              n < static_cast<std::size_t>(rows) && k < static_cast<std::size_t>(cols);
          const float expected =
              is_inside ? test::round_to(dtype, values[n * static_cast<std::size_t>(cols) + k])
                        : 0.0F;
          ASSERT_EQ(value_at(bytes, dtype, offset_of(dtype, n, k, padded_k)), expected)
              << rows << "x" << cols << " " << n << "," << k;
        }
      }
    }
  }
}

TEST_P(Pack, DenseIsRowMajor) {
  const DType dtype = GetParam();
  const std::vector<float> values = test::random_vector(15, 4);
  const std::vector<std::byte> bytes =
      pack(values, {"w", dtype, ops::Layout::dense, 3, 5, nullptr});
  ASSERT_EQ(bytes.size(), 15 * size_of(dtype));
  for (std::size_t i = 0; i < 15; ++i)
    EXPECT_EQ(value_at(bytes, dtype, i), test::round_to(dtype, values[i]));
}

// What was packed as dense comes back through read_floats.
TEST_P(Pack, StoredFloatsAreRead) {
  const DType dtype = GetParam();
  const std::vector<std::byte> bytes =
      pack({1.5F, -2.0F, 0.1F}, {"w", dtype, ops::Layout::dense, 1, 3, nullptr});
  const StoredTensor stored = {"w", dtype, {3}, 0, bytes.size()};
  EXPECT_EQ(read_floats(stored, bytes),
            (std::vector<float>{1.5F, -2.0F, test::round_to(dtype, 0.1F)}));
}

INSTANTIATE_TEST_SUITE_P(DTypes, Pack,
                         ::testing::Values(DType::float32, DType::bfloat16, DType::float16),
                         [](const auto& of) { return std::string(name_of(of.param)); });

TEST(PackErrors, OtherTypesAndSizes) {
  const std::vector<std::byte> byte(1);
  EXPECT_TRUE(test::throws_naming<FormatError>(
      "w: expected float32", [&] { read_floats({"w", DType::int8, {1}, 0, 1}, byte); }));
  EXPECT_THROW(read_floats({"w", DType::float32, {1}, 0, 4}, byte), InternalError);
  EXPECT_THROW(pack({1.0F}, {"w", DType::float32, ops::Layout::dense, 1, 2, nullptr}),
               InternalError);
}

}  // namespace
}  // namespace ttsrt::model
