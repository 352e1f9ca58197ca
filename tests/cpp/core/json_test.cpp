#include "core/json.h"

#include <gtest/gtest.h>

#include <ctime>

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

TEST(ParseJson, SaysWhereTheTextBreaks) {
  EXPECT_TRUE(throws_naming<FormatError>("file: not JSON: parse error at line 2, column 1",
                                         [] { parse_json("{\n", "file"); }));
  EXPECT_TRUE(throws_naming<FormatError>("file: not JSON: number overflow",
                                         [] { parse_json("1e999", "file"); }));
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

// The cost of a text is in proportion to its length, and what could cost more is refused first.
TEST(ParseJson, BoundsItsCost) {
  std::string names = "{";
  for (int i = 0; i < 20000; ++i) {
    names += (i > 0 ? ",\"name" : "\"name") + std::to_string(i) +
             R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  names += "}";
  const std::clock_t begin = std::clock();
  EXPECT_EQ(parse_json(names, "file").size(), 20000U);
  EXPECT_LT(std::clock() - begin, 10 * CLOCKS_PER_SEC);  // optimized, it takes 0.05 s
  std::string lists = "[[]";
  for (int i = 0; i < (1 << 19); ++i) lists += ",[]";
  lists += "]";
  EXPECT_TRUE(
      throws_naming<FormatError>("at most 524288 values", [&] { parse_json(lists, "file"); }));
  EXPECT_TRUE(throws_naming<FormatError>(
      "at most 16777216 bytes", [] { parse_json(std::string(kMaxJson + 1, ' '), "file"); }));
}

TEST(ParseJson, RefusesNamesThatAreNone) {
  const auto refuses = [](const std::string& key, const char* part) {
    return throws_naming<FormatError>(part, [&] { parse_json("{\"" + key + "\": 1}", "file"); });
  };
  EXPECT_TRUE(refuses(std::string(1025, 'a'), "a name of at most 1024 bytes, got 1025"));
  EXPECT_TRUE(refuses("a\\u0000b", "file: \"a\\x00b\": expected a name without control"));
  EXPECT_TRUE(refuses("a\\nb", "without control characters"));
  EXPECT_TRUE(throws_naming<FormatError>("a byte of zero at offset 2",
                                         [] { parse_json(std::string("{}\0{}", 5), "file"); }));
}

TEST(ParseJson, QuotesLittle) {
  try {
    parse_json("\"" + std::string(1000000, 'x'), "file");
    ADD_FAILURE() << "a string without an end";
  } catch (const FormatError& problem) {
    EXPECT_LT(std::string(problem.what()).size(), 300U);
  }
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
  const Json texts = {{"long", std::string(201, 'x')}, {"lines", "a\nb"}};
  const JsonReader text(texts, "file");
  EXPECT_TRUE(throws_naming<FormatError>("file.long: expected a string of at most 200 bytes",
                                         [&] { text.string("long"); }));
  EXPECT_TRUE(throws_naming<FormatError>("a\\x0ab", [&] { text.string("lines"); }));
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
