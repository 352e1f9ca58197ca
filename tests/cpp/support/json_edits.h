// Random edits of a JSON value, as tests of readers and fuzz targets make them: they keep the
// form of a description and change what it says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/json.h"

namespace ttsrt::test {

using Pointer = Json::json_pointer;

// Where the values are that `json` holds, itself aside.
inline void add_places(const Json& json, const Pointer& at, std::vector<Pointer>& places) {
  const auto add = [&](const Pointer& place, const Json& value) {
    places.push_back(place);
    add_places(value, place, places);
  };
  if (json.is_array()) {
    for (std::size_t i = 0; i < json.size(); ++i) add(at / i, json[i]);
  } else if (json.is_object()) {
    for (const auto& [key, value] : json.items()) add(at / key, value);
  }
}

inline std::vector<Pointer> places_of(const Json& json) {
  std::vector<Pointer> places;
  add_places(json, Pointer(), places);
  return places;
}

inline Json odd_value(const Json& old, std::uint32_t choice) {
  const std::int64_t number = old.is_number_integer() ? old.get<std::int64_t>() : 1;
  const std::vector<Json> values = {number + 1,
                                    number - 1,
                                    number * 2,
                                    number / 2,
                                    -number,
                                    0,
                                    1,
                                    2,
                                    3,
                                    63,
                                    64,
                                    65,
                                    1 << 20,
                                    INT32_MAX,
                                    std::int64_t{1} << 40,
                                    UINT64_MAX,
                                    0.0,
                                    -0.5,
                                    1.5,
                                    1e-30,
                                    1e300,
                                    nullptr,
                                    true,
                                    false,
                                    "",
                                    "none",
                                    std::string(300, 'x'),
                                    Json::array(),
                                    Json::object(),
                                    Json::array({0, 1, 2}),
                                    Json::array({1e9}),
                                    Json::object({{"a", 1}})};
  return values[choice % values.size()];
}

// One edit: a value is replaced, erased, or takes the value of another place.
inline void edit_json(Json& json, std::uint32_t place, std::uint32_t kind, std::uint32_t choice) {
  const std::vector<Pointer> places = places_of(json);
  if (places.empty()) return;
  const Pointer& at = places[place % places.size()];
  if (kind % 8 == 0) {
    Json& parent = json[at.parent_pointer()];
    if (parent.is_object()) parent.erase(at.back());
    if (parent.is_array()) parent.erase(parent.size() - 1);
  } else if (kind % 8 == 1) {
    const Json other = json[places[choice % places.size()]];
    json[at] = other;
  } else {
    json[at] = odd_value(json[at], choice);
  }
}

}  // namespace ttsrt::test
