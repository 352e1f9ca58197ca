#include "text/run.h"

#include <algorithm>

namespace ttsrt::text {

void Run::begin_part(const std::u32string& text, const std::vector<TextSpan>& part_spans,
                     std::int32_t begin) {
  text_ = &text;
  part_spans_ = &part_spans;
  part_begin_ = begin;
  last_drop_ = {-1, -1};
  const auto size = static_cast<std::int32_t>(text.size());
  const TextSpan whole = given({0, size});
  if (begin_ < 0) begin_ = whole.begin;
  end_ = std::max(end_, whole.end);
}

TextSpan Run::given(TextSpan span) const {
  if (part_spans_->empty()) return {part_begin_ + span.begin, part_begin_ + span.end};
  const auto& from = *part_spans_;
  const auto last = static_cast<std::int32_t>(from.size()) - 1;
  const TextSpan& first = from[static_cast<std::size_t>(std::min(span.begin, last))];
  if (span.begin >= span.end) return {first.begin, first.begin};
  return {first.begin, from[static_cast<std::size_t>(span.end - 1)].end};
}

void Run::drop(TextSpan span) {
  if (span.begin == last_drop_.begin && span.end == last_drop_.end) return;
  last_drop_ = span;
  for (std::int32_t i = span.begin; i < span.end; ++i)
    ++(*drops_)[(*text_)[static_cast<std::size_t>(i)]];
}

void Run::surround(std::int32_t id) {
  ids.insert(ids.begin(), id);
  spans.insert(spans.begin(), {std::max(begin_, 0), std::max(begin_, 0)});
  ids.push_back(id);
  spans.push_back(end());
}

}  // namespace ttsrt::text
