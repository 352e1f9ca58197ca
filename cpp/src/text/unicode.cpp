#include "text/unicode.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <unordered_map>
#include <vector>

namespace ttsrt::text {
namespace {

#include "text/unicode_properties.inl"

// Codes from first to last, each one or every second one, with a value that they have.
struct Run {
  char32_t first = 0;
  char32_t last = 0;
  char32_t step = 1;
  std::int32_t value = 0;
};

// A table of runs, unpacked when it is first used; ASCII is looked up directly.
class Runs {
 public:
  template <std::size_t Count>
  Runs(const std::uint32_t (&numbers)[Count], bool has_values) {
    char32_t behind = 0;
    for (std::size_t at = 0; at + 1 < Count;) {
      Run run;
      run.first = behind + numbers[at++];
      run.step = (numbers[at] & 1U) + 1;
      run.last = run.first + run.step * (numbers[at++] / 2 - 1);
      run.value = 1;
      if (has_values) {
        const std::uint32_t folded = numbers[at++];
        run.value = static_cast<std::int32_t>(folded / 2);
        if ((folded & 1U) != 0) run.value = -run.value - 1;
      }
      behind = run.last + 1;
      runs_.push_back(run);
    }
    for (char32_t point = 0; point < ascii_.size(); ++point) ascii_[point] = search(point);
  }

  // The value of a code; 0: it is in no run.
  std::int32_t of(char32_t point) const {
    return point < ascii_.size() ? ascii_[point] : search(point);
  }

 private:
  std::int32_t search(char32_t point) const {
    const auto behind =
        std::upper_bound(runs_.begin(), runs_.end(), point,
                         [](char32_t code, const Run& run) { return code < run.first; });
    if (behind == runs_.begin()) return 0;
    const Run& run = *(behind - 1);
    const bool is_in = point <= run.last && (point - run.first) % run.step == 0;
    return is_in ? run.value : 0;
  }

  std::vector<Run> runs_;
  std::array<std::int32_t, 128> ascii_{};
};

// The characters that become several.
class Several {
 public:
  template <std::size_t Count>
  explicit Several(const std::uint32_t (&numbers)[Count]) {
    for (std::size_t at = 0; at + 1 < Count;) {
      std::u32string& become = become_[numbers[at++]];
      for (std::uint32_t left = numbers[at++]; left > 0; --left) become += numbers[at++];
    }
  }
  const std::u32string* find(char32_t point) const {
    if (point < 0x80) return nullptr;
    const auto found = become_.find(point);
    return found == become_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<char32_t, std::u32string> become_;
};

bool is_cased(char32_t point) { return is_upper(point) || is_lower(point) || is_title(point); }

// Whether a capital sigma at `at` ends a word: letters are before it and none behind it. Characters
// without case of their own, such as accents, are looked through.
bool is_final_sigma(const std::u32string& text, std::size_t at) {
  std::size_t before = at;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  std::size_t behind = at + 1;
  while (behind < text.size() && is_case_ignorable(text[behind])) ++behind;
  return behind == text.size() || !is_cased(text[behind]);
}

constexpr char32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2;

// Calls append(code, index of the character it is made of) for the text in the other case.
template <typename Append>
void append_upper(const std::u32string& text, Append append) {
  static const Runs one(kUpperCase, true);
  static const Several several(kUpperCaseSeveral);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (const std::u32string* become = several.find(text[i])) {
      for (const char32_t point : *become) append(point, i);
    } else {
      append(static_cast<char32_t>(static_cast<std::int32_t>(text[i]) + one.of(text[i])), i);
    }
  }
}

template <typename Append>
void append_lower(const std::u32string& text, Append append) {
  static const Runs one(kLowerCase, true);
  static const Several several(kLowerCaseSeveral);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == kCapitalSigma && is_final_sigma(text, i)) {
      append(kFinalSigma, i);
    } else if (const std::u32string* become = several.find(text[i])) {
      for (const char32_t point : *become) append(point, i);
    } else {
      append(static_cast<char32_t>(static_cast<std::int32_t>(text[i]) + one.of(text[i])), i);
    }
  }
}

}  // namespace

bool is_nonspacing(char32_t point) {
  static const Runs runs(kNonspacing, false);
  return runs.of(point) != 0;
}
bool is_decimal(char32_t point) {
  static const Runs runs(kDecimal, false);
  return runs.of(point) != 0;
}
bool is_alphanumeric(char32_t point) {
  static const Runs runs(kAlphanumeric, false);
  return runs.of(point) != 0;
}
bool is_space(char32_t point) {
  static const Runs runs(kSpace, false);
  return runs.of(point) != 0;
}
bool is_upper(char32_t point) {
  static const Runs runs(kUpper, false);
  return runs.of(point) != 0;
}
bool is_lower(char32_t point) {
  static const Runs runs(kLower, false);
  return runs.of(point) != 0;
}
bool is_title(char32_t point) {
  static const Runs runs(kTitle, false);
  return runs.of(point) != 0;
}
bool is_case_ignorable(char32_t point) {
  static const Runs runs(kCaseIgnorable, false);
  return runs.of(point) != 0;
}
std::uint8_t combining_class(char32_t point) {
  static const Runs runs(kCombiningClass, true);
  return static_cast<std::uint8_t>(runs.of(point));
}

Traced upper(const Traced& text) {
  Traced made;
  append_upper(text.points,
               [&](char32_t point, std::size_t from) { made.append(point, text.spans[from]); });
  return made;
}
Traced lower(const Traced& text) {
  Traced made;
  append_lower(text.points,
               [&](char32_t point, std::size_t from) { made.append(point, text.spans[from]); });
  return made;
}
std::u32string upper(const std::u32string& text) {
  std::u32string made;
  append_upper(text, [&](char32_t point, std::size_t /*from*/) { made += point; });
  return made;
}
std::u32string lower(const std::u32string& text) {
  std::u32string made;
  append_lower(text, [&](char32_t point, std::size_t /*from*/) { made += point; });
  return made;
}

bool is_upper(const std::u32string& text) {
  bool has_upper = false;
  for (const char32_t point : text) {
    if (is_lower(point) || is_title(point)) return false;
    has_upper = has_upper || is_upper(point);
  }
  return has_upper;
}

std::u32string right_stripped(const std::u32string& text) {
  std::size_t end = text.size();
  while (end > 0 && is_space(text[end - 1])) --end;
  return text.substr(0, end);
}

std::u32string stripped(const std::u32string& text) {
  std::size_t begin = 0;
  while (begin < text.size() && is_space(text[begin])) ++begin;
  return right_stripped(text.substr(begin));
}

}  // namespace ttsrt::text
