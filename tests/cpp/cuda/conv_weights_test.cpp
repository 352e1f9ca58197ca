// Reads the weights of convolutions as the kernels do, on the host: tiles of outputs, products of
// 16 columns, and pieces of 8 outputs by 8 columns.
#include "cuda/conv_weights.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/half.h"
#include "support/weights.h"

namespace ttsrt::cuda {
namespace {

// A weight of random values, and what the kernels read of it.
class Image {
 public:
  Image(const ConvWeightShape& shape, DType dtype)
      : shape_(shape),
        dtype_(dtype),
        weight_(
            test::make_panel(shape.outputs, std::int64_t{shape.kernel} * shape.width, dtype, 3)),
        bytes_(conv_weight_bytes(shape)) {
    write_conv_weights(weight_, shape, bytes_.data());
  }

  float expected(std::int32_t output, std::int32_t tap, std::int32_t column) const {
    if (output >= shape_.outputs || column >= shape_.width) return 0.0F;
    return weight_.at(output, std::int64_t{tap} * shape_.width + column);
  }

  float got(std::int32_t output, std::int32_t tap, std::int32_t column) const {
    const std::int32_t unit = column / kConvColumns;
    const std::int32_t chunk = unit / kConvChunkSteps;
    const std::int64_t step = std::int64_t{chunk} * kConvChunkSteps * shape_.kernel +
                              tap * shape_.steps_of(chunk) + unit % kConvChunkSteps;
    const std::int32_t row = output % shape_.tile();
    const std::int32_t piece = row / 8 * 2 + column % kConvColumns / 8;
    const std::int64_t at = output / shape_.tile() * shape_.tile_bytes() +
                            step * shape_.step_bytes() + piece * 128 + row % 8 * 16 +
                            column % 8 * 2;
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes_.data() + at, sizeof(bits));
    return dtype_ == DType::bfloat16 ? from_bfloat16(bits) : from_float16(bits);
  }

 private:
  ConvWeightShape shape_;
  DType dtype_;
  test::TestWeight weight_;
  std::vector<std::byte> bytes_;
};

TEST(ConvWeights, HaveEveryTapOfEveryColumnAndZerosBehind) {
  const ConvWeightShape shapes[] = {
      {1, 27, 3},    {27, 27, 11}, {54, 54, 7},     {108, 108, 3},    {216, 216, 3},   {60, 4, 5},
      {130, 100, 2}, {432, 32, 1}, {64, 18, 3, 64}, {192, 40, 2, 64}, {256, 64, 3, 64}};
  for (const ConvWeightShape& shape : shapes) {
    for (const DType dtype : {DType::bfloat16, DType::float16}) {
      const Image image(shape, dtype);
      int wrong = 0;
      for (std::int32_t output = 0; output < shape.tiles() * shape.tile(); ++output) {
        for (std::int32_t tap = 0; tap < shape.kernel; ++tap) {
          for (std::int32_t column = 0; column < shape.units() * kConvColumns; ++column)
            wrong += image.got(output, tap, column) == image.expected(output, tap, column) ? 0 : 1;
        }
      }
      EXPECT_EQ(wrong, 0) << shape.outputs << " x " << shape.width << " x " << shape.kernel;
    }
  }
}

TEST(ConvWeights, FillTilesOfFewSizes) {
  EXPECT_EQ((ConvWeightShape{1, 27, 3}.tile()), 8);
  EXPECT_EQ((ConvWeightShape{27, 27, 3}.tile()), 32);
  EXPECT_EQ((ConvWeightShape{54, 54, 3}.tile()), 56);
  EXPECT_EQ((ConvWeightShape{108, 108, 3}.tile()), 112);
  EXPECT_EQ((ConvWeightShape{130, 130, 3}.tile()), 56);
  EXPECT_EQ((ConvWeightShape{432, 432, 3}.tiles()), 4);
  EXPECT_EQ((ConvWeightShape{18, 64, 7, kSegmentUnit}.tile()), 32);
  EXPECT_EQ((ConvWeightShape{64, 64, 7, kSegmentUnit}.tile()), 64);
  EXPECT_EQ((ConvWeightShape{192, 128, 3, kSegmentUnit}.tile()), 64);
  EXPECT_EQ((ConvWeightShape{256, 256, 11, kSegmentUnit}.tile()), 128);
  EXPECT_EQ((ConvWeightShape{640, 256, 3, kSegmentUnit}.tiles()), 5);
}

}  // namespace
}  // namespace ttsrt::cuda
