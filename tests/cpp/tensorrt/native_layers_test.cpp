// Norm, Linear and Gate as native layers, computed on the host, against the reference backend.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/weights.h"
#include "tensorrt/evaluating_writer.h"
#include "tensorrt/program_networks.h"
#include "tensorrt/program_writer.h"

namespace ttsrt::tensorrt {
namespace {

using test::EvaluatingWriter;
using ttsrt::test::make_norm;
using ttsrt::test::make_panel;
using ttsrt::test::make_vector;

constexpr std::int32_t kRows = 5;
constexpr std::int64_t kWidth = 24;

// Runs a Program both ways; every activation must agree.
void expect_same(ops::Program program, double tolerance) {
  for (std::size_t i = 0; i < program.activations.size(); ++i)
    program.taps.push_back({program.activations[i].name, static_cast<ops::BufferId>(i)});
  const std::vector<float> rows =
      ttsrt::test::random_vector(static_cast<std::size_t>(kRows * kWidth), 5, 2.0F);
  ops::StateSpec state = ttsrt::test::small_state();
  state.dim = kWidth;
  const auto backend = ops::make_reference_backend();
  backend->create_state(state);
  ttsrt::test::TestBatch batch;
  batch.add_vectors(0, kRows, rows);
  const auto executable = ttsrt::test::run_program(*backend, program, batch.batch);
  ops::ProgramLimits limits;
  limits.max_rows = kRows;
  EvaluatingWriter writer(kRows, rows);
  ProgramNetworks(program, limits, state).write(writer);
  for (std::size_t i = 0; i < program.activations.size(); ++i) {
    const ops::Activation& of = program.activations[i];
    const std::vector<float> expected =
        ttsrt::test::values_of(*executable, static_cast<ops::BufferId>(i), kRows * of.width);
    const std::vector<float>& got = writer.outputs.at("out." + std::to_string(i) + "." + of.name);
    ASSERT_EQ(got.size(), expected.size()) << of.name;
    for (std::size_t v = 0; v < got.size(); ++v)
      EXPECT_NEAR(got[v], expected[v], tolerance * (1.0 + std::abs(expected[v])))
          << of.name << " " << v;
  }
}

class Activations : public testing::TestWithParam<ops::Activate> {};

TEST_P(Activations, OfProductsAndGates) {
  ops::Program program;
  program.name = "test";
  const ops::BufferId x = ttsrt::test::add_input(program, kWidth);
  const auto weight = make_panel(40, kWidth, DType::float32, 1, 0.4F);
  const auto bias = make_vector(40, 2, 0.5F);
  const ops::BufferId wide = program.add("wide", 40);
  program.ops.emplace_back(ops::Linear{x, wide, weight, bias, GetParam()});
  const ops::BufferId gated = program.add("gated", 20);
  program.ops.emplace_back(ops::Gate{wide, gated, GetParam()});
  expect_same(program, 2e-6);
}

INSTANTIATE_TEST_SUITE_P(All, Activations,
                         testing::Values(ops::Activate::none, ops::Activate::gelu_tanh,
                                         ops::Activate::silu, ops::Activate::gelu,
                                         ops::Activate::mish));

TEST(NativeLayers, Norms) {
  ops::Program program;
  program.name = "test";
  const ops::BufferId x = ttsrt::test::add_input(program, kWidth);
  const auto weight = make_norm(kWidth, 1);
  const auto bias = make_vector(kWidth, 2);
  for (const ops::NormKind kind : {ops::NormKind::layer, ops::NormKind::rms}) {
    const ops::BufferId plain = program.add("plain", kWidth);
    program.ops.emplace_back(ops::Norm{x, plain, weight, 1e-3F, kind, {}});
    const ops::BufferId shifted = program.add("shifted", kWidth);
    program.ops.emplace_back(ops::Norm{plain, shifted, weight, 1e-5F, kind, bias});
  }
  expect_same(program, 2e-6);
}

// The sums of a residual, of two branches and in place: out + (addend + product).
TEST(NativeLayers, SumsAndOddSizes) {
  ops::Program program;
  program.name = "test";
  const ops::BufferId x = ttsrt::test::add_input(program, kWidth);
  const auto first = make_panel(17, kWidth, DType::float32, 1, 0.4F);
  const auto second = make_panel(17, 17, DType::float32, 2, 0.4F);
  const auto back = make_panel(kWidth, 17, DType::float32, 3, 0.4F);
  const ops::BufferId a = program.add("a", 17);
  const ops::BufferId b = program.add("b", 17);
  program.ops.emplace_back(ops::Linear{x, a, first, {}});
  program.ops.emplace_back(ops::Linear{a, b, second, {}});
  program.ops.emplace_back(ops::Linear{b, a, second, {}, ops::Activate::silu, true, b});
  program.ops.emplace_back(ops::Linear{a, x, back, {}, ops::Activate::none, true});
  expect_same(program, 5e-6);
}

TEST(NativeLayers, Float16) {
  ops::Program program;
  program.name = "test";
  const ops::BufferId x = ttsrt::test::add_input(program, kWidth);
  const auto weight = make_panel(33, kWidth, DType::float16, 1, 0.4F);
  const auto bias = make_vector(33, 2);
  const ops::BufferId out = program.add("out", 33);
  program.ops.emplace_back(ops::Linear{x, out, weight, bias});
  expect_same(program, 3e-3);
}

// Parts of a Program are one network, and nothing leaves it that no other Program reads.
TEST(NativeLayers, PartsAreOneNetwork) {
  ops::Program program;
  program.name = "test";
  const ops::BufferId x = ttsrt::test::add_input(program, kWidth);
  const auto weight = make_panel(kWidth, kWidth, DType::float32, 1, 0.4F);
  program.end_part();
  program.ops.emplace_back(ops::Linear{x, x, weight, {}, ops::Activate::none, true});
  ops::ProgramLimits limits;
  limits.max_rows = kRows;
  ops::StateSpec state = ttsrt::test::small_state();
  state.dim = kWidth;
  NetworkText network;
  for (const Binding& binding : ProgramNetworks(program, limits, state).write(network))
    EXPECT_NE(binding.home, Home::activation) << binding.name;
  EXPECT_NE(network.text().find("product"), std::string::npos);
}

TEST(RowMajor, TakesPanelsApart) {
  const auto weight = make_panel(18, 5, DType::float32, 3);
  const std::vector<std::byte> bytes = row_major(weight);
  ASSERT_EQ(bytes.size(), 18U * 5U * 4U);
  for (std::int64_t n = 0; n < 18; ++n) {
    for (std::int64_t k = 0; k < 5; ++k) {
      float value = 0.0F;
      std::memcpy(&value, bytes.data() + 4 * (n * 5 + k), 4);
      EXPECT_EQ(value, weight.at(n, k));
    }
  }
}

}  // namespace
}  // namespace ttsrt::tensorrt
