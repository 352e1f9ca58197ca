#include "core/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace ttsrt {
namespace {

TEST(Utf8, FirstCharacters) {
  const struct {
    const char* text;
    std::uint32_t point;
    std::size_t bytes;
  } kCases[] = {{"a\xFF", 'a', 1},
                {"\xC2\x80", 0x80, 2},
                {"\xDF\xBF", 0x7FF, 2},
                {"\xE0\xA0\x80", 0x800, 3},
                {"\xED\x9F\xBF", 0xD7FF, 3},
                {"\xEE\x80\x80", 0xE000, 3},
                {"\xEF\xBF\xBF", 0xFFFF, 3},
                {"\xF0\x90\x80\x80", 0x10000, 4},
                {"\xF4\x8F\xBF\xBFz", 0x10FFFF, 4}};
  for (const auto& of : kCases) {
    const Utf8Character found = first_character(of.text);
    EXPECT_EQ(found.point, of.point);
    EXPECT_EQ(found.bytes, of.bytes);
  }
}

TEST(Utf8, WhatIsNoCharacter) {
  for (const char* text : {"", "\x80", "\xC1\xBF", "\xC2", "\xC2z", "\xE0\x9F\xBF", "\xE1\x80",
                           "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                           "\xF1\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_EQ(first_character(text).point, kNoCharacter) << text;
    EXPECT_EQ(first_character(text).bytes, 0U) << text;
  }
}

}  // namespace
}  // namespace ttsrt
