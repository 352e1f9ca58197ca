#include "ttsrt/tensor.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace ttsrt {
namespace {

TEST(DTypes, NamesAndSizes) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16, DType::int8,
                            DType::int32, DType::uint8, DType::int64}) {
    EXPECT_EQ(dtype_from_name(name_of(dtype)), dtype);
  }
  EXPECT_EQ(size_of(DType::float32), 4U);
  EXPECT_EQ(size_of(DType::bfloat16), 2U);
  EXPECT_EQ(size_of(DType::float16), 2U);
  EXPECT_EQ(size_of(DType::int8), 1U);
  EXPECT_EQ(size_of(DType::int32), 4U);
  EXPECT_EQ(size_of(DType::uint8), 1U);
  EXPECT_EQ(size_of(DType::int64), 8U);
}

TEST(DTypes, TheErrorForAnUnknownNameListsKnownNames) {
  EXPECT_TRUE(test::throws_naming<ConfigError>("bfloat16", [] { dtype_from_name("float64"); }));
  // A value without a name. NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange)
  EXPECT_THROW(name_of(static_cast<DType>(99)), InternalError);
}

TEST(Matrix, RowsAreContiguous) {
  Matrix<int> matrix{2, 3, {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(matrix.row(1)[2], 6);
  EXPECT_FALSE(matrix.empty());
  EXPECT_TRUE(Matrix<int>{}.empty());
}

}  // namespace
}  // namespace ttsrt
