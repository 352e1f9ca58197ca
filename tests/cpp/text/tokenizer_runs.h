// Runs one tokenizer over a text, as a front end does.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace ttsrt::test {

struct Read {
  std::vector<std::int32_t> ids;
  std::vector<TextSpan> spans;
  std::map<char32_t, std::int64_t> dropped;
  std::int64_t spoken = 0;
};

inline Read read(const text::Tokenizer& tokenizer, const std::u32string& from,
                 const TextOptions& options = {}, const text::Lexicon& lexicon = {}) {
  Read made;
  text::Run run(made.dropped);
  const std::vector<TextSpan> in_a_row;
  run.begin_part(from, in_a_row, 0);
  tokenizer.encode(from, options, lexicon, run);
  made.spoken = tokenizer.finish(run);
  made.ids = run.ids;
  made.spans = run.spans;
  return made;
}

// The symbols of ids, joined.
inline std::string said(const text::Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  const std::vector<std::string> tokens = tokenizer.tokens();
  std::string all;
  for (const std::int32_t id : ids) all += tokens.at(static_cast<std::size_t>(id));
  return all;
}

}  // namespace ttsrt::test
