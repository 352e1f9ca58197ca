#include "model/request_rows.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

TEST(RequestRows, VectorsKeepTheirValues) {
  const step::RowSource source = rows_of_vectors("x", {2, 3, {1, 2, 3, 4, 5, 6}}, 3, 4);
  EXPECT_EQ(source.input, step::Input::vectors);
  EXPECT_EQ(source.rows, 2);
  EXPECT_EQ(*source.vectors, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(source.ids, nullptr);
  EXPECT_EQ(source.position_table, -1);  // whoever makes a stop of them says which are added
}

TEST(RequestRows, VectorsAreCheckedByName) {
  EXPECT_TRUE(throws_naming<ConfigError>("mine: expected [1 to 4, 3], got [2, 2]", [] {
    rows_of_vectors("mine", {2, 2, {1, 2, 3, 4}}, 3, 4);
  }));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "got [5, 1]", [] { rows_of_vectors("mine", {5, 1, {1, 2, 3, 4, 5}}, 1, 4); }));
  EXPECT_TRUE(throws_naming<ConfigError>("mine: expected",
                                         [] { rows_of_vectors("mine", {2, 2, {1, 2, 3}}, 2, 4); }));
  EXPECT_TRUE(
      throws_naming<ConfigError>("mine: expected", [] { rows_of_vectors("mine", {}, 2, 4); }));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(throws_naming<ConfigError>("mine[1, 0]: expected a finite number", [nan] {
    rows_of_vectors("mine", {2, 2, {1, 2, nan, 4}}, 2, 4);
  }));
}

// An address that nothing here may read.
std::shared_ptr<const float> far_away(const std::shared_ptr<int>& owner) {
  return {owner, reinterpret_cast<const float*>(std::uintptr_t{0x1000})};
}

TEST(RequestRows, RowsOnAGpuStayWhereTheyAre) {
  const auto owner = std::make_shared<int>(1);
  {
    const step::RowSource source =
        rows_of_vectors("x", InputRows::on_gpu(0, far_away(owner), 4, 3), 3, 4);
    EXPECT_EQ(source.input, step::Input::vectors);
    EXPECT_EQ(source.rows, 4);
    EXPECT_EQ(source.vectors, nullptr);
    EXPECT_EQ(source.device_vectors, far_away(owner));
    EXPECT_EQ(source.device_width, 3);
    const step::RowSource part = slice(source, 1, 2);
    EXPECT_EQ(part.rows, 2);
    EXPECT_EQ(part.device_vectors.get() - source.device_vectors.get(), 3);
    EXPECT_EQ(owner.use_count(), 3);
  }
  EXPECT_EQ(owner.use_count(), 1);
  EXPECT_TRUE(throws_naming<ConfigError>("x: expected [1 to 4, 3], got [5, 3]", [&] {
    rows_of_vectors("x", InputRows::on_gpu(0, far_away(owner), 5, 3), 3, 4);
  }));
  InputRows both = InputRows::on_gpu(0, far_away(owner), 1, 1);
  both.values = {1.0F};
  EXPECT_THROW(rows_of_vectors("x", std::move(both), 1, 4), ConfigError);
}

TEST(RequestRows, APartOfASourceHasItsRowsAndPositions) {
  step::RowSource source = rows_of_vectors("x", {3, 2, {1, 2, 3, 4, 5, 6}}, 2, 4);
  source.first_position = 7;
  const step::RowSource part = slice(source, 1, 2);
  EXPECT_EQ(part.first_position, 8);
  EXPECT_EQ(*part.vectors, (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ(*slice(rows_of_ids("t", {4, 5, 6}, 10, 3), 2, 1).ids, std::vector<std::int32_t>{6});
}

TEST(RequestRows, IdsNameTheirTable) {
  const step::RowSource source = rows_of_ids("t", {0, 9}, 10, 2, 3);
  EXPECT_EQ(source.input, step::Input::ids);
  EXPECT_EQ(source.rows, 2);
  EXPECT_EQ(source.table, 3);
  EXPECT_EQ(source.ids_per_row, 1);
  EXPECT_EQ(*source.ids, (std::vector<std::int32_t>{0, 9}));
  EXPECT_EQ(source.vectors, nullptr);
}

TEST(RequestRows, IdsAreCheckedByName) {
  EXPECT_TRUE(throws_naming<ConfigError>("t[1]: expected an id in [0, 9], got 10",
                                         [] { rows_of_ids("t", {0, 10}, 10, 2); }));
  EXPECT_TRUE(
      throws_naming<ConfigError>("t[0]: expected an id", [] { rows_of_ids("t", {-1}, 10, 2); }));
  EXPECT_TRUE(throws_naming<ConfigError>("t: expected at most 2 ids, got 3",
                                         [] { rows_of_ids("t", {0, 1, 2}, 10, 2); }));
}

// Sizes that don't fit each other are a mistake, not an absence.
TEST(RequestRows, WhatIsntEmptyIsGiven) {
  EXPECT_FALSE(is_given(Matrix<float>{}));
  EXPECT_FALSE(is_given(Matrix<float>{0, 4, {}}));
  EXPECT_TRUE(is_given(Matrix<float>{2, 4, {}}));
  EXPECT_TRUE(is_given(Matrix<float>{0, 4, {1}}));
}

TEST(RequestRows, OptionsOfASpeakerAreRefused) {
  refuse_speaker_options(Request{});
  const auto refuses = [](const char* field, auto change) {
    Request request;
    change(request);
    return throws_naming<ConfigError>(field, [&request] { refuse_speaker_options(request); });
  };
  EXPECT_TRUE(refuses("emotion:", [](Request& of) { of.emotion = 0.5F; }));
  EXPECT_TRUE(refuses("analyze_alignment:", [](Request& of) { of.analyze_alignment = true; }));
  EXPECT_TRUE(refuses("mask_invalid:", [](Request& of) { of.mask_invalid = true; }));
}

}  // namespace
}  // namespace ttsrt::model
