// Characters as ids: those of a list and some punctuation, in runs of spaces one.
#include <unordered_set>
#include <utility>

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace ttsrt::text {
namespace {

std::vector<std::string> symbols_of(const CharOptions& options) {
  std::vector<std::string> symbols = {" "};
  symbols.insert(symbols.end(), options.characters.begin(), options.characters.end());
  if (options.apostrophe) symbols.emplace_back("'");
  symbols.insert(symbols.end(), options.punctuation.begin(), options.punctuation.end());
  return symbols;
}

class CharTokenizer final : public Tokenizer {
 public:
  CharTokenizer(std::string name, const CharOptions& options)
      : Tokenizer(std::move(name)),
        vocabulary_(symbols_of(options), options.blank),
        preparation_(options.preparation),
        only_alphanumeric_(options.only_alphanumeric),
        pads_(options.pad_with_space),
        space_(vocabulary_.space()) {
    for (const std::string& symbol : options.punctuation) {
      std::u32string points;
      if (decode_utf8(symbol, points) == kIsUtf8 && points.size() == 1)
        punctuation_.insert(points[0]);
    }
  }

  const char* kind() const override { return "chars"; }
  std::vector<std::string> tokens() const override { return vocabulary_.tokens(); }
  std::int32_t size() const override {
    return static_cast<std::int32_t>(vocabulary_.tokens().size());
  }
  std::int32_t pad() const override { return vocabulary_.pad(); }

  void encode(const std::u32string& text, const TextOptions& /*options*/,
              const Lexicon& /*lexicon*/, Run& run) const override {
    const Traced prepared = prepare_text(text);
    for (std::size_t i = 0; i < prepared.size(); ++i) {
      const char32_t point = prepared.points[i];
      const TextSpan span = prepared.spans[i];
      if (point == ' ') {
        if (!run.ids.empty() && run.ids.back() != space_) run.add(space_, span);
        continue;
      }
      const std::int32_t id = vocabulary_.find(point);
      if (id != kNoId && is_taken(point)) {
        run.add(id, span);
      } else {
        run.drop(span);
      }
    }
  }

  std::int64_t finish(Run& run) const override {
    while (!run.ids.empty() && run.ids.back() == space_) {
      run.ids.pop_back();
      run.spans.pop_back();
    }
    const auto spoken = static_cast<std::int64_t>(run.ids.size());
    if (pads_) run.surround(space_);
    return spoken;
  }

 private:
  Traced prepare_text(const std::u32string& text) const {
    if (preparation_ == Preparation::nfc) return composed(trace(text));
    if (preparation_ == Preparation::lower) return lower(trace(text));
    return lower(without_accents(trace(text)));
  }

  bool is_taken(char32_t point) const {
    if (!only_alphanumeric_ || point == '\'' || is_alphanumeric(point)) return true;
    return punctuation_.count(point) != 0;
  }

  Vocabulary vocabulary_;
  Preparation preparation_;
  bool only_alphanumeric_;
  bool pads_;
  std::int32_t space_;
  std::unordered_set<char32_t> punctuation_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_char_tokenizer(std::string name, const CharOptions& options) {
  return std::make_unique<CharTokenizer>(std::move(name), options);
}

}  // namespace ttsrt::text
