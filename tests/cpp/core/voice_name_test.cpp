#include "core/voice_name.h"

#include <gtest/gtest.h>

namespace ttsrt {
namespace {

std::string repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

TEST(VoiceName, LettersOfAnyScript) {
  for (const char* name :
       {"Aria", "a", "john.2_B-c", "...", "Zoë", "Łukasz", "Ирина", "小明", "あかり", "김하늘",
        "प्रिया", "ลลิตา", "عائشة", "Νίκος", "e\xCC\x81", "\xF0\xA0\x80\x80", "٣"}) {
    EXPECT_TRUE(is_voice_name(name)) << name;
  }
  EXPECT_TRUE(is_voice_name(repeated("x", 64)));
  EXPECT_TRUE(is_voice_name(repeated("明", 64)));
}

TEST(VoiceName, EverythingElse) {
  for (const char* name :
       {"",     ".",    "..",        "a b",     "a/b",    "a\\b",     "a:b",    "a\n",
        "\x01", "\x7F", "a\"b",      "a'b",     "$x",     "é!",       "\u00A0", "\u0085",
        "“x”",  "🙂",   "\u202Eabc", "\uFEFFx", "\u200B", "a\u2044b", "\uFF0F", "€"}) {
    EXPECT_FALSE(is_voice_name(name)) << name;
  }
  EXPECT_FALSE(is_voice_name(std::string("a\0b", 3)));
  EXPECT_FALSE(is_voice_name(repeated("x", 65)));
  EXPECT_FALSE(is_voice_name(repeated("明", 65)));
  EXPECT_FALSE(is_voice_name(repeated("x", 100'000'000)));
}

TEST(VoiceName, BytesThatAreNotUtf8) {
  for (const char* name :
       {"\x80", "\xC3", "\xC3(", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x80\x80\xAF",
        "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xFF", "abc\xE2\x82"}) {
    EXPECT_FALSE(is_voice_name(name)) << name;
  }
}

TEST(VoiceName, MessagesShowNamesSafelyAndShort) {
  EXPECT_EQ(shown_name("小明"), "\"小明\"");
  EXPECT_EQ(shown_name("a b\n\xFF"), "\"a b\\x0a\\xff\"");
  EXPECT_LT(shown_name(repeated("\n", 100'000)).size(), 300U);
}

}  // namespace
}  // namespace ttsrt
