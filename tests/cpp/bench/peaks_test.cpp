// Measured peaks are positive and take bounded time; devices and options without meaning are
// refused.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "cpu/cpu_backend.h"
#include "cpu/isa.h"
#include "support/errors.h"
#include "ttsrt/bench.h"

namespace ttsrt {
namespace {

TEST(MachinePeaks, EveryInstructionSetHasThem) {
  for (const std::string& isa : cpu::supported_levels()) {
    const MachinePeaks peaks = make_cpu_machine({2, isa})->measure_peaks(0.004);
    EXPECT_EQ(peaks.isa, isa);
    EXPECT_EQ(peaks.num_threads, 2);
    for (const double value :
         {peaks.read_gb_per_s, peaks.cached_gb_per_s, peaks.float32_gflop_per_s,
          peaks.bfloat16_gflop_per_s, peaks.int8_gop_per_s}) {
      EXPECT_TRUE(std::isfinite(value)) << isa;
      EXPECT_GT(value, 0.01) << isa;
      EXPECT_LT(value, 1e9) << isa;
    }
  }
}

TEST(MachinePeaks, ReadsOfEverySize) {
  for (const std::string& isa : cpu::supported_levels()) {
    const auto machine =
        make_cpu_machine({3, isa});  // the number of threads does not divide the bytes
    for (const std::int64_t bytes : {4096, 100'000, 64 << 20}) {
      const double rate = machine->measure_read(bytes, 0.001);
      EXPECT_TRUE(std::isfinite(rate)) << isa << ", " << bytes;
      EXPECT_GT(rate, 0.01) << isa << ", " << bytes;
      EXPECT_LT(rate, 1e9) << isa << ", " << bytes;
    }
  }
}

TEST(MachinePeaks, Barriers) {
  for (const std::int32_t threads : {1, 2, 9}) {
    const double seconds = make_cpu_machine({threads, "generic"})->measure_barrier(0.001);
    EXPECT_GT(seconds, 1e-10) << threads;
    EXPECT_LT(seconds, 1.0) << threads;
  }
  EXPECT_TRUE(test::throws_naming<ConfigError>("reference", [] { measure_barrier("reference"); }));
  EXPECT_TRUE(test::throws_naming<ConfigError>("seconds", [] { measure_barrier("cpu", 2, 0.0); }));
}

TEST(MachinePeaks, RefusesWhatSaysNothing) {
  EXPECT_TRUE(test::throws_naming<ConfigError>("reference", [] { measure_read("reference"); }));
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{4095}, (std::int64_t{1} << 34) + 1})
    EXPECT_TRUE(test::throws_naming<ConfigError>("bytes", [&] { measure_read("cpu", 1, bad); }));
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("seconds", [] { measure_read("cpu", 1, 4096, 0.0); }));
  EXPECT_TRUE(test::throws_naming<ConfigError>("reference", [] { measure_peaks("reference"); }));
  EXPECT_TRUE(test::throws_naming<ConfigError>("device", [] { measure_peaks("tpu"); }));
  EXPECT_TRUE(
      test::throws_naming<ConfigError>("num_threads", [] { measure_peaks("cpu", -1, 0.01); }));
  for (const double bad : {0.0, -1.0, 61.0, std::nan(""), 1.0 / 0.0})
    EXPECT_TRUE(test::throws_naming<ConfigError>("seconds", [&] { measure_peaks("cpu", 1, bad); }));
}

}  // namespace
}  // namespace ttsrt
