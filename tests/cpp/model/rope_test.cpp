#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/errors.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

RopeConfig rope_of(RopeKind kind, std::int32_t dims, double theta) {
  RopeConfig rope;
  rope.kind = kind;
  rope.dims = dims;
  rope.theta = theta;
  return rope;
}

// Published values of TinyLlama and Phi-2.
TEST(Rope, StandardFrequencies) {
  const RopeConfig llama = rope_of(RopeKind::standard, 64, 10000.0);
  EXPECT_EQ(rope_frequency(llama, 0), 1.0);
  EXPECT_NEAR(rope_frequency(llama, 1), 0.7498942, 1e-7);
  EXPECT_NEAR(rope_frequency(llama, 31), 1.333521e-4, 1e-10);
  EXPECT_NEAR(rope_frequency(rope_of(RopeKind::standard, 32, 10000.0), 15), 1.778279e-4, 1e-10);
}

TEST(Rope, LinearScalingDividesEveryFrequency) {
  RopeConfig rope = rope_of(RopeKind::linear, 64, 10000.0);
  rope.factor = 4.0;
  EXPECT_NEAR(rope_frequency(rope, 1), 0.7498942 / 4.0, 1e-7);
}

// Values of Llama_520M: kept, interpolated, divided.
TEST(Rope, Llama3Scaling) {
  RopeConfig rope = rope_of(RopeKind::llama3, 64, 500000.0);
  rope.factor = 8.0;
  EXPECT_NEAR(rope_frequency(rope, 1), 0.6636012, 1e-7);
  EXPECT_NEAR(rope_frequency(rope, 14), 3.2114459e-3, 1e-10);
  EXPECT_NEAR(rope_frequency(rope, 15), 1.3718936e-3, 1e-10);
  EXPECT_NEAR(rope_frequency(rope, 16), 5.2484616e-4, 1e-11);
  EXPECT_NEAR(rope_frequency(rope, 17), 1.7850781e-4, 1e-11);
  EXPECT_NEAR(rope_frequency(rope, 18), 7.7846553e-5, 1e-12);
  EXPECT_NEAR(rope_frequency(rope, 31), 3.7673227e-7, 1e-14);
}

TEST(Rope, TableHoldsCosinesThenSines) {
  const RopeConfig rope = rope_of(RopeKind::standard, 6, 100.0);
  const RopeTable table = make_rope_table(rope, 50);
  EXPECT_EQ(table.weight.rows, 50);
  EXPECT_EQ(table.weight.cols, 6);
  ASSERT_EQ(table.values->size(), 300U);
  for (std::int32_t pair = 0; pair < 3; ++pair) {
    const double angle = 49.0 * std::pow(100.0, -pair / 3.0);
    EXPECT_EQ(table.values->at(49 * 6 + pair), static_cast<float>(std::cos(angle)));
    EXPECT_EQ(table.values->at(49 * 6 + 3 + pair), static_cast<float>(std::sin(angle)));
  }
}

RopeConfig read(const Json& json) { return read_rope(JsonReader(json, "rope"), 8); }

TEST(Rope, ReadsItsFields) {
  EXPECT_EQ(read({{"kind", "default"}, {"dims", 8}, {"theta", 500.0}}).theta, 500.0);
  const RopeConfig rope = read({{"kind", "llama3"},
                                {"dims", 4},
                                {"theta", 500.0},
                                {"factor", 8.0},
                                {"low_freq_factor", 1.0},
                                {"high_freq_factor", 2.0},
                                {"original_positions", 64.0}});
  EXPECT_EQ(rope.kind, RopeKind::llama3);
  EXPECT_EQ(rope.original_positions, 64.0);
}

TEST(Rope, RefusesWhatItDoesNotKnow) {
  EXPECT_TRUE(throws_naming<FormatError>("rope.kind: expected one of default, linear, llama3", [] {
    read({{"kind", "yarn"}, {"dims", 8}, {"theta", 500.0}});
  }));
  EXPECT_TRUE(throws_naming<FormatError>(
      "rope.dims", [] { read({{"kind", "default"}, {"dims", 10}, {"theta", 500.0}}); }));
  EXPECT_TRUE(throws_naming<FormatError>(
      "rope.dims", [] { read({{"kind", "default"}, {"dims", 3}, {"theta", 500.0}}); }));
  EXPECT_TRUE(throws_naming<FormatError>(
      "rope.factor", [] { read({{"kind", "linear"}, {"dims", 8}, {"theta", 500.0}}); }));
}

}  // namespace
}  // namespace ttsrt::model
