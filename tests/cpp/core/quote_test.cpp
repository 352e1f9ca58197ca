#include "core/quote.h"

#include <gtest/gtest.h>

namespace ttsrt {
namespace {

std::string times(std::size_t count, const std::string& text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

TEST(Quote, ShowsTextAsItIs) {
  EXPECT_EQ(in_quotes(""), "\"\"");
  EXPECT_EQ(in_quotes("decoder.norm"), "\"decoder.norm\"");
  EXPECT_EQ(clipped("été, 声, 🎙"), "été, 声, 🎙");
}

TEST(Quote, CountsCharactersAndCutsBetweenThem) {
  EXPECT_EQ(clipped(times(200, "a")), times(200, "a"));
  EXPECT_EQ(clipped(times(201, "a")), times(200, "a") + "...");
  EXPECT_EQ(clipped(times(1000000, "声")), times(200, "声") + "...");
  EXPECT_EQ(clipped("🎙🎙🎙", 2), "🎙🎙...");
}

TEST(Quote, EscapesWhatIsNoText) {
  EXPECT_EQ(clipped(std::string("a\0b\n\x7F", 5)), "a\\x00b\\x0a\\x7f");
  // A continuation alone, a character cut short, one too long, a surrogate, beyond Unicode.
  EXPECT_EQ(clipped("\x80"), "\\x80");
  EXPECT_EQ(clipped("\xE5\xA3"), "\\xe5\\xa3");
  EXPECT_EQ(clipped("\xC0\xAF"), "\\xc0\\xaf");
  EXPECT_EQ(clipped("\xE0\x80\xAF"), "\\xe0\\x80\\xaf");
  EXPECT_EQ(clipped("\xED\xA0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(clipped("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(clipped("\xF5"
                    "a"),
            "\\xf5"
            "a");
}

TEST(Quote, FindsControlCharacters) {
  EXPECT_FALSE(has_control_characters("plain text, 声"));
  EXPECT_TRUE(has_control_characters("two\nlines"));
  EXPECT_TRUE(has_control_characters(std::string("a\0", 2)));
  EXPECT_TRUE(has_control_characters("\x7F"));
}

}  // namespace
}  // namespace ttsrt
