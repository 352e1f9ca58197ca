#include "model/manifest.h"

#include <gtest/gtest.h>

#include "core/safetensors_writer.h"
#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

class ManifestTest : public ::testing::Test {
 protected:
  ManifestTest() {
    manifest_.begin("decoder");
    manifest_.add(Role::matrix, "matrix", {3, 2});
    manifest_.begin("voices");
    manifest_.add_data("voices", {2, kAnySize, 4}, DType::float32);
    manifest_.add_data("lengths", {2}, DType::int32);
  }

  SafetensorsFile file(const std::vector<SafetensorsWriter::Entry>& entries) const {
    const std::string path = folder_.file("model.safetensors");
    SafetensorsWriter writer(path, entries);
    for (const SafetensorsWriter::Entry& entry : entries) {
      std::size_t bytes = size_of(entry.dtype);
      for (const std::int64_t size : entry.shape) bytes *= static_cast<std::size_t>(size);
      writer.write(std::vector<std::byte>(bytes).data(), bytes);
    }
    writer.finish();
    return SafetensorsFile(path);
  }

  Manifest manifest_;
  const SafetensorsWriter::Entry matrix_ = {"matrix", DType::bfloat16, {3, 2}};
  const SafetensorsWriter::Entry voices_ = {"voices", DType::float32, {2, 7, 4}};
  const SafetensorsWriter::Entry lengths_ = {"lengths", DType::int32, {2}};

 private:
  test::TempDir folder_;
};

TEST_F(ManifestTest, FindsAndLists) {
  EXPECT_EQ(manifest_.components(), (std::vector<std::string>{"decoder", "voices"}));
  ASSERT_NE(manifest_.find("lengths"), nullptr);
  EXPECT_EQ(manifest_.find("lengths")->component, "voices");
  EXPECT_EQ(manifest_.find("lengths")->role, Role::data);
  EXPECT_EQ(manifest_.find("nothing"), nullptr);
  EXPECT_STREQ(name_of(Role::table), "table");
  EXPECT_STREQ(name_of(Role::data), "data");
  EXPECT_FALSE(is_product(Role::vector));
}

TEST_F(ManifestTest, SizesThatOnlyTheFileKnows) {
  manifest_.fill_sizes(file({matrix_, voices_, lengths_}));
  EXPECT_EQ(manifest_.find("voices")->shape, (std::vector<std::int64_t>{2, 7, 4}));
  EXPECT_NO_THROW(manifest_.check(file({matrix_, voices_, lengths_})));
}

TEST_F(ManifestTest, SizesThatDontFit) {
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{2, 7, 5}, {3, 7, 4}, {2, 28}, {2, 7, 4, 1}}) {
    EXPECT_TRUE(throws_naming<FormatError>("voices: expected [2, any, 4], got [", [&] {
      manifest_.fill_sizes(file({matrix_, {"voices", DType::float32, shape}, lengths_}));
    }));
  }
  EXPECT_TRUE(throws_naming<FormatError>("voices: missing",
                                         [&] { manifest_.fill_sizes(file({matrix_, lengths_})); }));
}

TEST_F(ManifestTest, ACheckpointIsChecked) {
  EXPECT_TRUE(throws_naming<FormatError>("matrix: expected [3, 2], got [2, 3]", [&] {
    manifest_.check(file({{"matrix", DType::bfloat16, {2, 3}}, voices_, lengths_}));
  }));
  EXPECT_TRUE(throws_naming<FormatError>("lengths: missing",
                                         [&] { manifest_.check(file({matrix_, voices_})); }));
  EXPECT_TRUE(throws_naming<FormatError>("lengths: expected int32, got float32", [&] {
    manifest_.check(file({matrix_, voices_, {"lengths", DType::float32, {2}}}));
  }));
}

}  // namespace
}  // namespace ttsrt::model
