#include "model/limits.h"

#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/tiny_checkpoint.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

class LimitsTest : public ::testing::Test {
 protected:
  Limits resolve(const BuildOptions& options, std::int32_t voice_rows = 3) const {
    return resolve_limits(options, config_, voice_rows, 12);
  }

  ModelConfig config_ = read_model_config(JsonReader(test::tiny_config().at("model"), "model"));
};

TEST_F(LimitsTest, ZerosBecomeWhatTheModelCan) {
  const Limits limits = resolve({});
  EXPECT_EQ(limits.max_batch_size, 8);
  EXPECT_EQ(limits.max_input_len, 39);  // 40 positions, one of them for audio
  EXPECT_EQ(limits.max_seq_len, 40);
  EXPECT_EQ(limits.max_encoder_input_len, 40);
  EXPECT_EQ(limits.max_num_tokens, 512);
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
  EXPECT_EQ(read_limits(JsonReader(whole, "limits"), config_).max_seq_len, 40);
  for (const auto& [key, value] : whole.items()) {
    const std::int64_t beyond = key == "max_num_tokens"   ? (1 << 20) + 1
                                : key == "max_batch_size" ? 4097
                                                          : value.get<std::int64_t>() + 1;
    for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}, beyond}) {
      Json limits = whole;
      limits[key] = bad;
      EXPECT_TRUE(throws_naming<FormatError>(
          "limits." + key, [&] { read_limits(JsonReader(limits, "limits"), config_); }))
          << key << bad;
    }
  }
  Json limits = whole;
  limits["max_num_tokens"] = 39;  // the longest text wouldn't fit a launch
  EXPECT_THROW(read_limits(JsonReader(limits, "limits"), config_), FormatError);
}

}  // namespace
}  // namespace ttsrt::model
