#include "core/json.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt {
namespace {

constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMaxValues = std::size_t{1} << 19;
constexpr std::size_t kMaxKey = 1024;    // bytes
constexpr std::size_t kMaxString = 200;  // bytes of a string that is a name
constexpr std::size_t kMaxShown = 60;    // characters of a value in a message

std::string shown(const Json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>(), kMaxShown);
  if (value.is_structured() && value.size() > kMaxShown)
    return message(value.is_array() ? "a list" : "an object", " of ", value.size());
  return clipped(value.dump(-1, ' ', true, Json::error_handler_t::replace), kMaxShown);
}

// From the inside outwards, so that no destructor finds members.
void empty(Json& value) noexcept {
  if (auto* list = value.get_ptr<Json::array_t*>()) {
    for (Json& item : *list) empty(item);
    list->clear();
  } else if (auto* object = value.get_ptr<Json::object_t*>()) {
    for (auto& [key, item] : *object) empty(item);
    object->clear();
  }
}

// Makes a value of the parser's events, and checks its bounds on the way: memory and time stay in
// proportion to the text.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const std::string& where) : where_(where) {}
  ~Builder() override { empty(root_); }

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr) != nullptr; }
  bool boolean(bool value) override { return add(value) != nullptr; }
  bool number_integer(Json::number_integer_t value) override { return add(value) != nullptr; }
  bool number_unsigned(Json::number_unsigned_t value) override { return add(value) != nullptr; }
  bool number_float(Json::number_float_t value, const std::string& /*text*/) override {
    return add(value) != nullptr;
  }
  bool string(std::string& value) override { return add(std::move(value)) != nullptr; }
  bool binary(Json::binary_t& /*value*/) override { return false; }  // JSON text has none

  bool start_object(std::size_t /*size*/) override { return open(Json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t /*size*/) override { return open(Json::array()); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    TTSRT_CHECK(FormatError, name.size() <= kMaxKey, where_, ": ", in_quotes(name),
                ": expected a name of at most ", kMaxKey, " bytes, got ", name.size());
    TTSRT_CHECK(FormatError, !has_control_characters(name), where_, ": ", in_quotes(name),
                ": expected a name without control characters");
    auto& object = open_.back()->get_ref<Json::object_t&>();
    const auto [entry, is_new] = object.try_emplace(std::move(name));
    TTSRT_CHECK(FormatError, is_new, where_, ": ", in_quotes(entry->first), " appears twice");
    place_ = &entry->second;
    return true;
  }

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const Json::exception& problem) override {
    const std::string_view text =
        problem.what();  // "[json.exception...] parse error at line 1, ..."
    const std::size_t name = text.find("] ");
    throw FormatError(message(
        where_,
        ": not JSON: ", clipped(name == std::string_view::npos ? text : text.substr(name + 2))));
  }

 private:
  // Where the next value belongs: the root, the end of a list, or behind a key.
  Json* add(Json&& value) {
    TTSRT_CHECK(FormatError, ++values_ <= kMaxValues, where_, ": expected at most ", kMaxValues,
                " values");
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (!open_.back()->is_array()) {
      *place_ = std::move(value);
      return place_;
    }
    auto& list = open_.back()->get_ref<Json::array_t&>();
    list.push_back(std::move(value));
    return &list.back();
  }

  bool open(Json&& container) {
    TTSRT_CHECK(FormatError, open_.size() < kMaxDepth, where_, ": JSON nested deeper than ",
                kMaxDepth);
    open_.push_back(add(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& where_;
  Json root_;
  std::vector<Json*> open_;  // a list grows only while none of its elements is open
  Json* place_ = nullptr;
  std::size_t values_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  TTSRT_CHECK(FormatError, text.size() <= kMaxJson, where, ": expected at most ", kMaxJson,
              " bytes, got ", text.size());
  const std::size_t zero = text.find('\0');  // the parser takes it for the end of the text
  TTSRT_CHECK(FormatError, zero == std::string_view::npos, where,
              ": not JSON: a byte of zero at offset ", zero);
  Builder builder(where);
  Json::sax_parse(text, &builder);
  return builder.take();
}

JsonGuard::~JsonGuard() { empty(*json_); }

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
  TTSRT_CHECK(FormatError, found != object_->end(), where_, ".", clipped(key), ": missing");
  return *found;
}

std::int64_t JsonReader::integer(const char* key, std::int64_t minimum,
                                 std::int64_t maximum) const {
  const Json& found = value(key);
  const bool fits = found.is_number_integer() &&
                    (!found.is_number_unsigned() || found.get<std::uint64_t>() <= INT64_MAX);
  TTSRT_CHECK(FormatError,
              fits && found.get<std::int64_t>() >= minimum && found.get<std::int64_t>() <= maximum,
              where_, ".", clipped(key), ": expected an integer in [", minimum, ", ", maximum,
              "], got ", shown(found));
  return found.get<std::int64_t>();
}

double JsonReader::number(const char* key, double minimum, double maximum) const {
  const Json& found = value(key);
  TTSRT_CHECK(FormatError,
              found.is_number() && found.get<double>() >= minimum && found.get<double>() <= maximum,
              where_, ".", clipped(key), ": expected a number in [", minimum, ", ", maximum,
              "], got ", shown(found));
  return found.get<double>();
}

bool JsonReader::boolean(const char* key) const {
  const Json& found = value(key);
  TTSRT_CHECK(FormatError, found.is_boolean(), where_, ".", clipped(key),
              ": expected true or false, got ", shown(found));
  return found.get<bool>();
}

std::string JsonReader::string(const char* key) const {
  const Json& found = value(key);
  const auto* text = found.get_ptr<const std::string*>();
  const bool is_name =
      text != nullptr && text->size() <= kMaxString && !has_control_characters(*text);
  TTSRT_CHECK(FormatError, is_name, where_, ".", clipped(key), ": expected a string of at most ",
              kMaxString, " bytes without control characters, got ", shown(found));
  return *text;
}

std::vector<std::int32_t> JsonReader::integers(const char* key, std::int64_t minimum,
                                               std::int64_t maximum, std::size_t max_count) const {
  const Json& found = value(key);
  TTSRT_CHECK(FormatError, found.is_array() && found.size() <= max_count, where_, ".", clipped(key),
              ": expected a list of at most ", max_count, " integers, got ", shown(found));
  std::vector<std::int32_t> result;
  for (const Json& item : found) {
    const bool fits = item.is_number_integer() && item >= minimum && item <= maximum;
    TTSRT_CHECK(FormatError, fits, where_, ".", clipped(key), ": expected integers in [", minimum,
                ", ", maximum, "], got ", shown(item));
    result.push_back(item.get<std::int32_t>());
  }
  return result;
}

JsonReader JsonReader::object(const char* key) const {
  return {value(key), where_ + "." + clipped(key)};
}

}  // namespace ttsrt
