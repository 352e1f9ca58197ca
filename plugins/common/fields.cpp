#include "common/fields.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace ttsrt::plugins {
namespace {

// "TTSP" and the version of this form.
constexpr std::uint32_t kMagic = 0x50535454U;
constexpr std::uint32_t kForm = 1;
enum class Tag : std::uint32_t { numbers, reals };

const char* type_name(bool is_real) { return is_real ? "float32" : "int32"; }

std::string known(const FieldNames& names) {
  std::string text;
  for (const FieldName& name : names) text += (text.empty() ? "" : ", ") + name.name;
  return text;
}

class Writer {
 public:
  void put(const void* data, std::size_t size) {
    const auto* from = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
  }
  void put(std::uint32_t value) { put(&value, sizeof(value)); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  Reader(const char* plugin, const std::byte* data, std::size_t size)
      : plugin_(plugin), data_(data), left_(data == nullptr ? 0 : size) {}

  std::uint32_t number() {
    std::uint32_t value = 0;
    std::memcpy(&value, take(sizeof(value)), sizeof(value));
    return value;
  }
  std::string text() {
    const std::size_t size = number();
    return std::string(reinterpret_cast<const char*>(take(size)), size);
  }
  template <class T>
  std::vector<T> list() {
    const std::size_t count = number();
    check(count <= left_ / sizeof(T), "a list is longer than the rest");
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), take(count * sizeof(T)), count * sizeof(T));
    return values;
  }
  std::size_t left() const { return left_; }
  void check(bool condition, const char* what) const {
    TTSRT_CHECK(FormatError, condition, plugin_, ": the plugin's part of the plan: ", what);
  }

 private:
  const std::byte* take(std::size_t size) {
    check(size <= left_, "it ends too early");
    const std::byte* at = data_;
    data_ += size;
    left_ -= size;
    return at;
  }

  const char* plugin_;
  const std::byte* data_;
  std::size_t left_;
};

}  // namespace

void check_fields(const char* plugin, const FieldNames& names, const Fields& fields) {
  for (auto field = fields.begin(); field != fields.end(); ++field) {
    const auto name = std::find_if(names.begin(), names.end(),
                                   [field](const FieldName& of) { return of.name == field->name; });
    TTSRT_CHECK(ConfigError, name != names.end(), plugin, ": no field ", field->name,
                ": expected one of ", known(names));
    const bool is_twice = std::any_of(
        fields.begin(), field, [field](const Field& other) { return other.name == field->name; });
    TTSRT_CHECK(ConfigError, !is_twice, plugin, ": field ", field->name, " is given twice");
    const bool is_real = std::holds_alternative<Reals>(field->values);
    TTSRT_CHECK(ConfigError, is_real == name->is_real, plugin, ": field ", field->name,
                ": expected ", type_name(name->is_real), ", got ", type_name(is_real));
    const std::size_t count =
        std::visit([](const auto& values) { return values.size(); }, field->values);
    TTSRT_CHECK(ConfigError, name->is_list || count == 1, plugin, ": field ", field->name,
                ": expected one value, got ", count);
  }
}

std::vector<std::byte> to_bytes(const Fields& fields) {
  Writer writer;
  writer.put(kMagic);
  writer.put(kForm);
  writer.put(static_cast<std::uint32_t>(fields.size()));
  for (const Field& field : fields) {
    writer.put(static_cast<std::uint32_t>(field.name.size()));
    writer.put(field.name.data(), field.name.size());
    const bool is_real = std::holds_alternative<Reals>(field.values);
    writer.put(static_cast<std::uint32_t>(is_real ? Tag::reals : Tag::numbers));
    std::visit(
        [&writer](const auto& values) {
          writer.put(static_cast<std::uint32_t>(values.size()));
          writer.put(values.data(), values.size() * sizeof(values[0]));
        },
        field.values);
  }
  return writer.take();
}

Fields from_bytes(const char* plugin, const std::byte* data, std::size_t size) {
  Reader reader(plugin, data, size);
  reader.check(reader.number() == kMagic, "it is not one of these plugins");
  reader.check(reader.number() == kForm, "it has another form; build the plan again");
  Fields fields;
  for (std::uint32_t left = reader.number(); left > 0; --left) {
    Field field;
    field.name = reader.text();
    const std::uint32_t tag = reader.number();
    reader.check(tag <= static_cast<std::uint32_t>(Tag::reals), "a field has no type");
    if (tag == static_cast<std::uint32_t>(Tag::reals)) {
      field.values = reader.list<float>();
    } else {
      field.values = reader.list<std::int32_t>();
    }
    fields.push_back(std::move(field));
  }
  reader.check(reader.left() == 0, "bytes are left over");
  return fields;
}

}  // namespace ttsrt::plugins
