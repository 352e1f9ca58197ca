// Compares the kernels of every instruction set of this machine with plain formulas and the rules.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/half.h"
#include "cpu/isa.h"
#include "cpu_support.h"
#include "rules/filter_chain.h"

namespace ttsrt {
namespace {

class CpuKernels : public test::CpuIsaTest {
 protected:
  const cpu::Kernels& kernels() const { return cpu::choose_kernels(isa()); }
};

// Values from `first` on, one `step` apart, below `end`.
std::vector<float> values_between(float first, float end, float step) {
  std::vector<float> values(static_cast<std::size_t>((end - first) / step));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = first + step * static_cast<float>(i);
  return values;
}

TEST_P(CpuKernels, ExpIsAccurate) {
  const std::vector<float> x = values_between(-87.2F, 88.0F, 0.00137F);
  std::vector<float> got(x.size());
  kernels().exp(x.data(), static_cast<std::int64_t>(x.size()), got.data());
  double worst = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = std::exp(static_cast<double>(x[i]));
    worst = std::max(worst, std::fabs(got[i] - expected) / expected);
  }
  EXPECT_LT(worst, 2e-7);
  const float edges[] = {-INFINITY, -100.0F, 0.0F};
  float out[3];
  kernels().exp(edges, 3, out);
  EXPECT_EQ(out[0], 0.0F);
  EXPECT_EQ(out[1], 0.0F);
  EXPECT_EQ(out[2], 1.0F);
}

TEST_P(CpuKernels, GeluIsAccurate) {
  const std::vector<float> x = values_between(-12.0F, 12.0F, 0.0013F);
  std::vector<float> got(x.size());
  kernels().activate(x.data(), cpu::Activation::gelu, static_cast<std::int64_t>(x.size()),
                     got.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    const double expected =
        0.5 * v * (1.0 + std::tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v)));
    ASSERT_NEAR(got[i], expected, 2e-7 * std::max(1.0, std::fabs(v))) << "x " << v;
  }
  const float far[] = {-1e4F, 1e4F};
  float out[2];
  kernels().activate(far, cpu::Activation::gelu, 2, out);
  EXPECT_EQ(out[0], 0.0F);
  EXPECT_EQ(out[1], 1e4F);
}

TEST_P(CpuKernels, SiluIsAccurate) {
  const std::vector<float> x = values_between(-20.0F, 20.0F, 0.0017F);
  const auto count = static_cast<std::int64_t>(x.size());
  std::vector<float> got(x.size());
  kernels().activate(x.data(), cpu::Activation::silu, count, got.data());
  std::vector<float> gated(x.size());
  kernels().gate(x.data(), x.data(), cpu::Activation::silu, count, gated.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    ASSERT_NEAR(got[i], v / (1.0 + std::exp(-v)), 2e-7 * std::max(1.0, std::fabs(v))) << "x " << v;
    ASSERT_EQ(gated[i], got[i] * x[i]) << "x " << v;
  }
  const float far[] = {-1e4F, 1e4F};
  float out[2];
  kernels().activate(far, cpu::Activation::silu, 2, out);
  EXPECT_NEAR(out[0], 0.0F, 1e-30F);
  EXPECT_EQ(out[1], 1e4F);
}

std::vector<float> awkward_row(std::int32_t count, std::uint64_t seed) {
  std::vector<float> values = test::random_vector(static_cast<std::size_t>(count), seed, 3.0F);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 5 == 1) values[i] = std::round(values[i]);  // ties
    if (i % 11 == 3) values[i] = -INFINITY;
    if (i % 13 == 4) values[i] = i % 2 == 0 ? 0.0F : -0.0F;
  }
  return values;
}

TEST_P(CpuKernels, ArgmaxAndKthLargestEqualTheRules) {
  for (const std::int32_t count : {1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 2024}) {
    const std::vector<float> row = awkward_row(count, static_cast<std::uint64_t>(count));
    EXPECT_EQ(kernels().argmax(row.data(), count), rules::argmax(row.data(), count)) << count;
    for (const std::int32_t k : {1, 2, count / 3, count / 2, count - 1, count}) {
      if (k < 1 || k > count) continue;
      const float expected = rules::kth_largest(row.data(), count, k);
      const float got = kernels().kth_largest(row.data(), count, k);
      EXPECT_EQ(float_to_bits(got), float_to_bits(expected)) << count << ", k " << k;
    }
  }
  const std::vector<float> never(40, -INFINITY);
  EXPECT_EQ(kernels().argmax(never.data(), 40), 0);
  EXPECT_EQ(kernels().kth_largest(never.data(), 40, 7), -INFINITY);
}

TEST_P(CpuKernels, SurvivorsAreThoseOfTheRules) {
  for (const std::int32_t count : {5, 16, 77, 2024}) {
    const std::vector<float> row = awkward_row(count, 9);
    for (const std::int32_t k : {1, 3, count}) {
      const float threshold = rules::kth_largest(row.data(), count, k);
      const float largest = row[static_cast<std::size_t>(rules::argmax(row.data(), count))];
      std::vector<float> weights(static_cast<std::size_t>(count));
      std::vector<std::int32_t> indices(static_cast<std::size_t>(count));
      std::vector<float> expected = weights;
      std::vector<std::int32_t> expected_indices = indices;
      const std::int32_t found = kernels().survivors(row.data(), count, threshold, largest,
                                                     1.0F / 0.7F, {indices.data(), weights.data()});
      ASSERT_EQ(found, rules::PlainPrimitives{}.survivors(row.data(), count, threshold, largest,
                                                          1.0F / 0.7F, expected.data(),
                                                          expected_indices.data()));
      EXPECT_EQ(indices, expected_indices);
      for (std::size_t i = 0; i < weights.size(); ++i)
        EXPECT_NEAR(weights[i], expected[i], 3e-7F) << i;
    }
  }
}

TEST_P(CpuKernels, GuidanceHasTheBitsOfTheRules) {
  for (const std::int32_t count : {1, 16, 77}) {
    const std::vector<float> c = awkward_row(count, 2);
    const std::vector<float> u = test::random_vector(static_cast<std::size_t>(count), 3, 2.0F);
    std::vector<float> mixed(c.size());
    std::vector<float> extrapolated(c.size());
    kernels().mix(c.data(), u.data(), 1.3F, count, mixed.data());
    kernels().extrapolate(c.data(), u.data(), 0.3F, count, extrapolated.data());
    for (std::size_t i = 0; i < c.size(); ++i) {
      EXPECT_EQ(mixed[i], rules::guide(rules::Guidance::weighted_sum, c[i], u[i], 1.3F)) << i;
      EXPECT_EQ(extrapolated[i], rules::guide(rules::Guidance::extrapolate, c[i], u[i], 0.3F)) << i;
    }
  }
}

TEST_P(CpuKernels, StoredElementsRoundAsHalfDoes) {
  const std::vector<float> values = {0.0F,     -0.0F,  1.0F,    -2.5F,    65504.0F, 65519.9F,
                                     65520.0F, 1e30F,  6.1e-5F, 6.09e-5F, 5.9e-8F,  2.9e-8F,
                                     2.99e-8F, 3e-9F,  0.1F,    -0.3F,    1.00049F, INFINITY,
                                     3.14159F, 1e-40F, 0.33333F};
  const auto dim = static_cast<std::int32_t>(values.size());
  std::vector<std::uint16_t> keys(static_cast<std::size_t>(dim) * 16);
  std::vector<std::uint16_t> stored(static_cast<std::size_t>(dim) * 16);
  for (const bool is_half : {false, true}) {
    kernels().attention[is_half ? 2 : 1].store(values.data(), values.data(), keys.data(),
                                               stored.data(), 3, dim);
    for (std::size_t d = 0; d < values.size(); ++d) {
      const float value = values[d];
      const std::uint16_t expected = is_half ? to_float16(value) : to_bfloat16(value);
      EXPECT_EQ(keys[d * 16 + 3], expected) << value;
      EXPECT_EQ(stored[3 * values.size() + d], expected) << value;
      const void* row = &stored[3 * values.size() + d];
      float back = 0.0F;
      kernels().mean_rows[is_half ? 2 : 1](&row, 1, 1, &back);
      EXPECT_EQ(back, is_half ? from_float16(expected) : from_bfloat16(expected)) << value;
    }
  }
}

// The key or value of a position as int8, and its scale, by the rule.
struct Int8Row {
  std::vector<std::int8_t> wholes;
  float scale = 0.0F;

  explicit Int8Row(const std::vector<float>& x) {
    for (const float value : x) scale = std::max(scale, std::fabs(value) / 127.0F);
    for (const float value : x) {
      const float whole = scale > 0.0F ? std::nearbyint(value / scale) : 0.0F;
      wholes.push_back(static_cast<std::int8_t>(std::clamp(whole, -127.0F, 127.0F)));
    }
  }
};

TEST_P(CpuKernels, Int8PositionsRoundByTheirScale) {
  for (const std::int32_t dim : {1, 5, 16, 40, 64}) {
    const auto size = static_cast<std::size_t>(dim);
    std::vector<float> ties(size, 0.5F);  // half-way between integers at scale 1
    for (std::size_t d = 0; d < size; ++d) ties[d] += static_cast<float>(d) - 20.0F;
    ties[0] = 127.0F;
    std::vector<std::vector<float>> rows = {ties,
                                            test::random_vector(size, 3, 7.0F),
                                            test::random_vector(size, 4, 1e-30F),
                                            test::random_vector(size, 5, 1e30F),
                                            std::vector<float>(size, 0.0F),
                                            std::vector<float>(size, 2e-43F)};
    const std::size_t behind = size * 16;
    std::vector<float> room((behind + 64) / 2);
    auto* keys = reinterpret_cast<std::int8_t*>(room.data());
    std::int8_t* values = keys + behind + 64;
    for (std::size_t place = 0; place < rows.size(); ++place) {
      const std::vector<float>& other = rows[rows.size() - 1 - place];
      kernels().attention[3].store(rows[place].data(), other.data(), keys, values,
                                   static_cast<std::int32_t>(place), dim);
    }
    const auto* key_scales = reinterpret_cast<const float*>(keys + behind);
    const auto* value_scales = reinterpret_cast<const float*>(values + behind);
    for (std::size_t place = 0; place < rows.size(); ++place) {
      const Int8Row key(rows[place]);
      const Int8Row value(rows[rows.size() - 1 - place]);
      EXPECT_EQ(key_scales[place], key.scale) << "row " << place;
      EXPECT_EQ(value_scales[place], value.scale) << "row " << place;
      for (std::size_t d = 0; d < size; ++d) {
        EXPECT_EQ(keys[d * 16 + place], key.wholes[d]) << "row " << place;
        EXPECT_EQ(values[place * size + d], value.wholes[d]) << "row " << place;
      }
    }
  }
}

TEST_P(CpuKernels, Int8PositionsThatAreNotFiniteHaveANanScale) {
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    std::vector<float> room(48, 0.0F);  // 2 dimensions: 32 bytes and 16 scales, twice
    auto* keys = reinterpret_cast<std::int8_t*>(room.data());
    const float key[] = {1.0F, bad};
    const float value[] = {1.0F, -2.0F};
    kernels().attention[3].store(key, value, keys, keys + 96, 2, 2);
    EXPECT_TRUE(std::isnan(room[8 + 2]));
    EXPECT_FLOAT_EQ(room[24 + 8 + 2], 2.0F / 127.0F);
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuKernels, testing::ValuesIn(cpu::supported_levels()),
                         test::isa_name);

TEST(CpuIsa, TheErrorForAnUnknownNameListsKnownNames) {
  try {
    cpu::choose_kernels("sse9");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("generic"), std::string::npos) << error.what();
  }
}

TEST(CpuIsa, TheEnvironmentForcesALevel) {
  setenv("TTSRT_CPU_ISA", "generic", 1);
  EXPECT_EQ(make_cpu_backend({1, ""})->info().description, "cpu: generic, 1 threads");
  unsetenv("TTSRT_CPU_ISA");
  EXPECT_EQ(std::string(cpu::choose_kernels("").name), cpu::supported_levels().back());
}

TEST(CpuIsa, IntelWidensTheInputsOfQuantizedWeights) {
  unsetenv("TTSRT_CPU_ISA");
  const cpu::Kernels* expected = nullptr;
#ifdef __x86_64__
  __builtin_cpu_init();
  const std::string best = cpu::supported_levels().back();
  if (__builtin_cpu_is("intel") != 0 && (best == "avx512_bf16" || best == "avx512_amx"))
    expected = &cpu::choose_kernels("avx512_vnni");
#endif
  EXPECT_EQ(cpu::choose_kernels("").a16, expected);
  for (const std::string& level : cpu::supported_levels())
    EXPECT_EQ(cpu::choose_kernels(level).a16, nullptr) << level;
}

}  // namespace
}  // namespace ttsrt
