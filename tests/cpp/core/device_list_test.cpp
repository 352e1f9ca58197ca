#include "core/device_list.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace ttsrt {
namespace {

using Names = std::vector<std::string>;

TEST(SplitDevices, NamesInTheirOrder) {
  EXPECT_EQ(split_devices("cpu", 0), Names{"cpu"});
  EXPECT_EQ(split_devices("cuda:1,cpu,cuda:1", 4), (Names{"cuda:1", "cpu", "cuda:1"}));
}

TEST(SplitDevices, EmptyNamesStay) {
  EXPECT_EQ(split_devices("", 0), Names{""});
  EXPECT_EQ(split_devices("cpu,", 0), (Names{"cpu", ""}));
  EXPECT_EQ(split_devices(",,", 0), (Names{"", "", ""}));
}

TEST(SplitDevices, AllStandsForEachOfThem) {
  EXPECT_EQ(split_devices("cuda:all", 3), (Names{"cuda:0", "cuda:1", "cuda:2"}));
  EXPECT_EQ(split_devices("cpu,cuda:all", 1), (Names{"cpu", "cuda:0"}));
  EXPECT_EQ(split_devices("cuda:all", 0), Names{"cuda:0"});  // whose absence has a reason
}

TEST(SplitDevices, ThereIsALimit) {
  std::string devices = "cpu";
  for (int i = 1; i < 64; ++i) devices += ",cpu";
  EXPECT_EQ(split_devices(devices, 0).size(), 64U);
  EXPECT_TRUE(test::throws_naming<ConfigError>("device: expected at most 64 devices",
                                               [&] { split_devices(devices + ",cpu", 0); }));
}

}  // namespace
}  // namespace ttsrt
