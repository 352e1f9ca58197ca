// Checks what describe_products returns for each instruction set.
#include <gtest/gtest.h>

#include "cpu/isa.h"
#include "cpu/stages/linear_stage.h"
#include "support/emulated_level.h"
#include "ttsrt/device.h"
#include "ttsrt/error.h"

namespace ttsrt::cpu {
namespace {

TEST(CpuProducts, EveryLevelNamesItsInstructions) {
  for (const std::string& level : supported_levels()) {
    const Kernels& kernels = choose_kernels(level);
    const auto text = [&kernels](DType dtype, ops::Quantization quantization) {
      return describe_products(kernels, dtype, quantization);
    };
    const std::string floats = text(DType::float32, ops::Quantization::none);
    EXPECT_EQ(floats.rfind(level + ": float32 by multiply-add of float32, in tiles of up to ", 0),
              0U)
        << floats;
    const std::string pairs = std::string(" by ") + kernels.pairs_by + ", in tiles";
    const std::string bytes = std::string(" by ") + kernels.bytes_by + ", in tiles";
    EXPECT_NE(text(DType::bfloat16, ops::Quantization::none).find("bfloat16" + pairs),
              std::string::npos);
    EXPECT_NE(text(DType::bfloat16, ops::Quantization::w4a16)
                  .find("w4a16" + (kernels.splits_inputs ? bytes : pairs)),
              std::string::npos);
    EXPECT_NE(text(DType::bfloat16, ops::Quantization::w8a8).find("w8a8" + bytes),
              std::string::npos);
    const bool is_wide = kernels.wide_rows > kernels.tile_rows;
    EXPECT_EQ(floats.find("rows in one") != std::string::npos, is_wide);
  }
}

TEST(CpuProducts, AnotherTableMayMultiplyQuantizedWeights) {
  const Kernels& other = choose_kernels("generic");
  Kernels kernels = choose_kernels(supported_levels().back());
  kernels.tiles = nullptr;
  const Kernels own = kernels;
  kernels.a16 = &other;
  for (const ops::Quantization each : {ops::Quantization::w8a16, ops::Quantization::w4a16}) {
    std::string expected = describe_products(other, DType::bfloat16, each);
    expected.replace(0, std::string(other.name).size(), own.name);
    EXPECT_EQ(describe_products(kernels, DType::bfloat16, each), expected);
  }
  for (const ops::Quantization each : {ops::Quantization::none, ops::Quantization::w8a8}) {
    EXPECT_EQ(describe_products(kernels, DType::bfloat16, each),
              describe_products(own, DType::bfloat16, each));
  }
}

TEST(CpuProducts, TilesAreNamed) {
  const Kernels& tiles = test::emulated_tiles();
  const auto text = [&tiles](DType dtype, ops::Quantization quantization) {
    return describe_products(tiles, dtype, quantization);
  };
  const std::string by = "by emulated tiles";
  EXPECT_NE(text(DType::bfloat16, ops::Quantization::none).find(by), std::string::npos);
  EXPECT_NE(text(DType::bfloat16, ops::Quantization::w4a8).find(by), std::string::npos);
  EXPECT_EQ(text(DType::float32, ops::Quantization::none).find(by), std::string::npos);
}

TEST(CpuProducts, UnknownNamesAreRefused) {
  EXPECT_THROW(ttsrt::describe_products("float32", "w2a2"), ConfigError);
  EXPECT_THROW(ttsrt::describe_products("float8", "none"), Error);
}

}  // namespace
}  // namespace ttsrt::cpu
