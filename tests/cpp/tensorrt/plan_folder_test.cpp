#include "tensorrt/plan_folder.h"

#include <gtest/gtest.h>

#include "core/json.h"
#include "support/errors.h"
#include "support/temp_dir.h"
#include "tensorrt/build_plans.h"

namespace ttsrt::tensorrt {
namespace {

using ttsrt::test::TempDir;
using ttsrt::test::throws_naming;

PlanDescription sample() {
  PlanDescription made;
  made.tensorrt = "8.6.0";
  made.plugins = "1";
  made.gpu = "NVIDIA H100 80GB HBM3";
  made.capability = 90;
  made.weights = std::string(64, 'a');
  made.max_batch_size = 8;
  made.max_num_tokens = 512;
  made.cache_dtype = "float32";
  made.plans.push_back(
      {"decode", false, "decode.plan", std::string(64, 'b'), 3, 100, {{1, 2, 8}, {9, 16, 16}}});
  made.plans.push_back(
      {"decode", true, "decode.taps.plan", std::string(64, 'c'), 4, 100, {{1, 2, 16}}});
  return made;
}

class PlanFolder : public testing::Test {
 protected:
  void write(const std::string& text) {
    std::filesystem::create_directories(engine() + "/tensorrt/plans");
    ttsrt::test::write_file(engine() + "/tensorrt/plans.json", text);
  }
  std::string engine() const { return folder_.file("engine"); }

  TempDir folder_;
};

TEST_F(PlanFolder, ReadsWhatItWrites) {
  write(to_json(sample()));
  const PlanDescription read = read_plans(engine());
  EXPECT_EQ(to_json(read), to_json(sample()));
  EXPECT_EQ(read.major(), 8);
  EXPECT_EQ(read.find("decode", true)->file, "decode.taps.plan");
  EXPECT_EQ(read.find("prefill", false), nullptr);
  EXPECT_EQ(read.find("decode", false)->ranges, sample().plans[0].ranges);
}

TEST_F(PlanFolder, SaysHowToBuildPlans) {
  EXPECT_TRUE(throws_naming<NotFoundError>("ttsrt build --backend tensorrt",
                                           [&] { read_plans(engine()); }));
}

TEST_F(PlanFolder, RefusesWhatItDoesNotWrite) {
  const auto refuses = [&](const char* key, const Json& value, const std::string& part) {
    Json json = Json::parse(to_json(sample()));
    json[key] = value;
    write(json.dump());
    EXPECT_TRUE(throws_naming<FormatError>(part, [&] { read_plans(engine()); })) << key;
  };
  refuses("format", "ttsrt.engine", ".format: expected \"ttsrt.tensorrt\"");
  refuses("format_version", 1, ".format_version: expected 2, got 1; build the plans again");
  refuses("plans", "none", ".plans: expected a list");
  Json plan = Json::parse(to_json(sample()))["plans"][0];
  plan["file"] = "../../weights.safetensors";
  refuses("plans", Json::array({plan}), ".file: expected the name of a file");
  plan["file"] = "decode.plan";
  plan["ranges"] = Json::array();
  refuses("plans", Json::array({plan}), ".ranges: expected one at least");
}

TEST_F(PlanFolder, ReadsAPlanOfTheSizeThatIsSaid) {
  write(to_json(sample()));
  ttsrt::test::write_file(engine() + "/tensorrt/plans/decode.plan", "abc");
  ttsrt::test::write_file(engine() + "/tensorrt/plans/decode.taps.plan", "abc");
  EXPECT_EQ(read_plan(engine(), sample().plans[0]).size(), 3U);
  EXPECT_TRUE(throws_naming<FormatError>("expected 4 bytes",
                                         [&] { read_plan(engine(), sample().plans[1]); }));
}

TEST(RowRanges, FewRowsOfStepsAreApart) {
  ops::ProgramLimits limits;
  limits.max_rows = 512;
  EXPECT_EQ(row_ranges(limits, 0), (std::vector<RowRange>{{1, 128, 512}}));
  EXPECT_EQ(row_ranges(limits, 300), (std::vector<RowRange>{{1, 300, 512}}));
  limits.max_rows = 20;
  EXPECT_EQ(row_ranges(limits, 0), (std::vector<RowRange>{{1, 20, 20}}));
  limits.max_rows = 4096;
  EXPECT_EQ(row_ranges(limits, 0, true), (std::vector<RowRange>{{1, 2048, 4096}}));
  EXPECT_EQ(row_ranges(limits, 900, true), (std::vector<RowRange>{{1, 900, 4096}}));
  limits.max_draws = 64;
  limits.max_rows = 128;
  EXPECT_EQ(row_ranges(limits, 0), (std::vector<RowRange>{{1, 2, 8}, {9, 128, 128}}));
  limits.max_rows = 1;
  EXPECT_EQ(row_ranges(limits, 0), (std::vector<RowRange>{{1, 1, 1}}));
}

}  // namespace
}  // namespace ttsrt::tensorrt
