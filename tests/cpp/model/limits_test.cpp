#include "model/limits.h"

#include <gtest/gtest.h>

#include "core/json.h"
#include "support/errors.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

class LimitsTest : public ::testing::Test {
 protected:
  Limits resolve(const BuildOptions& options) const { return resolve_limits(options, bounds_); }

  // 40 positions, a text of at most 40, voices of 3 rows, 12 steps.
  const LimitBounds bounds_ = {.most_positions = 40,
                               .most_input = 39,
                               .most_text = 40,
                               .least_input = 3,
                               .input_takes_positions = true,
                               .usual_steps = 13};
};

TEST_F(LimitsTest, ZerosBecomeWhatTheModelCan) {
  const Limits limits = resolve({});
  EXPECT_EQ(limits.max_batch_size, 8);
  EXPECT_EQ(limits.max_input_len, 39);  // 40 positions, one of them for audio
  EXPECT_EQ(limits.max_seq_len, 40);
  EXPECT_EQ(limits.max_encoder_input_len, 40);
  EXPECT_EQ(limits.max_num_tokens, 512);
}

TEST(WholeItemLimits, TextAndContextAreShorterThanTheItem) {
  const LimitBounds bounds = {.most_positions = 4000,
                              .most_input = 3999,
                              .most_text = 3999,
                              .usual_input = 3000,
                              .usual_text = 2999,
                              .usual_steps = 3000,
                              .item_branches = 2};
  BuildOptions options;
  EXPECT_EQ(resolve_limits(options, bounds).max_encoder_input_len, 2999);
  EXPECT_EQ(resolve_limits(options, bounds).max_input_len, 2999);
  options.max_seq_len = 100;
  EXPECT_EQ(resolve_limits(options, bounds).max_input_len, 99);
  EXPECT_EQ(least_tokens(resolve_limits(options, bounds), bounds), 200);
  EXPECT_EQ(resolve_limits(options, bounds).max_encoder_input_len, 99);
  options.max_seq_len = 1;
  EXPECT_EQ(resolve_limits(options, bounds).max_encoder_input_len, 1);
  options.max_seq_len = 100;
  options.max_input_len = 300;
  EXPECT_EQ(resolve_limits(options, bounds).max_input_len, 300);
  options.max_encoder_input_len = 200;
  EXPECT_EQ(resolve_limits(options, bounds).max_encoder_input_len, 200);
}

TEST_F(LimitsTest, AskedOnesAreTaken) {
  BuildOptions options;
  options.max_batch_size = 30;
  options.max_seq_len = 20;
  options.max_input_len = 5;
  options.max_encoder_input_len = 7;
  options.max_num_tokens = 60;
  const Limits limits = resolve(options);
  EXPECT_EQ(limits.max_batch_size, 30);
  EXPECT_EQ(limits.max_seq_len, 20);
  EXPECT_EQ(limits.max_input_len, 5);
  EXPECT_EQ(limits.max_encoder_input_len, 7);
  EXPECT_EQ(limits.max_num_tokens, 60);
}

TEST_F(LimitsTest, RefusesByName) {
  struct Case {
    const char* name;
    std::int32_t BuildOptions::* field;
    std::int32_t most;
  };
  const Case cases[] = {{"max_batch_size", &BuildOptions::max_batch_size, 4096},
                        {"max_seq_len", &BuildOptions::max_seq_len, 40},
                        {"max_input_len", &BuildOptions::max_input_len, 39},
                        {"max_encoder_input_len", &BuildOptions::max_encoder_input_len, 40},
                        {"max_num_tokens", &BuildOptions::max_num_tokens, 1 << 20}};
  for (const Case& of : cases) {
    for (const std::int32_t bad : {-1, of.most + 1, INT32_MAX}) {
      BuildOptions options;
      options.*of.field = bad;
      EXPECT_TRUE(throws_naming<ConfigError>(of.name, [&] { resolve(options); }))
          << of.name << " " << bad;
    }
  }
  BuildOptions options;
  options.max_input_len = 2;
  EXPECT_TRUE(throws_naming<ConfigError>("3 rows of the stored voices", [&] { resolve(options); }));
  options = {};
  options.max_seq_len = 3;  // a voice fits, but no speech behind it
  EXPECT_TRUE(throws_naming<ConfigError>("max_seq_len: expected more than the 3 rows",
                                         [&] { resolve(options); }));
  options.max_seq_len = 4;
  EXPECT_NO_THROW(resolve(options));
  options = {};
  options.max_num_tokens = 39;
  EXPECT_TRUE(throws_naming<ConfigError>("max_num_tokens: expected at least 40",
                                         [&] { resolve(options); }));
}

TEST_F(LimitsTest, StoredOnesStayInsideTheModel) {
  const Json whole = {{"max_batch_size", 2},
                      {"max_seq_len", 40},
                      {"max_input_len", 39},
                      {"max_encoder_input_len", 40},
                      {"max_num_tokens", 40}};
  EXPECT_EQ(read_limits(JsonReader(whole, "limits"), bounds_).max_seq_len, 40);
  for (const auto& [key, value] : whole.items()) {
    const std::int64_t beyond = key == "max_num_tokens"   ? (1 << 20) + 1
                                : key == "max_batch_size" ? 4097
                                                          : value.get<std::int64_t>() + 1;
    for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}, beyond}) {
      Json limits = whole;
      limits[key] = bad;
      EXPECT_TRUE(throws_naming<FormatError>(
          "limits." + key, [&] { read_limits(JsonReader(limits, "limits"), bounds_); }))
          << key << bad;
    }
  }
  Json voices = whole;
  voices["max_input_len"] = 2;  // a stored voice has 3 rows
  EXPECT_THROW(read_limits(JsonReader(voices, "limits"), bounds_), FormatError);
  Json limits = whole;
  limits["max_num_tokens"] = 39;  // the longest text wouldn't fit a launch
  EXPECT_THROW(read_limits(JsonReader(limits, "limits"), bounds_), FormatError);
}

TEST_F(LimitsTest, AModelWithoutTextOrContext) {
  const LimitBounds bounds = {
      .most_positions = 100, .most_input = 0, .most_text = 0, .least_input = 1, .usual_steps = 20};
  const Limits limits = resolve_limits({}, bounds);
  EXPECT_EQ(limits.max_seq_len, 20);
  EXPECT_EQ(limits.max_input_len, 0);
  EXPECT_EQ(limits.max_encoder_input_len, 0);
  const Json stored = {{"max_batch_size", 8},
                       {"max_seq_len", 20},
                       {"max_input_len", 0},
                       {"max_encoder_input_len", 0},
                       {"max_num_tokens", 512}};
  EXPECT_EQ(read_limits(JsonReader(stored, "limits"), bounds).max_seq_len, 20);
  BuildOptions options;
  options.max_encoder_input_len = 1;
  EXPECT_TRUE(throws_naming<ConfigError>("max_encoder_input_len: expected 0",
                                         [&] { resolve_limits(options, bounds); }));
}

}  // namespace
}  // namespace ttsrt::model
