#include "tensorrt/network_text.h"

#include <gtest/gtest.h>

#include "common/rows.h"
#include "support/errors.h"

namespace ttsrt::tensorrt {
namespace {

using ttsrt::test::throws_naming;

std::vector<std::byte> nothing() { return {}; }

TEST(NetworkText, FollowsShapesAndTypes) {
  NetworkText text;
  text.begin_op("op");
  const TensorId x = text.input("x", Type::float32, {kRowsExtent, 8});
  const TensorId weight = text.constant(Type::float32, {4, 8}, nothing);
  const TensorId y = text.product(x, weight);
  text.output("y", text.combine(Binary::quotient, y, text.mean(y)));
  EXPECT_EQ(text.text(),
            "%0 = input x : float32 [-1, 8]\n"
            "%1 = constant : float32 [4, 8]\n"
            "%2 = product %0 %1 : float32 [-1, 4]\n"
            "%3 = mean %2 : float32 [-1, 1]\n"
            "%4 = quotient %2 %3 : float32 [-1, 4]\n"
            "output y %4\n");
  EXPECT_EQ(text.hash().size(), 64U);
}

TEST(NetworkText, RefusesLayersThatDoNotFit) {
  NetworkText text;
  text.begin_op("decode 3 Linear");
  const TensorId x = text.input("x", Type::float32, {kRowsExtent, 8});
  const TensorId half = text.constant(Type::float16, {4, 8}, nothing);
  const TensorId odd = text.constant(Type::float32, {4, 7}, nothing);
  EXPECT_TRUE(throws_naming<InternalError>("decode 3 Linear", [&] { text.product(x, half); }));
  EXPECT_TRUE(throws_naming<InternalError>("product", [&] { text.product(x, odd); }));
  EXPECT_TRUE(throws_naming<InternalError>("columns 6 to 9 of 8", [&] { text.columns(x, 6, 3); }));
  EXPECT_TRUE(throws_naming<InternalError>("float32 [-1, 8] and",
                                           [&] { text.combine(Binary::sum, x, odd); }));
  EXPECT_TRUE(throws_naming<InternalError>("has a name already", [&] { text.output("x", x); }));
  EXPECT_TRUE(throws_naming<InternalError>("no tensor 99", [&] { text.copy(99); }));
}

// Inputs of a plugin are compared with its signature, and what it writes must be bound.
TEST(NetworkText, ComparesPluginsWithTheirSignature) {
  plugins::UnfoldAttributes at;
  at.launch.max_rows = 4;
  at.launch.codebooks = 1;
  at.width = 8;
  at.kernel = 3;
  at.has_history = 1;
  const Fields fields = plugins::to_fields(at);
  NetworkText text;
  text.begin_op("op");
  const TensorId x = text.input("x", Type::float32, {kRowsExtent, 8});
  const TensorId launch = text.input("launch", Type::int32, {at.launch.layout().numbers()});
  const TensorId history = text.input("history", Type::float32, {2, 2, 2, 8});
  const TensorId token = text.input("token", Type::int32, {1});
  const auto made = text.plugin("Unfold", fields, {x, launch, history, token}, 2);
  EXPECT_EQ(text.tensors()[static_cast<std::size_t>(made[0])].dims, (Dims{kRowsExtent, 24}));
  EXPECT_TRUE(throws_naming<InternalError>("history: it is written", [&] {
    const TensorId constant = text.constant(Type::float32, {2, 2, 2, 8}, nothing);
    text.plugin("Unfold", fields, {x, launch, constant, token}, 2);
  }));
  EXPECT_TRUE(throws_naming<InternalError>(
      "3 inputs and 2 outputs", [&] { text.plugin("Unfold", fields, {x, launch, token}, 2); }));
  EXPECT_TRUE(throws_naming<ConfigError>("expected one of",
                                         [&] { text.plugin("Nothing", fields, {x}, 1); }));
}

}  // namespace
}  // namespace ttsrt::tensorrt
