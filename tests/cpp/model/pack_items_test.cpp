#include "model/pack_items.h"

#include <gtest/gtest.h>

#include <map>

#include "support/errors.h"

namespace ttsrt::model {
namespace {

Manifest one_of_each() {
  Manifest manifest;
  manifest.begin("decoder");
  manifest.add(Role::table, "ids", {2, 20, 8});
  manifest.add(Role::vector, "norm", {8});
  manifest.add(Role::matrix, "matrix", {24, 8});
  manifest.add(Role::convolution, "conv", {12, 8, 3});
  manifest.begin("local");
  manifest.add_head("heads", {2, 20, 4});
  manifest.add_data("lengths", {5}, DType::int32);
  manifest.add(Role::unused, "left_out", {3, 3});
  return manifest;
}

std::map<std::string, PackItem> plan_of(const PackOptions& options) {
  std::map<std::string, PackItem> items;
  for (const PackItem& item : pack_items(one_of_each(), options)) items[item.weight.name] = item;
  return items;
}

void expect_shape(const PackItem& item, std::int64_t rows, std::int64_t cols) {
  EXPECT_EQ(item.weight.rows, rows) << item.weight.name;
  EXPECT_EQ(item.weight.cols, cols) << item.weight.name;
}

TEST(BuildPlan, TheRoleDecidesTypeAndLayout) {
  const auto items = plan_of({DType::bfloat16, {}});
  EXPECT_EQ(items.size(), 7U);
  for (const char* product : {"matrix", "conv", "heads.0", "heads.1"}) {
    EXPECT_EQ(items.at(product).weight.layout, ops::Layout::panel16) << product;
    EXPECT_EQ(items.at(product).weight.dtype, DType::bfloat16) << product;
  }
  for (const char* dense : {"ids", "norm", "lengths"})
    EXPECT_EQ(items.at(dense).weight.layout, ops::Layout::dense) << dense;
  EXPECT_EQ(items.at("ids").weight.dtype, DType::bfloat16);
  EXPECT_EQ(items.at("norm").weight.dtype, DType::float32);
  EXPECT_EQ(items.at("lengths").weight.dtype, DType::int32);
}

TEST(BuildPlan, ShapesAndSources) {
  const auto items = plan_of({});
  expect_shape(items.at("ids"), 40, 8);
  expect_shape(items.at("norm"), 1, 8);
  expect_shape(items.at("matrix"), 24, 8);
  expect_shape(items.at("conv"), 12, 24);
  EXPECT_EQ(items.at("conv").taps, 3);
  expect_shape(items.at("heads.1"), 20, 4);
  EXPECT_EQ(items.at("heads.1").source.name, "heads");
  EXPECT_EQ(items.at("heads.1").source.component, "local");
  EXPECT_EQ(items.at("heads.1").first_row, 20);
  expect_shape(items.at("lengths"), 1, 5);
}

TEST(BuildPlan, ExcludedProductsStayFloats) {
  const PackOptions options = {
      DType::bfloat16, {ops::Quantization::w8a16, 0, false}, std::nullopt, {"mat*", "heads"}};
  const auto items = plan_of(options);
  for (const char* kept : {"matrix", "heads.0", "heads.1"}) {
    EXPECT_EQ(items.at(kept).weight.quantization, ops::Quantization::none) << kept;
    EXPECT_EQ(items.at(kept).weight.dtype, DType::bfloat16) << kept;
  }
  EXPECT_EQ(items.at("conv").weight.quantization, ops::Quantization::w8a16);
}

TEST(BuildPlan, AnExclusionMustStandForAProduct) {
  const auto refuses = [](const std::string& pattern) {
    const PackOptions options = {
        DType::float32, {ops::Quantization::w8a16, 0, false}, std::nullopt, {"matrix", pattern}};
    return test::throws_naming<ConfigError>("exclude_modules", [&] { plan_of(options); });
  };
  for (const char* pattern : {"norm", "ids", "left_out", "matri", "", "*x*x*x*x*x*"})
    EXPECT_TRUE(refuses(pattern)) << pattern;
  EXPECT_TRUE(refuses(std::string(257, 'm')));
}

TEST(BuildPlan, OnlyProductsAreQuantized) {
  const auto items = plan_of({DType::bfloat16, {ops::Quantization::w4a16, 64, true}});
  for (const auto& [name, item] : items) {
    EXPECT_EQ(item.weight.quantization != ops::Quantization::none, is_product(item.source.role));
    EXPECT_EQ(item.weight.group_size, is_product(item.source.role) ? 64 : 0) << name;
  }
  EXPECT_EQ(items.at("matrix").weight.dtype, DType::uint8);
  EXPECT_TRUE(items.at("matrix").weight.has_zeros);
  EXPECT_FALSE(items.at("ids").weight.has_zeros);
}

TEST(BuildPlan, HeadsMayStayWide) {
  const auto items =
      plan_of({DType::bfloat16, {ops::Quantization::w8a16, 0}, QuantizationChoice{}});
  EXPECT_EQ(items.at("heads.1").weight.quantization, ops::Quantization::none);
  EXPECT_EQ(items.at("heads.1").weight.dtype, DType::bfloat16);
  EXPECT_EQ(items.at("matrix").weight.quantization, ops::Quantization::w8a16);
}

TEST(BuildPlan, HeadsMayHaveAQuantizationOfTheirOwn) {
  const auto items = plan_of({DType::bfloat16,
                              {ops::Quantization::w4a16, 64},
                              QuantizationChoice{ops::Quantization::w8a16, 0}});
  EXPECT_EQ(items.at("heads.1").weight.quantization, ops::Quantization::w8a16);
  EXPECT_EQ(items.at("heads.1").weight.group_size, 0);
  EXPECT_EQ(items.at("matrix").weight.quantization, ops::Quantization::w4a16);
}

TEST(BuildPlan, SumsThatCouldOverflowAreRefused) {
  Manifest manifest;
  manifest.add(Role::matrix, "wide", {16, ops::kMaxWholeInputs + 1});
  EXPECT_TRUE(test::throws_naming<FormatError>("wide: w8a8 takes at most", [&] {
    pack_items(manifest, {DType::float32, {ops::Quantization::w8a8, 0}});
  }));
}

}  // namespace
}  // namespace ttsrt::model
