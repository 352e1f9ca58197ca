#include "text/normalize.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "text/unicode.h"

namespace ttsrt::text {
namespace {

#include "text/unicode_decompositions.inl"

// Korean syllables are computed: a leading consonant, a vowel, and perhaps a trailing consonant.
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTrails = 0x11A7;
constexpr char32_t kNumLeads = 19, kNumVowels = 21, kNumTrails = 28;
constexpr char32_t kNumSyllables = kNumLeads * kNumVowels * kNumTrails;

// Below these, every text is in the form.
constexpr char32_t kFirstDecomposed = 0xC0, kFirstComposing = 0x300;

struct Pair {
  char32_t first = 0;
  char32_t second = 0;  // 0: the first alone
};

std::uint64_t key_of(char32_t first, char32_t second) {
  return (static_cast<std::uint64_t>(first) << 32) | second;
}

struct Tables {
  Tables() {
    char32_t code = 0;
    for (std::size_t at = 0; at + 2 < std::size(kDecompositions); at += 3) {
      const std::uint32_t gap = kDecompositions[at];
      const Pair pair = {kDecompositions[at + 1], kDecompositions[at + 2]};
      code += gap / 2;
      parts.emplace(code, pair);
      if ((gap & 1U) == 0) wholes.emplace(key_of(pair.first, pair.second), code);
      ++code;
    }
  }
  std::unordered_map<char32_t, Pair> parts;
  std::unordered_map<std::uint64_t, char32_t> wholes;
};

const Tables& tables() {
  static const Tables made;
  return made;
}

Pair parts_of(char32_t point) {
  if (point >= kSyllables && point < kSyllables + kNumSyllables) {
    const char32_t index = point - kSyllables;
    if (index % kNumTrails != 0) return {point - index % kNumTrails, kTrails + index % kNumTrails};
    return {kLeads + index / (kNumVowels * kNumTrails), kVowels + index / kNumTrails % kNumVowels};
  }
  const auto found = tables().parts.find(point);
  return found == tables().parts.end() ? Pair{} : found->second;
}

// What the two become; 0: nothing.
char32_t whole_of(char32_t first, char32_t second) {
  if (second < kFirstComposing) return 0;
  const bool is_vowel = second >= kVowels && second < kVowels + kNumVowels;
  if (first >= kLeads && first < kLeads + kNumLeads && is_vowel)
    return kSyllables + ((first - kLeads) * kNumVowels + (second - kVowels)) * kNumTrails;
  const bool is_open = first >= kSyllables && first < kSyllables + kNumSyllables &&
                       (first - kSyllables) % kNumTrails == 0;
  if (is_open && second > kTrails && second < kTrails + kNumTrails)
    return first + (second - kTrails);
  const auto found = tables().wholes.find(key_of(first, second));
  return found == tables().wholes.end() ? 0 : found->second;
}

// The parts of a character, and theirs: the first of a pair may have parts again, the second
// hasn't.
void decompose(char32_t point, TextSpan span, Traced& into) {
  std::array<char32_t, 8> seconds{};
  std::size_t count = 0;
  if (point >= kFirstDecomposed) {
    for (Pair pair = parts_of(point); pair.first != 0; pair = parts_of(point)) {
      point = pair.first;
      if (pair.second != 0 && count < seconds.size()) seconds[count++] = pair.second;
    }
  }
  into.append(point, span);
  while (count > 0) into.append(seconds[--count], span);
}

// Sorts the marks from begin to end by their classes, equal ones as they are. Linear, however long
// the run is.
void sort_marks(Traced& text, std::size_t begin, std::size_t end) {
  std::array<std::size_t, 257> places{};
  for (std::size_t i = begin; i < end; ++i) ++places[combining_class(text.points[i]) + 1U];
  for (std::size_t i = 1; i < places.size(); ++i) places[i] += places[i - 1];
  const Traced given = text.slice(begin, end);
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::size_t to = begin + places[combining_class(given.points[i])]++;
    text.points[to] = given.points[i];
    text.spans[to] = given.spans[i];
  }
}

void order_marks(Traced& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t begin = i;
    std::uint8_t last = 0;
    bool is_sorted = true;
    for (; i < text.size(); ++i) {
      if (text.points[i] < kFirstComposing) break;
      const std::uint8_t of = combining_class(text.points[i]);
      if (of == 0) break;
      is_sorted = is_sorted && last <= of;
      last = of;
    }
    if (!is_sorted) sort_marks(text, begin, i);
  }
}

void compose(Traced& text) {
  std::size_t to = 0, starter = 0;
  bool has_starter = false;
  std::int32_t last = -1;  // class of what is kept behind the starter; -1: nothing is
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t point = text.points[i];
    const TextSpan span = text.spans[i];
    const std::int32_t of = point < kFirstComposing ? 0 : combining_class(point);
    const char32_t whole = has_starter && last < of ? whole_of(text.points[starter], point) : 0;
    if (whole != 0) {
      TextSpan& joined = text.spans[starter];
      text.points[starter] = whole;
      joined = {std::min(joined.begin, span.begin), std::max(joined.end, span.end)};
      continue;
    }
    if (of == 0) {
      starter = to;
      has_starter = true;
    }
    last = of == 0 ? -1 : of;
    text.points[to] = point;
    text.spans[to++] = span;
  }
  text.points.resize(to);
  text.spans.resize(to);
}

bool has_from(const std::u32string& text, char32_t first) {
  return std::any_of(text.begin(), text.end(), [first](char32_t of) { return of >= first; });
}

}  // namespace

Traced nfd(const Traced& text) {
  if (!has_from(text.points, kFirstDecomposed)) return text;
  Traced made;
  made.points.reserve(text.size());
  made.spans.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) decompose(text.points[i], text.spans[i], made);
  order_marks(made);
  return made;
}

Traced nfc(const Traced& text) {
  if (!has_from(text.points, kFirstComposing)) return text;
  Traced made = nfd(text);
  compose(made);
  return made;
}

std::u32string nfc(const std::u32string& text) {
  return has_from(text, kFirstComposing) ? nfc(trace(text)).points : text;
}

}  // namespace ttsrt::text
