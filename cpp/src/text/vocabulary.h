// The symbols of one tokenizer and their ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ttsrt::text {

constexpr std::int32_t kNoId = -1;

// Where a symbol for nothing stands, which models for speech recognition need.
enum class BlankPlace : std::int32_t { none, before_oov, last };

class Vocabulary {
 public:
  Vocabulary() = default;
  // Symbols in the order of their ids, before what every vocabulary ends with: "<pad>", "<oov>" and
  // perhaps "<blank>". Of two equal symbols the later one counts.
  Vocabulary(std::vector<std::string> symbols, BlankPlace blank);

  // kNoId: there is none.
  std::int32_t find(std::string_view symbol) const;
  std::int32_t find(char32_t symbol) const;
  // The symbol that is the prefix and one code point.
  std::int32_t find_spelled(char32_t letter) const;
  void set_prefix(const std::string& prefix);

  const std::vector<std::string>& tokens() const { return tokens_; }
  std::int32_t pad() const { return pad_; }
  std::int32_t space() const { return find(U' '); }

 private:
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<char32_t, std::int32_t> points_;   // of symbols of one code point
  std::unordered_map<char32_t, std::int32_t> spelled_;  // of letters behind the prefix
  std::int32_t pad_ = kNoId;
};

}  // namespace ttsrt::text
