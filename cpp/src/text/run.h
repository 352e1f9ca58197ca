// What tokenizers append to: the ids of one run, which is one text to them though it may have
// several parts, where each id comes from, and the characters that got none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ttsrt/text.h"

namespace ttsrt::text {

// How often each character was left out.
using Drops = std::map<char32_t, std::int64_t>;

class Run {
 public:
  explicit Run(Drops& drops) : drops_(&drops) {}

  // What follows is in code points of this text, which lives as long. `part_spans`: where they come
  // from in the given text; empty: in a row from `begin`.
  void begin_part(const std::u32string& text, const std::vector<TextSpan>& part_spans,
                  std::int32_t begin);

  void add(std::int32_t id, TextSpan span) {
    ids.push_back(id);
    this->spans.push_back(given(span));
  }
  // Counts the characters of the span, unless the last call was for the same ones.
  void drop(TextSpan span);

  // Puts an id at both ends.
  void surround(std::int32_t id);
  // An empty span where the text that was read so far ends.
  TextSpan end() const { return {end_, end_}; }

  std::vector<std::int32_t> ids;
  std::vector<TextSpan> spans;  // in the given text

 private:
  TextSpan given(TextSpan span) const;

  Drops* drops_;
  const std::u32string* text_ = nullptr;
  const std::vector<TextSpan>* part_spans_ = nullptr;
  std::int32_t part_begin_ = 0;
  std::int32_t begin_ = -1, end_ = 0;  // of the run, in the given text
  TextSpan last_drop_ = {-1, -1};
};

}  // namespace ttsrt::text
