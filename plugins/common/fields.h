// The attributes of a plugin as named fields: what a network's author gives, what a plan stores.
//
// An op names its attributes once, in a function `each(self, visit)` of their struct, from which
// everything here follows: names, reading, writing. Fields are int32 or float32, alone or as lists,
// which every version of TensorRT has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "core/check.h"

namespace ttsrt::plugins {

using Numbers = std::vector<std::int32_t>;
using Reals = std::vector<float>;

struct Field {
  std::string name;
  std::variant<Numbers, Reals> values;

  bool operator==(const Field&) const = default;
};
using Fields = std::vector<Field>;

// What may be given: `is_list` fields have any length and may be left out, others have one value.
struct FieldName {
  std::string name;
  bool is_real = false;
  bool is_list = false;
};
using FieldNames = std::vector<FieldName>;

// Throws ConfigError for a field that is unknown, given twice, of the other type or not one value.
void check_fields(const char* plugin, const FieldNames& names, const Fields& fields);

// Fields as bytes and back, for plans of TensorRT 8. Reading throws FormatError for bytes that
// `to_bytes` does not write.
std::vector<std::byte> to_bytes(const Fields& fields);
Fields from_bytes(const char* plugin, const std::byte* data, std::size_t size);

template <class T>
constexpr bool is_list = std::is_same_v<T, Numbers> || std::is_same_v<T, Reals>;
template <class T>
constexpr bool is_real = std::is_same_v<T, float> || std::is_same_v<T, Reals>;

template <class Attributes>
FieldNames names_of() {
  FieldNames names;
  const Attributes attributes{};
  Attributes::each(attributes, [&names]<class T>(const char* name, const T&) {
    names.push_back({name, is_real<T>, is_list<T>});
  });
  return names;
}

// Every attribute but lists that are empty, in the order of `each`.
template <class Attributes>
Fields to_fields(const Attributes& attributes) {
  Fields fields;
  Attributes::each(attributes, [&fields]<class T>(const char* name, const T& value) {
    if constexpr (is_list<T>) {
      if (!value.empty()) fields.push_back({name, value});
    } else if constexpr (is_real<T>) {
      fields.push_back({name, Reals{value}});
    } else {
      fields.push_back({name, Numbers{value}});
    }
  });
  return fields;
}

// Attributes without a field keep their defaults. Throws as check_fields().
template <class Attributes>
Attributes from_fields(const char* plugin, const Fields& fields) {
  check_fields(plugin, names_of<Attributes>(), fields);
  Attributes attributes{};
  Attributes::each(attributes, [&fields]<class T>(const char* name, T& value) {
    using List = std::conditional_t<is_real<T>, Reals, Numbers>;
    for (const Field& field : fields) {
      if (field.name != name) continue;
      const List& list = std::get<List>(field.values);
      if constexpr (is_list<T>) {
        value = list;
      } else {
        value = list.front();
      }
    }
  });
  return attributes;
}

}  // namespace ttsrt::plugins
