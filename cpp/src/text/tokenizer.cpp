#include "text/tokenizer.h"

#include <utility>

#include "core/check.h"
#include "core/quote.h"
#include "text/normalize.h"
#include "text/unicode.h"

namespace ttsrt::text {
namespace {

constexpr char32_t kRightQuote = 0x2019, kOpeningQuotes = 0x201C, kClosingQuotes = 0x201D;

class ForeignTokenizer final : public Tokenizer {
 public:
  ForeignTokenizer(std::string name, std::string kind, std::vector<std::string> tokens)
      : Tokenizer(std::move(name)), kind_(std::move(kind)), tokens_(std::move(tokens)) {}

  const char* kind() const override { return kind_.c_str(); }
  std::vector<std::string> tokens() const override { return tokens_; }
  std::int32_t size() const override { return static_cast<std::int32_t>(tokens_.size()); }
  std::int32_t pad() const override {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i] == "<pad>") return static_cast<std::int32_t>(i);
    }
    return kNoId;
  }
  void encode(const std::u32string& /*text*/, const TextOptions& /*options*/,
              const Lexicon& /*lexicon*/, Run& /*run*/) const override {
    throw ConfigError(message("text: tokenizer ", name(), " is of the kind ", kind_,
                              ", which needs Python's front end; encode the text there and give ",
                              "text_ids"));
  }
  std::int64_t finish(Run& run) const override { return static_cast<std::int64_t>(run.ids.size()); }

 private:
  std::string kind_;
  std::vector<std::string> tokens_;
};

}  // namespace

Lexicon Tokenizer::prepare(const std::vector<LexiconEntry>& entries) const {
  if (!entries.empty()) refuse_phonemes("lexicon");
  return {};
}

void Tokenizer::encode_phonemes(const std::u32string& /*symbols*/, Run& /*run*/) const {
  refuse_phonemes("phonemes");
}

void Tokenizer::refuse_phonemes(const char* what) const {
  throw ConfigError(message(what, ": expected a tokenizer of the kind ipa, and ", name(),
                            " is of the kind ", kind(), ", which has no phonemes"));
}

std::unique_ptr<Tokenizer> make_foreign_tokenizer(std::string name, std::string kind,
                                                  std::vector<std::string> tokens) {
  return std::make_unique<ForeignTokenizer>(std::move(name), std::move(kind), std::move(tokens));
}

Traced without_accents(const Traced& text) {
  const Traced apart = nfd(text);
  Traced kept;
  for (std::size_t i = 0; i < apart.size(); ++i) {
    char32_t point = apart.points[i];
    if (is_nonspacing(point)) continue;
    if (point == kRightQuote) point = '\'';
    if (point == kOpeningQuotes || point == kClosingQuotes) point = '"';
    kept.append(point, apart.spans[i]);
  }
  return kept;
}

Traced composed(const Traced& text) {
  Traced made = nfc(text);
  for (char32_t& point : made.points) {
    if (point == kRightQuote) point = '\'';
  }
  return made;
}

}  // namespace ttsrt::text
