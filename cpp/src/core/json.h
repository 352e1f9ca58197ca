// Reads JSON from untrusted files: depth, duplicate keys, types and ranges are checked, and
// messages name file and field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ttsrt {

using Json = nlohmann::json;

constexpr std::size_t kMaxJson = std::size_t{16} << 20;  // bytes of a text

// Parses text in time and memory in proportion to its length. Throws FormatError naming `where` for
// broken JSON, a duplicate key, a key over 1024 bytes or with control characters, nesting over 16,
// more than 2^19 values, or more than kMaxJson bytes.
Json parse_json(std::string_view text, const std::string& where);

// Empties a value before it ends. The destructor of a Json with members asks for memory, and where
// there is none the process would end.
class JsonGuard {
 public:
  explicit JsonGuard(Json& json) : json_(&json) {}
  ~JsonGuard();
  JsonGuard(const JsonGuard&) = delete;
  JsonGuard& operator=(const JsonGuard&) = delete;

 private:
  Json* json_;
};

// Reads the fields of one object. The getters throw FormatError with messages such as "file:
// model.dim: expected ..., got ...".
class JsonReader {
 public:
  JsonReader(const Json& object, std::string where);

  bool has(const char* key) const;  // present and not null
  std::int64_t integer(const char* key, std::int64_t minimum, std::int64_t maximum) const;
  double number(const char* key, double minimum, double maximum) const;
  bool boolean(const char* key) const;
  std::string string(const char* key) const;  // a name: at most 200 bytes
  std::vector<std::int32_t> integers(const char* key, std::int64_t minimum, std::int64_t maximum,
                                     std::size_t max_count) const;
  JsonReader object(const char* key) const;
  const Json& value(const char* key) const;
  const std::string& where() const { return where_; }

  std::int32_t int32(const char* key, std::int64_t minimum, std::int64_t maximum) const {
    return static_cast<std::int32_t>(integer(key, minimum, maximum));
  }

 private:
  const Json* object_;
  std::string where_;
};

}  // namespace ttsrt
