#include "ops/taps.h"

#include <gtest/gtest.h>

#include <vector>

namespace ttsrt::ops {
namespace {

struct Traced {
  Program program;
  std::vector<float> rows = {1, 2, 3, 4, 5, 6};
  std::vector<float> draws = {7, 8, 9};
  step::RowBatch batch;
  step::StepOutput output;

  Traced() {
    const BufferId x = program.add("x", 2);
    const BufferId y = program.add("y", 3, RowSpace::draws);
    program.taps = {{"of rows", x}, {"of draws", y}};
    program.part_begins = {0};
    batch.rows = 2;
    batch.draws.resize(1);
  }

  void append() {
    const auto values_of = [this](BufferId buffer) {
      return buffer == 0 ? rows.data() : draws.data();
    };
    append_taps(program, 3, batch, values_of, output);
  }
};

TEST(Taps, AreAsLongAsTheirSpace) {
  Traced traced;
  traced.append();
  ASSERT_EQ(traced.output.taps.size(), 2U);
  EXPECT_EQ(traced.output.taps[0].name, "of rows");
  EXPECT_EQ(traced.output.taps[0].rows, 2);
  EXPECT_EQ(traced.output.taps[0].values, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(traced.output.taps[1].values, (std::vector<float>{7, 8, 9}));
  EXPECT_EQ(traced.output.taps[1].program, 3);
}

TEST(Taps, AreReadBehindTheLastPart) {
  Traced traced;
  traced.batch.last_part = 1;  // of two
  traced.append();
  EXPECT_TRUE(traced.output.taps.empty());
  traced.batch.last_part = 2;
  traced.append();
  EXPECT_EQ(traced.output.taps.size(), 2U);
}

}  // namespace
}  // namespace ttsrt::ops
