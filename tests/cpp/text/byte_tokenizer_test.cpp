// Bytes as ids, the id that ends them, and special ids that a text may spell.
#include "support/errors.h"
#include "text/tokenizer_runs.h"

namespace ttsrt::text {
namespace {

using test::read;
using ttsrt::test::throws_naming;
using Ids = std::vector<std::int32_t>;

TextOptions special() {
  TextOptions options;
  options.special_text = true;
  return options;
}

TEST(ByteTokenizer, IdsAreBytesAndThree) {
  const auto bytes = make_byte_tokenizer("byt5");
  const test::Read made = read(*bytes, U"a\u00e4\U0001F600");
  EXPECT_EQ(made.ids, (Ids{100, 198, 167, 243, 162, 155, 131, 1}));
  EXPECT_EQ(made.spoken, 7);
  EXPECT_EQ(made.spans[2].begin, 1);  // both bytes of the second character
  EXPECT_EQ(made.spans[2].end, 2);
  EXPECT_EQ(made.spans.back().begin, 3);
  EXPECT_EQ(made.spans.back().end, 3);
  EXPECT_TRUE(made.dropped.empty());
  EXPECT_EQ(bytes->size(), 384);
  EXPECT_EQ(static_cast<std::int32_t>(bytes->tokens().size()), 384);
  EXPECT_EQ(bytes->pad(), 0);
  EXPECT_EQ(read(*bytes, U"").spoken, 0);
}

TEST(ByteTokenizer, SpecialsAreLettersUnlessAskedFor) {
  const auto bytes = make_byte_tokenizer("byt5");
  EXPECT_EQ(read(*bytes, U"<pad>").ids.size(), 6U);
  EXPECT_EQ(read(*bytes, U"<pad>", special()).ids, (Ids{0, 1}));
  EXPECT_EQ(read(*bytes, U"a <unk> b", special()).ids, (Ids{100, 2, 101, 1}));  // takes the spaces
  EXPECT_EQ(read(*bytes, U"<extra_id_0><extra_id_124>", special()).ids, (Ids{259, 383, 1}));
  EXPECT_EQ(read(*bytes, U"a</s>", special()).ids, (Ids{100, 1}));  // ends the text already
  for (const char32_t* text : {U"<extra_id_125>", U"<extra_id_01>", U"<extra_id_>", U"<extra_id_1"})
    EXPECT_EQ(read(*bytes, text, special()).ids.size(), std::u32string(text).size() + 1);
}

TEST(ByteTokenizer, HasNoPhonemes) {
  const auto bytes = make_byte_tokenizer("byt5");
  EXPECT_TRUE(throws_naming<ConfigError>("byt5", [&] { bytes->prepare({{"a", "b", false}}); }));
  EXPECT_TRUE(bytes->prepare({}).empty());
}

}  // namespace
}  // namespace ttsrt::text
