#include "text/split.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "text/unicode.h"

namespace ttsrt::text {
namespace {

// About 20 seconds of speech, by the table of the original.
constexpr std::pair<std::string_view, std::int64_t> kThresholds[] = {
    {"en", 45}, {"es", 73},  {"fr", 69}, {"de", 50}, {"it", 53},
    {"vi", 50}, {"zh", 100}, {"hi", 50}, {"ja", 80}};
constexpr std::int64_t kOtherThreshold = 45;

// Words of a phrase that may be spoken in one chunk. Of languages that count characters, the same
// share of what makes a text long.
constexpr std::int64_t kPhraseWords = 35;

constexpr std::array<std::u32string_view, 14> kTitles = {U"mr",  U"mrs", U"ms",  U"dr",  U"prof",
                                                         U"sr",  U"jr",  U"rev", U"gov", U"gen",
                                                         U"col", U"lt",  U"sgt", U"capt"};
constexpr std::size_t kLongestTitle = 4;

bool counts_characters(const std::string& primary) { return primary == "zh" || primary == "ja"; }

bool is_western_end(char32_t point) { return point == '.' || point == '?' || point == '!'; }

// Ends a sentence without white space behind it.
bool is_special_end(char32_t point, const std::string& primary) {
  if (primary == "hi") return point == 0x964 || point == 0x965;  // danda, double danda
  return counts_characters(primary) &&
         std::u32string_view(U"。？！…").find(point) != std::u32string_view::npos;
}

Traced stripped(const Traced& text, std::size_t begin, std::size_t end) {
  while (begin < end && is_space(text.points[begin])) ++begin;
  while (end > begin && is_space(text.points[end - 1])) --end;
  return text.slice(begin, end);
}

// Whether the last word before `end`, not before `begin`, is a title, which a name follows.
bool is_title_before(const std::u32string& text, std::size_t begin, std::size_t end) {
  while (end > begin && is_space(text[end - 1])) --end;
  std::size_t word = end;
  while (word > begin && !is_space(text[word - 1])) {
    --word;
    if (end - word > kLongestTitle) return false;
  }
  const std::u32string small = lower(text.substr(word, end - word));
  return std::find(kTitles.begin(), kTitles.end(), small) != kTitles.end();
}

Traced with_capital(const Traced& sentence) {
  if (is_upper(sentence.points[0])) return sentence;
  Traced made = upper(sentence.slice(0, 1));
  const Traced rest = sentence.slice(1, sentence.size());
  made.points += rest.points;
  made.spans.insert(made.spans.end(), rest.spans.begin(), rest.spans.end());
  return made;
}

// The original reads hyphens as spaces and asterisks not at all, in long texts only.
Traced without_marks(const Traced& text) {
  Traced kept;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.points[i] == '*') continue;
    kept.append(text.points[i] == '-' ? U' ' : text.points[i], text.spans[i]);
  }
  return kept;
}

std::vector<Traced> sentences_of(const Traced& given, const std::string& primary) {
  const Traced text = without_marks(given);
  const std::u32string& points = text.points;
  std::vector<Traced> sentences;
  const auto add = [&](std::size_t begin, std::size_t end) {
    const Traced sentence = stripped(text, begin, end);
    if (!sentence.empty()) sentences.push_back(with_capital(sentence));
  };
  std::size_t begin = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const bool is_before_space = i + 1 < points.size() && is_space(points[i + 1]);
    const bool is_before_gap = i + 1 == points.size() || is_before_space;
    const bool ends =
        is_special_end(points[i], primary) || (is_western_end(points[i]) && is_before_gap);
    if (!ends || (points[i] == '.' && is_title_before(points, begin, i))) continue;
    add(begin, i + 1);
    begin = is_before_space ? i + 2 : i + 1;
  }
  if (begin < points.size()) add(begin, points.size());
  return sentences;
}

// Where a word, or a character of languages that count those, begins and ends.
using Word = std::pair<std::size_t, std::size_t>;

std::vector<Word> words_of(const std::u32string& text, const std::string& primary) {
  const bool is_by_character = counts_characters(primary);
  std::vector<Word> words;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_space(text[i])) continue;
    std::size_t end = i + 1;
    while (!is_by_character && end < text.size() && !is_space(text[end])) ++end;
    words.emplace_back(i, end);
    i = end - 1;
  }
  return words;
}

bool ends_phrase(char32_t point) {
  return std::u32string_view(U",;:，、；：،؛").find(point) != std::u32string_view::npos;
}

// Parts of at most so many words, which end with a phrase where one ends in time.
void add_phrases(const Traced& chunk, const std::string& primary, std::vector<Traced>& into) {
  const std::vector<Word> words = words_of(chunk.points, primary);
  const auto most = static_cast<std::size_t>(
      counts_characters(primary) ? kPhraseWords * long_text(primary) / kOtherThreshold
                                 : kPhraseWords);
  if (words.size() <= most) return into.push_back(chunk);
  for (std::size_t first = 0; first < words.size();) {
    std::size_t behind = std::min(first + most, words.size());
    if (behind < words.size()) {
      for (std::size_t i = behind; i > first; --i) {
        if (!ends_phrase(chunk.points[words[i - 1].second - 1])) continue;
        behind = i;
        break;
      }
    }
    into.push_back(chunk.slice(words[first].first, words[behind - 1].second));
    first = behind;
  }
}

}  // namespace

std::string primary_subtag(const std::string& language) {
  std::string primary = language.substr(0, language.find_first_of("-_"));
  for (char& letter : primary) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return primary;
}

std::int64_t count_words(const std::u32string& text, const std::string& language) {
  return static_cast<std::int64_t>(words_of(text, primary_subtag(language)).size());
}

std::int64_t long_text(const std::string& language) {
  const std::string primary = primary_subtag(language);
  for (const auto& [name, threshold] : kThresholds) {
    if (name == primary) return threshold;
  }
  return kOtherThreshold;
}

std::vector<Traced> split(const Traced& text, const std::string& language, TextSplit mode) {
  const std::string primary = primary_subtag(language);
  const bool is_long = count_words(text.points, primary) >= long_text(primary);
  const bool by_sentence = mode == TextSplit::sentences || (mode != TextSplit::never && is_long);
  std::vector<Traced> chunks;
  if (by_sentence) {
    chunks = sentences_of(text, primary);
  } else if (!text.empty()) {
    chunks.push_back(text);
  }
  if (mode != TextSplit::phrases) return chunks;
  std::vector<Traced> phrases;
  for (const Traced& chunk : chunks) add_phrases(chunk, primary, phrases);
  return phrases;
}

}  // namespace ttsrt::text
