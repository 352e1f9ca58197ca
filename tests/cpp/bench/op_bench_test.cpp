// Benchmarks of ops: each family agrees with the reference, counts its bytes and operations, and
// refuses options that it cannot run.
#include <gtest/gtest.h>

#include <functional>

#include "support/errors.h"
#include "ttsrt/bench.h"

namespace ttsrt {
namespace {

// Small enough for the reference, with odd sizes for edge cases.
OpBenchOptions small(const std::string& family) {
  OpBenchOptions options;
  options.family = family;
  options.num_threads = 2;
  options.rows = 3;
  options.outputs = 48;
  options.inputs = 40;
  options.heads = 2;
  options.head_dim = 20;
  options.length = 75;
  options.layers = 2;
  options.codebooks = 3;
  options.vocab = 33;
  options.resident = true;
  return options;
}

class OpBenchFamily : public testing::TestWithParam<std::string> {};

TEST_P(OpBenchFamily, AgreesWithTheReference) {
  for (const std::int32_t rows : {1, 3, 20}) {
    OpBenchOptions options = small(GetParam());
    options.rows = rows;
    EXPECT_LT(OpBench(options).check(), 2e-5) << rows << " rows";
  }
}

TEST_P(OpBenchFamily, AgreesInNarrowTypes) {
  for (const char* dtype : {"bfloat16", "float16"}) {
    OpBenchOptions options = small(GetParam());
    options.dtype = dtype;
    options.cache_dtype = "int8";
    EXPECT_LT(OpBench(options).check(), 1e-2) << dtype;
  }
}

TEST_P(OpBenchFamily, RunsAndCounts) {
  OpBench bench(small(GetParam()));
  EXPECT_GT(bench.run(2), 0.0);
  EXPECT_GE(bench.num_ops(), 1);
  EXPECT_GT(bench.bytes(), 0);
  EXPECT_GT(bench.operations(), 0);
  EXPECT_EQ(bench.options().family, GetParam());
  EXPECT_NE(bench.description().find("2 threads"), std::string::npos);
  OpBench moved = std::move(bench);
  EXPECT_GT(moved.run(1), 0.0);
  EXPECT_LT(moved.check(), 2e-5);  // also after it has run
}

TEST_P(OpBenchFamily, RunsOnTheReferenceToo) {
  OpBenchOptions options = small(GetParam());
  options.device = "reference";
  EXPECT_EQ(OpBench(options).check(), 0.0);
}

INSTANTIATE_TEST_SUITE_P(All, OpBenchFamily, testing::ValuesIn(op_bench_families()),
                         [](const auto& info) { return info.param; });

TEST(OpBench, CountsWhatAProductMoves) {
  OpBenchOptions options = small("linear");
  options.outputs = 64;
  options.inputs = 32;
  options.dtype = "bfloat16";
  const OpBench bench(options);
  EXPECT_EQ(bench.bytes(), 64 * 32 * 2 + 3 * (64 + 32) * 4);
  EXPECT_EQ(bench.operations(), 2 * 3 * 64 * 32);
}

TEST(OpBench, CountsScalesOfInt8) {
  OpBenchOptions options = small("self_attention");
  options.rows = 1;
  const std::int64_t rows = 4 * 40 * 4;
  EXPECT_EQ(OpBench(options).bytes(), 2 * 75 * 40 * 4 + rows);
  options.cache_dtype = "int8";
  EXPECT_EQ(OpBench(options).bytes(), 2 * 75 * 2 * (20 + 4) + rows);
}

// Weights of a real shape are repeated until no cache holds them all.
TEST(OpBench, ColdWeightsAreBeyondCaches) {
  OpBenchOptions options;
  options.num_threads = 1;
  const OpBench bench(options);
  EXPECT_GT(std::int64_t{bench.num_ops()} * 768 * 768 * 4, 250'000'000);
}

TEST(OpBench, RefusesWhatItCannotRun) {
  const auto refuses = [](const std::string& part,
                          const std::function<void(OpBenchOptions&)>& change) {
    OpBenchOptions options = small("linear");
    change(options);
    return test::throws_naming<ConfigError>(part, [&] { OpBench{options}; });
  };
  EXPECT_TRUE(refuses("pick_codes", [](auto& of) { of.family = "softmax"; }));
  EXPECT_TRUE(refuses("device", [](auto& of) { of.device = "tpu"; }));
  EXPECT_TRUE(refuses("num_threads", [](auto& of) { of.num_threads = -1; }));
  EXPECT_TRUE(refuses("rows", [](auto& of) { of.rows = 0; }));
  EXPECT_TRUE(refuses("rows", [](auto& of) { of.rows = 1 << 20; }));
  EXPECT_TRUE(refuses("outputs", [](auto& of) { of.outputs = -5; }));
  EXPECT_TRUE(refuses("inputs", [](auto& of) { of.inputs = 0; }));
  EXPECT_TRUE(refuses("heads", [](auto& of) { of.heads = 0; }));
  EXPECT_TRUE(refuses("head_dim", [](auto& of) { of.head_dim = 0; }));
  EXPECT_TRUE(refuses("length", [](auto& of) { of.length = 0; }));
  EXPECT_TRUE(refuses("layers", [](auto& of) { of.layers = 0; }));
  EXPECT_TRUE(refuses("codebooks", [](auto& of) { of.codebooks = 0; }));
  EXPECT_TRUE(refuses("vocab", [](auto& of) { of.vocab = 1; }));
  EXPECT_TRUE(refuses("dtype", [](auto& of) { of.dtype = "int8"; }));
  EXPECT_TRUE(refuses("cache_dtype", [](auto& of) { of.cache_dtype = "int4"; }));
  EXPECT_TRUE(refuses("quantization", [](auto& of) { of.quantization = "w3a3"; }));
  EXPECT_TRUE(refuses("GB", [](auto& of) {
    of.family = "self_attention";
    of.rows = 4096;
    of.length = 8192;
  }));
  EXPECT_TRUE(refuses("heads", [](auto& of) {
    of.family = "pick_codes";
    of.heads = 7;
  }));
  OpBench bench(small("linear"));
  for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40})
    EXPECT_TRUE(test::throws_naming<ConfigError>("iterations", [&] { bench.run(bad); }));
}

}  // namespace
}  // namespace ttsrt
