#include "text/vocabulary.h"

#include <utility>

#include "core/utf8.h"

namespace ttsrt::text {
namespace {

// Ids of the symbols that are `prefix` and one code point.
std::unordered_map<char32_t, std::int32_t> points_behind(
    const std::string& prefix, const std::unordered_map<std::string, std::int32_t>& ids) {
  std::unordered_map<char32_t, std::int32_t> points;
  for (const auto& [symbol, id] : ids) {
    if (symbol.compare(0, prefix.size(), prefix) != 0) continue;
    const std::string_view rest = std::string_view(symbol).substr(prefix.size());
    const Utf8Character first = first_character(rest);
    if (first.bytes > 0 && first.bytes == rest.size()) points[first.point] = id;
  }
  return points;
}

std::int32_t value_of(const std::unordered_map<char32_t, std::int32_t>& ids, char32_t point) {
  const auto found = ids.find(point);
  return found == ids.end() ? kNoId : found->second;
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> symbols, BlankPlace blank)
    : tokens_(std::move(symbols)) {
  pad_ = static_cast<std::int32_t>(tokens_.size());
  tokens_.emplace_back("<pad>");
  if (blank == BlankPlace::before_oov) tokens_.emplace_back("<blank>");
  tokens_.emplace_back("<oov>");
  if (blank == BlankPlace::last) tokens_.emplace_back("<blank>");
  for (std::size_t i = 0; i < tokens_.size(); ++i) ids_[tokens_[i]] = static_cast<std::int32_t>(i);
  points_ = points_behind("", ids_);
  spelled_ = points_;
}

std::int32_t Vocabulary::find(std::string_view symbol) const {
  const auto found = ids_.find(std::string(symbol));
  return found == ids_.end() ? kNoId : found->second;
}

std::int32_t Vocabulary::find(char32_t symbol) const { return value_of(points_, symbol); }

std::int32_t Vocabulary::find_spelled(char32_t letter) const { return value_of(spelled_, letter); }

void Vocabulary::set_prefix(const std::string& prefix) { spelled_ = points_behind(prefix, ids_); }

}  // namespace ttsrt::text
