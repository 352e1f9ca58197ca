#include "core/safetensors_writer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/safetensors.h"
#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

std::vector<std::byte> bytes_of(std::size_t count, int seed) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<std::byte>(i * 31 + static_cast<std::size_t>(seed));
  return bytes;
}

const std::vector<SafetensorsWriter::Entry> kEntries = {
    {"first", DType::float32, {3, 5}}, {"second", DType::bfloat16, {7}},
    {"scalar", DType::int64, {}},      {"none", DType::float16, {0, 4}},
    {"whole", DType::uint8, {64}},     {"last", DType::int8, {1}},
};
const std::vector<std::size_t> kSizes = {60, 14, 8, 0, 64, 1};

TEST(SafetensorsWriter, RoundTrips) {
  const test::TempDir folder;
  SafetensorsWriter writer(folder.file("a"), kEntries);
  for (std::size_t i = 0; i < kEntries.size(); ++i)
    writer.write(bytes_of(kSizes[i], static_cast<int>(i)).data(), kSizes[i]);
  writer.finish();

  const SafetensorsFile file(folder.file("a"));
  for (std::size_t i = 0; i < kEntries.size(); ++i) {
    const StoredTensor& stored = file.at(kEntries[i].name);
    EXPECT_EQ(stored.dtype, kEntries[i].dtype);
    EXPECT_EQ(stored.shape, kEntries[i].shape);
    ASSERT_EQ(stored.bytes, kSizes[i]);
    EXPECT_EQ(file.read(stored), bytes_of(kSizes[i], static_cast<int>(i)));
    EXPECT_EQ(stored.offset % 64, 0U) << stored.name;
  }
}

TEST(SafetensorsWriter, RequiresExactlyTheDeclaredTensors) {
  const test::TempDir folder;
  SafetensorsWriter writer(folder.file("a"), kEntries);
  const auto bytes = bytes_of(61, 0);
  EXPECT_THROW(writer.write(bytes.data(), 61), InternalError);
  EXPECT_TRUE(
      test::throws_naming<InternalError>("6 tensors were not written", [&] { writer.finish(); }));
  for (const std::size_t size : kSizes) writer.write(bytes_of(size, 0).data(), size);
  EXPECT_THROW(writer.write(bytes.data(), 0), InternalError);
  EXPECT_NO_THROW(writer.finish());
}

TEST(SafetensorsWriter, RefusesAPathItCannotWrite) {
  const test::TempDir folder;
  EXPECT_TRUE(test::throws_naming<ConfigError>(
      "can't be created", [&] { SafetensorsWriter(folder.file("no/such/folder"), kEntries); }));
}

}  // namespace
}  // namespace ttsrt
