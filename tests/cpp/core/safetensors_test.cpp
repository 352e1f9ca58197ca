// Attacks on the reader: whatever a file states, reading it gives tensors inside the file or a
// FormatError.
#include "core/safetensors.h"

#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/temp_dir.h"

namespace ttsrt {
namespace {

using test::throws_naming;

std::string length_prefix(std::uint64_t length) {
  std::string prefix;
  for (int i = 0; i < 8; ++i) prefix += static_cast<char>(length >> (8 * i) & 0xFF);
  return prefix;
}

std::string file_of(const std::string& header, std::size_t body_bytes) {
  return length_prefix(header.size()) + header + std::string(body_bytes, 'x');
}

// Reads every byte of every tensor.
int sum_of(const SafetensorsFile& file) {
  int sum = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    EXPECT_EQ(tensor.bytes, static_cast<std::size_t>(tensor.elements()) * size_of(tensor.dtype));
    for (const std::byte value : file.read(tensor)) sum += static_cast<int>(value);
  }
  return sum;
}

const char kTwo[] =
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";

class Attack : public ::testing::Test {
 protected:
  void open(const std::string& contents) {
    test::write_file(folder_.file("a"), contents);
    sum_of(SafetensorsFile(folder_.file("a")));
  }
  ::testing::AssertionResult refuses(const std::string& header, std::size_t body_bytes,
                                     const std::string& part) {
    return throws_naming<FormatError>(part, [&] { open(file_of(header, body_bytes)); });
  }
  static std::string entry(const std::string& dtype, const std::string& shape,
                           const std::string& offsets) {
    return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
           "}}";
  }

  test::TempDir folder_;
};

TEST_F(Attack, AValidFileOpens) {
  EXPECT_NO_THROW(open(file_of(kTwo, 11)));
  const SafetensorsFile file(folder_.file("a"));
  EXPECT_TRUE(file.has("a"));
  EXPECT_FALSE(file.has("c"));
  EXPECT_EQ(file.at("b").bytes, 3U);
  EXPECT_TRUE(throws_naming<FormatError>("c: missing", [&] { file.at("c"); }));
  EXPECT_NO_THROW(open(file_of("{}", 0)));
  EXPECT_NO_THROW(open(file_of(R"({"__metadata__":{"made":"by hand"}})", 0)));
}

TEST_F(Attack, TruncatedAtEveryLength) {
  const std::string whole = file_of(kTwo, 11);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROW(open(whole.substr(0, length)), FormatError) << length;
  }
}

TEST_F(Attack, EachHeaderByteFlipped) {
  const std::string whole = file_of(kTwo, 11);
  for (std::size_t at = 0; at < whole.size() - 11; ++at) {
    for (const int mask : {0x01, 0x02, 0x04, 0x10, 0x20, 0x80, 0xFF}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ mask);
      EXPECT_TRUE(test::survives([&] { open(broken); })) << at << " ^ " << mask;
    }
  }
}

TEST_F(Attack, EachHeaderByteGone) {
  for (std::size_t at = 0; at + 1 < sizeof(kTwo); ++at) {
    std::string header = kTwo;
    header.erase(at, 1);
    EXPECT_TRUE(test::survives([&] { open(file_of(header, 11)); })) << at;
  }
}

TEST_F(Attack, HugeHeaders) {
  EXPECT_TRUE(
      throws_naming<FormatError>("header", [&] { open(length_prefix(UINT64_MAX) + "{}"); }));
  EXPECT_TRUE(throws_naming<FormatError>("header", [&] { open(length_prefix(3) + "{}"); }));
  EXPECT_TRUE(throws_naming<FormatError>(
      "header", [&] { open(length_prefix(std::uint64_t{1} << 63) + "{}"); }));
  EXPECT_TRUE(refuses(std::string(4096, '['), 0, "deeper"));
  EXPECT_TRUE(refuses("[]", 0, "expected an object"));
  EXPECT_TRUE(refuses("", 0, "not JSON"));
}

TEST_F(Attack, LargeHeadersAreRefusedUnread) {
  test::write_file(folder_.file("a"), length_prefix(95U << 20) + "{");
  std::filesystem::resize_file(folder_.file("a"), 8 + (95U << 20));
  EXPECT_TRUE(throws_naming<FormatError>("header: expected at most 16777216 bytes, got 99614720",
                                         [&] { SafetensorsFile file(folder_.file("a")); }));
  const std::string name(201, 'n');
  EXPECT_TRUE(refuses("{\"" + name + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0,
                      "expected a name of at most 200 bytes, got 201"));
}

TEST_F(Attack, OverlapsGapsAndTrailingBytes) {
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  EXPECT_NO_THROW(open(file_of(two("[0,4]", "[4,8]"), 8)));
  EXPECT_NO_THROW(open(file_of(two("[4,8]", "[0,4]"), 8)));
  EXPECT_TRUE(refuses(two("[0,4]", "[2,6]"), 6, "overlap"));
  EXPECT_TRUE(refuses(two("[0,4]", "[0,4]"), 4, "overlap"));
  EXPECT_TRUE(refuses(two("[0,4]", "[5,9]"), 9, "hole"));
  EXPECT_TRUE(refuses(two("[1,5]", "[5,9]"), 9, "hole"));
  EXPECT_TRUE(refuses(two("[0,4]", "[4,8]"), 9, "behind the last"));
  EXPECT_TRUE(refuses("{}", 1, "behind the last"));
}

TEST_F(Attack, Offsets) {
  const char* shape = "[4]";
  for (const char* offsets :
       {"[0,5]", "[4,0]", "[0,18446744073709551615]", "[18446744073709551612,0]", "[-4,0]", "[0]",
        "[0,4,8]", "[0.0,4.0]", "[\"0\",\"4\"]", "null", "4",
        "[18446744073709551614,18446744073709551615]"}) {
    EXPECT_TRUE(refuses(entry("\"U8\"", shape, offsets), 4, "a")) << offsets;
  }
  EXPECT_TRUE(refuses(R"({"a":{"dtype":"U8","shape":[4]}})", 4, "data_offsets: missing"));
}

TEST_F(Attack, Shapes) {
  for (const char* shape :
       {"[5]", "[-4]", "[4.0]", "[\"4\"]", "4", "null", "[1,1,1,1,1,1,1,1,4]",
        "[18446744073709551615]", "[4294967296,4294967296]", "[1099511627776,1099511627776]",
        "[2305843009213693952,8]", "[1048577,1048576]", "[1099511627777]"}) {
    EXPECT_TRUE(refuses(entry("\"U8\"", shape, "[0,4]"), 4, "a")) << shape;
  }
  EXPECT_NO_THROW(open(file_of(entry("\"U8\"", "[]", "[0,1]"), 1)));
  EXPECT_NO_THROW(open(file_of(entry("\"U8\"", "[0,1099511627776]", "[0,0]"), 0)));
}

TEST_F(Attack, Types) {
  for (const char* dtype : {"\"F64\"", "\"f32\"", "\"\"", "4", "null", "[]"}) {
    EXPECT_TRUE(refuses(entry(dtype, "[4]", "[0,4]"), 4, "dtype")) << dtype;
  }
  EXPECT_TRUE(
      refuses(entry("\"F32\"", "[4]", "[0,4]"), 4, "expected 16 bytes by its shape, got 4"));
  EXPECT_TRUE(refuses(R"({"a":5})", 0, "expected an object"));
  EXPECT_TRUE(refuses(
      R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
      0, "appears twice"));
}

TEST(SafetensorsNames, EveryTypeHasOne) {
  EXPECT_STREQ(safetensors_name_of(DType::bfloat16), "BF16");
  EXPECT_STREQ(safetensors_name_of(DType::int64), "I64");
  // A value without a name. NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange)
  EXPECT_THROW(safetensors_name_of(static_cast<DType>(99)), InternalError);
}

}  // namespace
}  // namespace ttsrt
