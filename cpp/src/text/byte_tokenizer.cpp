// Bytes of UTF-8 as ids, without any normal form. The original also reads its special ids where a
// text spells them; here only a call that asks for it does.
#include <algorithm>
#include <utility>

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace ttsrt::text {
namespace {

constexpr std::int32_t kPad = 0, kEnd = 1, kUnknown = 2;
constexpr std::int32_t kFirstByte = 3, kFirstExtra = 259, kNumExtra = 125;

// A special id that a text spells.
struct Special {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::int32_t id = kNoId;
  // Whether white space beside it belongs to it.
  bool takes_space() const { return id < kFirstByte; }
};

bool begins_with(const std::u32string& text, std::size_t at, std::u32string_view word) {
  return text.compare(at, word.size(), word) == 0;
}

// The special that a text spells at a "<"; its id is kNoId if there is none.
Special special_at(const std::u32string& text, std::size_t at) {
  const std::pair<std::u32string_view, std::int32_t> plain[] = {
      {U"<pad>", kPad}, {U"</s>", kEnd}, {U"<unk>", kUnknown}};
  for (const auto& [word, id] : plain) {
    if (begins_with(text, at, word)) return {at, at + word.size(), id};
  }
  constexpr std::u32string_view kExtra = U"<extra_id_";
  if (!begins_with(text, at, kExtra)) return {};
  const std::size_t begin = at + kExtra.size();
  std::size_t end = begin;
  std::int32_t number = 0;
  for (; end < text.size() && end < begin + 3 && text[end] >= '0' && text[end] <= '9'; ++end)
    number = number * 10 + static_cast<std::int32_t>(text[end] - '0');
  const bool is_number = end > begin && (text[begin] != '0' || end == begin + 1);
  if (!is_number || number >= kNumExtra || end == text.size() || text[end] != '>') return {};
  return {at, end + 1, kFirstExtra + number};
}

class ByteTokenizer final : public Tokenizer {
 public:
  using Tokenizer::Tokenizer;
  const char* kind() const override { return "bytes"; }
  std::int32_t size() const override { return kFirstExtra + kNumExtra; }
  std::int32_t pad() const override { return kPad; }

  std::vector<std::string> tokens() const override {
    std::vector<std::string> all = {"<pad>", "</s>", "<unk>"};
    for (char32_t byte = 0; byte < 256; ++byte) all.push_back(to_utf8(std::u32string(1, byte)));
    for (std::int32_t i = 0; i < kNumExtra; ++i)
      all.push_back("<extra_id_" + std::to_string(i) + ">");
    return all;
  }

  void encode(const std::u32string& text, const TextOptions& options, const Lexicon& /*lexicon*/,
              Run& run) const override {
    if (options.special_text) return encode_with_specials(text, run);
    encode_bytes(text, 0, text.size(), run);
  }

  std::int64_t finish(Run& run) const override {
    const auto spoken = static_cast<std::int64_t>(run.ids.size());
    if (run.ids.empty() || run.ids.back() != kEnd) {
      run.ids.push_back(kEnd);
      run.spans.push_back(run.end());
    }
    return spoken;
  }

 private:
  static void encode_bytes(const std::u32string& text, std::size_t begin, std::size_t end,
                           Run& run) {
    std::string bytes;
    for (std::size_t i = begin; i < end; ++i) {
      bytes.clear();
      append_utf8(text[i], bytes);
      const auto at = static_cast<std::int32_t>(i);
      for (const char byte : bytes)
        run.add(static_cast<std::uint8_t>(byte) + kFirstByte, {at, at + 1});
    }
  }

  static void encode_with_specials(const std::u32string& text, Run& run) {
    bool takes_left = false;  // whether the special before takes the space that follows it
    for (std::size_t at = 0; at < text.size();) {
      Special special = {text.size(), text.size(), kNoId};
      for (std::size_t i = at; i < text.size() && special.id == kNoId; ++i) {
        if (text[i] != '<') continue;
        const Special found = special_at(text, i);
        if (found.id != kNoId) special = found;
      }
      std::size_t begin = at, end = special.begin;
      if (takes_left) {
        while (begin < end && is_space(text[begin])) ++begin;
      }
      if (special.id != kNoId && special.takes_space()) {
        while (end > begin && is_space(text[end - 1])) --end;
      }
      encode_bytes(text, begin, end, run);
      if (special.id != kNoId)
        run.add(special.id,
                {static_cast<std::int32_t>(special.begin), static_cast<std::int32_t>(special.end)});
      takes_left = special.id != kNoId && special.takes_space();
      at = special.end;
    }
  }
};

}  // namespace

std::unique_ptr<Tokenizer> make_byte_tokenizer(std::string name) {
  return std::make_unique<ByteTokenizer>(std::move(name));
}

}  // namespace ttsrt::text
