// Fields as bytes: what is written is read, and nothing else is.
#include "common/fields.h"

#include <gtest/gtest.h>

#include <random>

#include "samples.h"
#include "ttsrt/error.h"

namespace ttsrt::plugins::test {
namespace {

TEST(PluginFields, BytesGiveTheSameFields) {
  for (const Sample& sample : samples()) {
    const auto bytes = to_bytes(sample.fields);
    EXPECT_EQ(from_bytes("test", bytes.data(), bytes.size()), sample.fields) << sample.kind;
  }
}

TEST(PluginFields, ShorterAndLongerBytesAreRefused) {
  const auto bytes = to_bytes(samples().front().fields);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(from_bytes("test", bytes.data(), size), FormatError) << size;
  auto longer = bytes;
  longer.push_back({});
  EXPECT_THROW(from_bytes("test", longer.data(), longer.size()), FormatError);
  EXPECT_THROW(from_bytes("test", nullptr, 8), FormatError);
}

// Every change of a byte is refused, or gives other fields: it never reads outside or fails in
// another way.
TEST(PluginFields, DamagedBytesAreRefusedOrReadAsFields) {
  const auto bytes = to_bytes(sample_of("LocalTransformer", "in_order").fields);
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    auto damaged = bytes;
    for (int change = 0; change < 3; ++change)
      damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    try {
      from_bytes("test", damaged.data(), damaged.size());
    } catch (const FormatError&) {
    }
  }
}

TEST(PluginFields, AnotherPluginsBytesAreRefusedByName) {
  const std::string bytes = "ABCDEFGHIJKLMNOP";
  try {
    from_bytes("FinishStep", reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
    ADD_FAILURE() << "it was read";
  } catch (const FormatError& error) {
    EXPECT_STREQ(error.what(),
                 "FinishStep: the plugin's part of the plan: it is not one of these plugins");
  }
}

}  // namespace
}  // namespace ttsrt::plugins::test
