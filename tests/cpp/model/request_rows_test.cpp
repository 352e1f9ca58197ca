#include "executor/row_source.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"
#include "support/facts.h"

namespace ttsrt::executor {
namespace {

using test::small_facts;
using test::throws_naming;

TEST(RowSource, VectorsKeepTheirValues) {
  const RowSource source = rows_of_vectors("x", {2, 3, {1, 2, 3, 4, 5, 6}}, 3, 4);
  EXPECT_EQ(source.input, step::Input::vectors);
  EXPECT_EQ(source.rows, 2);
  EXPECT_EQ(*source.vectors, (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(RowSource, VectorsAreCheckedByName) {
  EXPECT_TRUE(throws_naming<ConfigError>("mine: expected [1 to 4, 3], got [2, 2]", [] {
    rows_of_vectors("mine", {2, 2, {1, 2, 3, 4}}, 3, 4);
  }));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(throws_naming<ConfigError>("mine[1, 0]: expected a finite number", [nan] {
    rows_of_vectors("mine", {2, 2, {1, 2, nan, 4}}, 2, 4);
  }));
}

TEST(RowSource, TextIsCheckedByName) {
  EXPECT_EQ(rows_of_text("t", {0, 9}, 10, 2, 0).rows, 2);
  EXPECT_TRUE(throws_naming<ConfigError>("t[1]: expected an id in [0, 9], got 10",
                                         [] { rows_of_text("t", {0, 10}, 10, 2, 0); }));
  EXPECT_TRUE(
      throws_naming<ConfigError>("at most 2", [] { rows_of_text("t", {0, 1, 2}, 10, 2, 0); }));
}

TEST(RowSource, CodesBecomeStacksAndRowsOfZeros) {
  step::ModelFacts facts = small_facts();
  facts.frame_stacking = 2;
  EXPECT_EQ(rows_of_codes("c", {3, 2, {1, 2, 3, 4, 5, 6}}, facts).ids,
            (std::vector<std::int32_t>{1, 2, 3, 4, 5, 6, 0, 0}));
  facts.pads_context = true;  // a row for each frame
  const RowSource padded = rows_of_codes("c", {2, 2, {1, 2, 3, 4}}, facts);
  EXPECT_EQ(padded.rows, 2);
  EXPECT_EQ(padded.ids[4], step::kZeroRow);
}

}  // namespace
}  // namespace ttsrt::executor
