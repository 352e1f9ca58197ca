// Every code point has the properties that Python's unicodedata and str give it. The hashes in
// tests/data/text/unicode.json are of Python's own answers (scripts/make_unicode_tables.py).
#include "text/unicode.h"

#include <gtest/gtest.h>

#include "core/sha256.h"
#include "text/golden.h"
#include "text/normalize.h"

namespace ttsrt::text {
namespace {

std::string hash_of(const std::string& lines) {
  return sha256_hex(reinterpret_cast<const std::byte*>(lines.data()), lines.size());
}

std::string expected(const std::string& name) {
  static const Json digests = test::read_json(test::text_data("unicode.json"));
  return digests.at(name);
}

template <typename Line>
std::string for_each_code(Line line) {
  std::string lines;
  for (char32_t point = 0; point < 0x110000; ++point) {
    if (point >= 0xD800 && point < 0xE000) continue;
    lines += line(point) + "\n";
  }
  return hash_of(lines);
}

// The strings of scripts/make_unicode_tables.py.
template <typename Convert>
std::string for_each_string(Convert convert) {
  const std::pair<std::uint32_t, std::uint32_t> blocks[] = {
      {0x41, 0x180},    {0x300, 0x370},     {0x370, 0x400},     {0x591, 0x600},    {0x64B, 0x660},
      {0x900, 0xE00},   {0x1100, 0x1200},   {0x1E00, 0x2000},   {0x3040, 0x3100},  {0xAC00, 0xAC80},
      {0xFB00, 0xFB50}, {0x11080, 0x11400}, {0x1D15E, 0x1D1C0}, {0x2F800, 0x2F820}};
  std::string lines;
  std::uint64_t state = 1;
  for (int i = 0; i < 40000; ++i) {
    std::u32string text;
    for (int j = 0; j < 8; ++j) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      const auto& [begin, end] = blocks[(state >> 33) % std::size(blocks)];
      text += static_cast<char32_t>(begin + (state >> 40) % (end - begin));
    }
    lines += to_utf8(convert(text)) + "\n";
  }
  return hash_of(lines);
}

TEST(Unicode, PropertiesOfEveryCode) {
  const std::pair<const char*, bool (*)(char32_t)> all[] = {{"nonspacing", is_nonspacing},
                                                            {"decimal", is_decimal},
                                                            {"alphanumeric", is_alphanumeric},
                                                            {"space", is_space},
                                                            {"upper", is_upper},
                                                            {"lower", is_lower},
                                                            {"title", is_title},
                                                            {"case_ignorable", is_case_ignorable}};
  for (const auto& [name, holds] : all) {
    const auto line = [of = holds](char32_t point) { return std::string(of(point) ? "1" : "0"); };
    EXPECT_EQ(for_each_code(line), expected(name)) << name;
  }
  EXPECT_EQ(for_each_code([](char32_t point) { return std::to_string(combining_class(point)); }),
            expected("combining_class"));
}

TEST(Unicode, ConversionsOfEveryCodeAndOfStrings) {
  using Text = std::u32string;
  const std::pair<const char*, Text (*)(const Text&)> all[] = {
      {"upper", [](const Text& text) { return upper(text); }},
      {"lower", [](const Text& text) { return lower(text); }},
      {"nfc", [](const Text& text) { return nfc(text); }},
      {"nfd", [](const Text& text) { return nfd(trace(text)).points; }}};
  for (const auto& [name, convert] : all) {
    const auto line = [of = convert](char32_t point) { return to_utf8(of(Text(1, point))); };
    EXPECT_EQ(for_each_code(line), expected(std::string(name) + "_of_code")) << name;
    EXPECT_EQ(for_each_string(convert), expected(std::string(name) + "_of_string")) << name;
  }
}

TEST(Unicode, WhatBecomesSeveralCharactersKeepsItsPlace) {
  const Traced made = upper(trace(U"aßb"));
  EXPECT_EQ(made.points, U"ASSB");
  EXPECT_EQ(made.spans[1].begin, 1);
  EXPECT_EQ(made.spans[2].begin, 1);
  EXPECT_EQ(made.spans[3].begin, 2);
}

TEST(Unicode, AllLettersOfACapitalWordAreCapital) {
  EXPECT_TRUE(is_upper(U"WEG-1"));
  EXPECT_FALSE(is_upper(U"Weg"));
  EXPECT_FALSE(is_upper(U"12"));
  EXPECT_FALSE(is_upper(U"ǅ"));
}

TEST(Unicode, StripsTheWhiteSpaceOfPython) {
  EXPECT_EQ(stripped(U" \t\x1c\u00a0\u3000"), U"");
  EXPECT_EQ(stripped(U"\u2003a b\n"), U"a b");
  EXPECT_EQ(right_stripped(U" a\u200b\u2028"), U" a\u200b");
}

}  // namespace
}  // namespace ttsrt::text
