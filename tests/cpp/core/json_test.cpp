#include "core/json.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace ttsrt {
namespace {

using test::throws_naming;

std::string nested(int depth, const std::string& inside) {
  const auto times = static_cast<std::size_t>(depth);
  return std::string(times, '[') + inside + std::string(times, ']');
}

TEST(ParseJson, ParsesValidJson) {
  const Json json = parse_json(R"({"a": [1, 2.5, "x", null, true], "b": {"a": 1}})", "file");
  EXPECT_EQ(json.at("a").size(), 5U);
  EXPECT_EQ(json.at("b").at("a"), 1);
}

TEST(ParseJson, RefusesInvalidJson) {
  for (const char* text : {"", "{", "{]", "nope", "{\"a\": }", "{\"a\": 1,}", "[1] [2]", "1e999",
                           "{\"a\": NaN}", "\"\xFF\""}) {
    EXPECT_TRUE(throws_naming<FormatError>("file: not JSON", [&] { parse_json(text, "file"); }))
        << text;
  }
}

TEST(ParseJson, BoundsTheNesting) {
  EXPECT_NO_THROW(parse_json(nested(16, "1"), "file"));
  EXPECT_TRUE(
      throws_naming<FormatError>("deeper than 16", [] { parse_json(nested(17, "1"), "file"); }));
  EXPECT_TRUE(throws_naming<FormatError>("deeper than 16",
                                         [] { parse_json(std::string(1000000, '['), "file"); }));
  std::string objects;
  for (int i = 0; i < 40; ++i) objects += "{\"a\":";
  EXPECT_TRUE(throws_naming<FormatError>("deeper than 16", [&] { parse_json(objects, "file"); }));
}

TEST(ParseJson, RefusesADuplicateKey) {
  EXPECT_TRUE(throws_naming<FormatError>(
      "\"a\" appears twice", [] { parse_json(R"({"a": 1, "b": 2, "a": 3})", "file"); }));
  EXPECT_TRUE(throws_naming<FormatError>(
      "\"x\" appears twice", [] { parse_json(R"({"a": [{"x": 1, "x": 2}]})", "file"); }));
  EXPECT_NO_THROW(
      parse_json(R"({"a": {"x": 1}, "b": {"x": 1}, "c": [{"x": 1}, {"x": 1}]})", "file"));
}

class Reader : public ::testing::Test {
 protected:
  const Json json_ = parse_json(
      R"({"int": 7, "negative": -3, "huge": 18446744073709551615, "beyond": 9223372036854775808,
                                    "real": 1.5, "text": "hi", "flag": true, "none": null, "list": [1, 2, 3],
                                    "mixed": [1, "x"], "wrapped": [18446744073709551615], "object": {"inner": 1}})",
      "file");
  const JsonReader reader_{json_, "file"};
};

TEST_F(Reader, ReadsEachType) {
  EXPECT_EQ(reader_.integer("int", 7, 7), 7);
  EXPECT_EQ(reader_.int32("negative", -3, 0), -3);
  EXPECT_EQ(reader_.number("real", 1.5, 1.5), 1.5);
  EXPECT_EQ(reader_.number("int", 0.0, 10.0), 7.0);
  EXPECT_EQ(reader_.string("text"), "hi");
  EXPECT_TRUE(reader_.boolean("flag"));
  EXPECT_EQ(reader_.integers("list", 1, 3, 3), (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(reader_.object("object").integer("inner", 0, 1), 1);
  EXPECT_EQ(reader_.object("object").where(), "file.object");
}

TEST_F(Reader, KnowsWhichFieldsExist) {
  EXPECT_TRUE(reader_.has("int"));
  EXPECT_FALSE(reader_.has("none"));
  EXPECT_FALSE(reader_.has("absent"));
  EXPECT_TRUE(
      throws_naming<FormatError>("file.absent: missing", [&] { reader_.string("absent"); }));
}

TEST_F(Reader, RefusesIntegersOutOfRange) {
  EXPECT_TRUE(throws_naming<FormatError>("file.int: expected an integer in [8, 9], got 7",
                                         [&] { reader_.integer("int", 8, 9); }));
  EXPECT_THROW(reader_.integer("int", 0, 6), FormatError);
  EXPECT_THROW(reader_.integer("negative", 0, 6), FormatError);
  EXPECT_THROW(reader_.integer("huge", INT64_MIN, INT64_MAX), FormatError);
  EXPECT_THROW(reader_.integer("beyond", INT64_MIN, INT64_MAX), FormatError);
  for (const char* key : {"real", "text", "flag", "none", "list", "object"}) {
    EXPECT_TRUE(throws_naming<FormatError>(key, [&] { reader_.integer(key, -1000, 1000); })) << key;
  }
}

TEST_F(Reader, RefusesNumbersOutOfRange) {
  EXPECT_THROW(reader_.number("real", 1.6, 2.0), FormatError);
  EXPECT_THROW(reader_.number("real", 0.0, 1.4), FormatError);
  for (const char* key : {"text", "flag", "none", "list"})
    EXPECT_THROW(reader_.number(key, -1e9, 1e9), FormatError) << key;
}

TEST_F(Reader, RefusesOtherTypes) {
  EXPECT_THROW(reader_.boolean("int"), FormatError);
  EXPECT_THROW(reader_.string("int"), FormatError);
  EXPECT_THROW(reader_.object("list"), FormatError);
  EXPECT_TRUE(throws_naming<FormatError>("file: expected an object, got [1]", [] {
    const Json list = Json::array({1});
    JsonReader(list, "file");
  }));
}

TEST_F(Reader, RefusesListsOutOfRange) {
  EXPECT_THROW(reader_.integers("list", 1, 3, 2), FormatError);  // too many
  EXPECT_THROW(reader_.integers("list", 2, 3, 3), FormatError);
  EXPECT_THROW(reader_.integers("list", 1, 2, 3), FormatError);
  EXPECT_THROW(reader_.integers("mixed", 0, 9, 9), FormatError);
  EXPECT_THROW(reader_.integers("wrapped", 0, INT32_MAX, 9), FormatError);
  EXPECT_THROW(reader_.integers("int", 0, 9, 9), FormatError);
}

}  // namespace
}  // namespace ttsrt
