#include "core/json.h"

#include <cmath>
#include <set>

#include "core/check.h"

namespace ttsrt {
namespace {

constexpr int kMaxDepth = 16;

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  std::vector<std::set<std::string>> open_keys;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    TTSRT_CHECK(FormatError, depth <= kMaxDepth, where, ": JSON nested deeper than ", kMaxDepth);
    if (event == Json::parse_event_t::object_start) open_keys.emplace_back();
    if (event == Json::parse_event_t::object_end) open_keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      TTSRT_CHECK(FormatError, open_keys.back().insert(key).second, where, ": \"", key,
                  "\" appears twice");
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& problem) {
    throw FormatError(message(where, ": not JSON: ", problem.what()));
  }
}

JsonReader::JsonReader(const Json& object, std::string where)
    : object_(&object), where_(std::move(where)) {
  TTSRT_CHECK(FormatError, object.is_object(), where_, ": expected an object, got ", shown(object));
}

bool JsonReader::has(const char* key) const {
  const auto found = object_->find(key);
  return found != object_->end() && !found->is_null();
}

const Json& JsonReader::value(const char* key) const {
  const auto found = object_->find(key);
  TTSRT_CHECK(FormatError, found != object_->end(), where_, ".", key, ": missing");
  return *found;
}

std::int64_t JsonReader::integer(const char* key, std::int64_t minimum,
                                 std::int64_t maximum) const {
  const Json& found = value(key);
  const bool fits = found.is_number_integer() &&
                    (!found.is_number_unsigned() || found.get<std::uint64_t>() <= INT64_MAX);
  TTSRT_CHECK(FormatError,
              fits && found.get<std::int64_t>() >= minimum && found.get<std::int64_t>() <= maximum,
              where_, ".", key, ": expected an integer in [", minimum, ", ", maximum, "], got ",
              shown(found));
  return found.get<std::int64_t>();
}

double JsonReader::number(const char* key, double minimum, double maximum) const {
  const Json& found = value(key);
  TTSRT_CHECK(FormatError,
              found.is_number() && found.get<double>() >= minimum && found.get<double>() <= maximum,
              where_, ".", key, ": expected a number in [", minimum, ", ", maximum, "], got ",
              shown(found));
  return found.get<double>();
}

bool JsonReader::boolean(const char* key) const {
  const Json& found = value(key);
  TTSRT_CHECK(FormatError, found.is_boolean(), where_, ".", key, ": expected true or false, got ",
              shown(found));
  return found.get<bool>();
}

std::string JsonReader::string(const char* key) const {
  const Json& found = value(key);
  TTSRT_CHECK(FormatError, found.is_string(), where_, ".", key, ": expected a string, got ",
              shown(found));
  return found.get<std::string>();
}

std::vector<std::int32_t> JsonReader::integers(const char* key, std::int64_t minimum,
                                               std::int64_t maximum, std::size_t max_count) const {
  const Json& found = value(key);
  TTSRT_CHECK(FormatError, found.is_array() && found.size() <= max_count, where_, ".", key,
              ": expected a list of at most ", max_count, " integers, got ", shown(found));
  std::vector<std::int32_t> result;
  for (const Json& item : found) {
    const bool fits = item.is_number_integer() && item >= minimum && item <= maximum;
    TTSRT_CHECK(FormatError, fits, where_, ".", key, ": expected integers in [", minimum, ", ",
                maximum, "], got ", shown(item));
    result.push_back(item.get<std::int32_t>());
  }
  return result;
}

JsonReader JsonReader::object(const char* key) const { return {value(key), where_ + "." + key}; }

}  // namespace ttsrt
